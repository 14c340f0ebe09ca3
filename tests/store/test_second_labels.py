"""Who labels what a second time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sightline.core.sample import Sample
from sightline.store.annotations import Annotation
from sightline.store.store import Store


@pytest.fixture
def labelled(store: Store, tmp_path: Path) -> list[int]:
    """Nine good samples and one with a dent, labelled by ann."""
    samples = []
    for number in range(10):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((32, 32, 3), number, np.uint8))
        bad = number == 7
        samples.append(Sample(path, bad, ("dent",) if bad else ()))
    store.add(samples, "cap", author="ann")
    return sorted(store.annotations.words("cap"))


def test_every_type_has_its_share(store: Store, labelled: list[int]) -> None:
    drawn = store.annotations.for_second_label("cap", "ben", 2)
    types = [store.annotations.words("cap")[number][-1].types for number in drawn]
    assert sorted(types) == [(), ("dent",)]
    assert store.annotations.for_second_label("cap", "ben", 2) == drawn


def test_nobody_labels_a_sample_twice(store: Store, labelled: list[int]) -> None:
    assert store.annotations.for_second_label("cap", "ann", 5) == []
    first = store.annotations.for_second_label("cap", "ben", 5)
    for number in first:
        store.annotations.add(number, Annotation(label="good", author="ben", blind=True))
    rest = store.annotations.for_second_label("cap", "ben", 50)
    assert sorted(first + rest) == labelled and len(rest) == 5


def test_a_blind_word_is_heard_and_does_not_count(store: Store, labelled: list[int]) -> None:
    number = labelled[0]
    store.annotations.add(number, Annotation(label="defective", author="ben", blind=True))
    assert [word.author for word in store.annotations.words("cap")[number]] == ["ann", "ben"]
    assert store.annotations.current([number])[number].label == "good"


def test_a_rollback_is_nobodys_word(store: Store, labelled: list[int]) -> None:
    number = labelled[0]
    suggested = Annotation(label="good", author="eve", suggested_by="a" * 64, outcome="corrected")
    store.annotations.add(number, suggested)
    store.versions.snapshot("cap", author="ann")
    store.annotations.add(number, Annotation(label="defective", author="ben"))
    store.versions.restore("cap@1", "ben")
    last = store.annotations.history(number)[-1]
    assert last.label == "good" and last.outcome is None
    assert [(word.author, word.label) for word in store.annotations.words("cap")[number]][-1] == ("ben", "defective")
    assert number not in store.annotations.for_second_label("cap", "ben", 50)
