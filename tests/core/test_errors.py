"""Errors: one base to catch, and a remedy in the text."""

from __future__ import annotations

from pathlib import Path

import pytest

import sightline
from sightline.core.errors import InputError, MissingExtraError, RecipeError, SightlineError, WeightsError
from sightline.data.formats.document import DatasetWarning


@pytest.mark.parametrize("kind", [InputError, RecipeError, WeightsError, MissingExtraError])
def test_every_error_can_be_caught_by_one_name(kind: type[Exception]) -> None:
    assert issubclass(kind, SightlineError)


def test_a_missing_package_names_the_command_that_installs_it() -> None:
    error = MissingExtraError("torch", "train")
    assert str(error) == "the package 'torch' is not installed. Install it with: pip install 'sightline[train]'"
    assert (error.package, error.extra) == ("torch", "train")


# A warning names the caller's line.


def test_a_warning_names_the_line_that_called_us(tmp_path: Path, draw: object, write: object) -> None:
    for number in range(6):
        write(tmp_path / "photos" / f"{number}.png", draw(number)[0])  # type: ignore[operator]
    with pytest.warns(DatasetWarning, match="all used as good parts") as told:
        sightline.Dataset.open(tmp_path / "photos")
    assert {Path(one.filename).name for one in told} == {Path(__file__).name}
