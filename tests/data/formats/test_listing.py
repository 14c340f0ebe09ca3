"""Parts of a dataset become the side to learn from and the side to test on."""

from __future__ import annotations

import pytest

from sightline.data.formats.listing import sides


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("instances_train2017 instances_val2017", "train test"),
        ("train valid test", "train train test"),
        ("Train Validation", "train test"),
        ("training testing", "train test"),
        ("val", "test"),
        ("trainval test", "train test"),
        ("test", "test"),
    ],
)
def test_names_tell_the_side(names: str, expected: str) -> None:
    assert list(sides(names.split()).values()) == expected.split()


@pytest.mark.parametrize("name", ["", "default", "instances", "latest", "restrained"])
def test_other_names_tell_nothing(name: str) -> None:
    assert sides([name]) == {name: None}
