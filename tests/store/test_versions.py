"""Versions: the same content has the same hash, nothing in them changes, and frozen test parts stay closed."""

import itertools
from dataclasses import replace

import pytest
from sqlalchemy import text

from sightline.cli import text_store
from sightline.core.errors import InputError, StoreError
from sightline.core.sample import TEST, TRAIN
from sightline.store.annotations import Annotation
from sightline.store.database import StoreWarning
from sightline.store.store import Store
from sightline.store.tables.labels import SampleRow


def ids(store):
    with store.reading() as session:
        return {name: number for number, name in session.query(SampleRow.id, SampleRow.name)}


def facts(samples):
    return sorted((s.path.name, s.defective, s.types, s.regions, s.split, s.lot, s.group) for s in samples)


def test_the_same_content_is_the_same_version(store, add):
    add(store, 10)
    first = store.versions.snapshot("plates", author="ann")
    assert (first.name, first.samples, first.parent) == ("plates@1", 10, None)
    assert store.versions.snapshot("plates", author="bob") == first
    add(store, 1, first=10)
    second = store.versions.snapshot("plates")
    assert (second.number, second.parent) == (2, first.id)
    assert store.versions.list() == (first, second)
    assert store.versions.find("plates") == second
    assert store.versions.find(first.hash[:12]) == store.versions.find("plates@1") == first


def test_the_hash_does_not_depend_on_order_or_database(sqlite, postgresql, make_parts, tmp_path):
    hashes = set()
    samples = make_parts(tmp_path / "parts", 12)
    for make, order in itertools.product((sqlite, postgresql), (samples, samples[::-1])):
        with Store.open(make("open"), tmp_path / "images") as store:
            store.add(order, "plates")
            hashes.add(store.versions.snapshot("plates").hash)
    assert len(hashes) == 1


def test_a_version_does_not_change(store, add):
    add(store, 10)
    store.versions.snapshot("plates")
    before = facts(store.samples("plates@1"))
    numbers = ids(store)
    store.annotations.add(numbers["part-0.png"], Annotation(label="defective", author="ann", types=("dent",)))
    store.catalogue.delete([numbers["part-1.png"]], "ann")
    store.catalogue.assign([numbers["part-2.png"]], TEST, "ann")
    add(store, 2, first=10)
    assert facts(store.samples("plates@1")) == before
    assert facts(store.samples("plates")) != before
    for statement in (
        "UPDATE version_entries SET split = 'train'",
        "DELETE FROM versions",
        "UPDATE versions SET note='x'",
    ):
        with pytest.raises(StoreError, match="never changed"), store.writing() as session:
            session.execute(text(statement))


def test_a_diff_names_what_changed(store, add):
    add(store, 10)
    store.versions.snapshot("plates")
    numbers = ids(store)
    store.annotations.add(numbers["part-0.png"], Annotation(label="defective", author="ann", types=("dent",)))
    store.annotations.add(numbers["part-5.png"], Annotation(label="good", author="ann"))  # as before: no change
    store.catalogue.delete([numbers["part-1.png"]], "ann")
    store.catalogue.assign([numbers["part-2.png"]], TEST, "ann")
    add(store, 2, first=10)
    store.versions.snapshot("plates")
    diff = store.versions.diff("plates@1", "plates@2")
    assert diff.added == ("part-10.png", "part-11.png")
    assert diff.removed == ("part-1.png",)
    assert diff.relabelled == ("part-0.png",)
    assert diff.moved == ("part-2.png",)
    assert diff.regrouped == ()
    back = store.versions.diff("plates@2", "plates@1")
    assert (back.added, back.removed) == (diff.removed, diff.added)


def test_restoring_brings_back_everything_and_loses_nothing(store, add):
    add(store, 10)
    first = store.versions.snapshot("plates")
    before = facts(store.samples("plates"))
    numbers = ids(store)
    store.annotations.add(numbers["part-0.png"], Annotation(label="defective", author="ann", types=("dent",)))
    store.catalogue.delete([numbers["part-1.png"]], "ann")
    store.catalogue.assign([numbers["part-2.png"]], None, "ann")
    add(store, 2, first=10)
    changed = facts(store.samples("plates"))
    assert store.versions.restore("plates@1", author="bob") == first
    assert facts(store.samples("plates")) == before
    assert store.versions.snapshot("plates") == first  # the same content, the same hash
    assert facts(store.samples("plates@2")) == changed  # what was there before is a version, too
    store.versions.restore("plates@2")
    assert facts(store.samples("plates")) == changed
    assert [word.label for word in store.annotations.history(numbers["part-0.png"])] == [
        "good",
        "defective",
        "good",
        "defective",
    ]


