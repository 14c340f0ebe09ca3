"""Annotations are added and never changed; some samples are labelled a second time."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from sqlalchemy import text

from sightline.core.errors import InputError, StoreError
from sightline.core.region import Polygons, Rectangle, Region, Runs
from sightline.core.sample import Sample
from sightline.store.annotations import Annotation, region_from_json, region_to_json
from sightline.store.store import Store
from sightline.store.tables.labels import SampleRow

REGIONS = (
    Region("crack", Rectangle(1, 2, 3, 4)),
    Region("stain", Polygons((np.array([[0.5, 0], [9, 0], [9, 9]]),))),
    Region("stain", Runs.of(np.eye(6) > 0)),
)
FULL = Annotation(
    label="defective",
    author="ann",
    types=("stain", "crack"),
    regions=REGIONS,
    grade=2,
    note="at the rim",
    suggested_by="a" * 64,
    outcome="corrected",
)


@pytest.fixture
def sample(store, add):
    add(store, 1)
    with store.reading() as session:
        return session.query(SampleRow.id).scalar()


def test_an_annotation_comes_back_as_it_was(store, sample):
    kept = store.annotations.add(sample, FULL)
    assert store.annotations.current([sample, sample + 99]) == {sample: kept}
    for name in ("label", "author", "types", "regions", "grade", "note", "suggested_by", "outcome", "blind"):
        assert getattr(kept, name) == getattr(FULL, name)
    assert kept.id and kept.sample_id == sample and kept.created


def test_a_newer_one_counts_and_the_older_is_kept(store, sample):
    before = len(store.annotations.history(sample))
    store.annotations.add(sample, FULL)
    newer = store.annotations.add(sample, Annotation(label="good", author="bob"))
    assert store.annotations.current([sample])[sample] == newer
    assert [word.author for word in store.annotations.history(sample)][before:] == ["ann", "bob"]


def test_a_blind_one_never_counts(store, sample):
    first = store.annotations.add(sample, FULL)
    store.annotations.add(sample, Annotation(label="good", author="bob", blind=True))
    assert store.annotations.current([sample])[sample] == first
    assert store.annotations.history(sample)[-1].blind


def test_a_deleted_sample_takes_none(store, sample):
    store.catalogue.delete([sample], "ann")
    with pytest.raises(InputError, match=r"part-0\.png\) was deleted. Bring it back"):
        store.annotations.add(sample, FULL)
    store.catalogue.undelete([sample], "ann")
    assert store.annotations.add(sample, FULL).id


def test_a_sample_that_is_not_there_takes_none(store):
    with pytest.raises(InputError, match="no sample 12"):
        store.annotations.add(12, FULL)


@pytest.mark.parametrize("statement", ["UPDATE annotations SET label = 'good'", "DELETE FROM annotations"])
def test_the_database_guards_them(store, sample, statement):
    store.annotations.add(sample, FULL)
    with pytest.raises(StoreError, match="never changed"), store.writing() as session:
        session.execute(text(statement))
    assert store.annotations.current([sample])[sample].label == "defective"


@pytest.mark.parametrize(
    "values",
    [
        {"label": "fine"},
        {"label": "good", "types": ("crack",)},
        {"label": "good", "regions": REGIONS},
        {"label": "good", "author": ""},
        {"label": "good", "outcome": "accepted"},
        {"label": "good", "outcome": "perhaps", "suggested_by": "a" * 64},
    ],
)
def test_contradictions_are_refused(values):
    with pytest.raises(InputError):
        Annotation(**{"author": "ann", **values})


def test_a_mark_without_a_place_is_refused(store, sample):
    with pytest.raises(InputError, match="cannot be stored"):
        mark = Region("crack", Rectangle(float("nan"), 1, 2, 3))
        store.annotations.add(sample, Annotation(label="defective", author="ann", regions=(mark,)))


# Regions go into JSON and come back the same.

RINGS = (np.array([[0.1, 0.2], [9.3, 0], [9, 9]]), np.array([[2, 2], [2, 4], [4, 2.0]]))


@pytest.mark.parametrize(
    "shape", [Rectangle(1.25, 2, 3, 4.1), Polygons(RINGS), Runs.of(np.eye(5, 7) > 0)], ids=["box", "rings", "runs"]
)
def test_every_shape_comes_back_the_same(shape):
    region = Region("crack", shape)
    assert region_from_json(json.loads(json.dumps(region_to_json(region)))) == region


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": "a"},
        {"type": 3, "box": [0, 0, 1, 1]},
        {"type": "a", "box": [0, 0, 1]},
        {"type": "a", "box": [0, 0, -1, 1]},
        {"type": "a", "box": [0, 0, float("inf"), 1]},
        {"type": "a", "rings": [[[0, 0], [1, 1]]]},
        {"type": "a", "rings": []},
        {"type": "a", "runs": {"height": 2, "width": 2, "counts": [3]}},
        {"type": "a", "runs": {"height": 1e9, "width": 1e9, "counts": [1e18]}},
        "box",
        None,
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises(InputError):
        region_from_json(value)


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
    return sorted(store.annotations.by_sample("cap"))


def test_every_type_has_its_share(store: Store, labelled: list[int]) -> None:
    drawn = store.annotations.for_second_label("cap", "ben", 2)
    types = [store.annotations.by_sample("cap")[number][-1].types for number in drawn]
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
    assert [word.author for word in store.annotations.by_sample("cap")[number]] == ["ann", "ben"]
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
    last = store.annotations.by_sample("cap")[number][-1]
    assert (last.author, last.label) == ("ben", "defective")
    assert number not in store.annotations.for_second_label("cap", "ben", 50)
