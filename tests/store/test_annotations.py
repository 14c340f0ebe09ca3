"""Annotations are added and never changed."""

import numpy as np
import pytest
from sqlalchemy import text

from sightline.core.errors import InputError, StoreError
from sightline.core.region import Polygons, Rectangle, Region, Runs
from sightline.store.annotations import Annotation
from sightline.store.tables.samples import SampleRow

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
    with pytest.raises(InputError, match="cannot be kept"):
        mark = Region("crack", Rectangle(float("nan"), 1, 2, 3))
        store.annotations.add(sample, Annotation(label="defective", author="ann", regions=(mark,)))