def test_restoring_takes_a_label_away_where_there_was_none(store, make_parts, tmp_path):
    store.add([replace(make_parts(tmp_path, 1)[0], defective=None)], "plates")
    first = store.versions.snapshot("plates")
    (number,) = ids(store).values()
    store.annotations.add(number, Annotation(label="good", author="ann"))
    store.versions.restore("plates@1")
    assert next(store.samples("plates")).defective is None
    assert store.versions.snapshot("plates") == first


def test_a_frozen_test_part_is_never_given_to_a_training(store, add, make_parts, tmp_path):
    add(store, 12)
    frozen = store.versions.snapshot("plates", frozen=True)
    closed = {sample.path.name for sample in store.samples(frozen.name, split=TEST)}
    assert len(closed) == 3
    numbers = ids(store)
    for split in (TRAIN, None):
        with pytest.raises(InputError, match="frozen test part"):
            store.catalogue.assign([numbers["part-3.png"]], split, "ann")
    with store.writing() as session:  # somebody goes round the catalogue
        session.execute(text("UPDATE samples SET split = 'train'"))
    # The same images once more, under other names and as another product, all for training.
    copies = [replace(sample, split=TRAIN) for sample in make_parts(tmp_path / "copies", 12)]
    store.add(copies, "other", root=tmp_path)
    for name in ("plates", "other"):
        assert closed.isdisjoint({sample.path.name for sample in store.samples(name, split=TRAIN)})
        assert closed == {sample.path.name for sample in store.samples(name, split=TEST)}
        assert closed.isdisjoint({s.path.name for s in store.samples(name) if s.split != TEST})
    with pytest.warns(StoreWarning, match="3 samples show images of a frozen test part"):
        version = store.versions.snapshot("other")
    assert {sample.path.name for sample in store.samples(version.name) if sample.split == TEST} == closed


def test_a_version_taken_before_the_freeze_is_closed_too(store, add):
    add(store, 8)
    with store.writing() as session:
        session.execute(text("UPDATE samples SET split = 'train'"))
    store.versions.snapshot("plates")
    assert len(list(store.samples("plates@1", split=TRAIN))) == 8
    store.catalogue.assign(list(ids(store).values())[:3], TEST, "ann")
    store.versions.snapshot("plates", frozen=True)
    assert len(list(store.samples("plates@1", split=TRAIN))) == 5


def test_nothing_to_keep_or_to_freeze_is_said(store, add):
    with pytest.raises(InputError, match="there are no samples"):
        store.versions.snapshot("plates")
    add(store, 2)
    with pytest.raises(InputError, match="no test part"):
        store.versions.snapshot("plates", frozen=True)
    with pytest.raises(InputError, match="no version 'plates@7'"):
        store.versions.find("plates@7")
    with pytest.raises(InputError, match="Create one with"):
        list(store.samples("cups"))


@pytest.mark.parametrize("name", ["plates@²", "plates@99999999999999999999999"])
def test_a_number_that_is_none_finds_no_version(store, name):
    with pytest.raises(InputError):
        store.versions.find(name)


def test_two_versions_of_different_hashes_never_hold_the_same(store, add):
    add(store, 8)
    open_one, frozen = store.versions.snapshot("plates"), store.versions.snapshot("plates", frozen=True)
    assert open_one.hash != frozen.hash
    found = store.versions.diff("plates@1", "plates@2")
    assert found.frozen == ("plates@2",)
    assert store.versions.diff("plates@2", "plates@1").frozen == ("plates@2",)
    assert "frozen in plates@2" in text_store.diff(found.to_json())
    with store.writing() as session:
        session.get(SampleRow, 1).name = "renamed.png"
    store.versions.snapshot("plates", frozen=True)
    again = store.versions.diff("plates@2", "plates@3")
    assert again.changed == ("renamed.png",) and again.frozen == ()
    assert "1 changed" in text_store.diff(again.to_json())
    assert text_store.diff(store.versions.diff("plates@3", "plates@3").to_json()) == "The two versions are equal."


@pytest.mark.parametrize("frozen", [False, True])
def test_bringing_back_what_is_there_makes_no_version(store, add, frozen):
    add(store, 8)
    first = store.versions.snapshot("plates", frozen=frozen)
    assert store.versions.restore("plates@1") == first
    assert store.versions.list() == (first,)
    store.catalogue.delete([1], "ann")
    store.versions.restore("plates@1")
    assert len(store.versions.list()) == 2  # what was there before is kept now
    store.versions.restore("plates@1")
    assert len(store.versions.list()) == 2
