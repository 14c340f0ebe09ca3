"""The samples that are there: moved, hidden, brought back, and written down."""

import pytest

from sightline.core.errors import InputError, StoreError
from sightline.store.tables.labels import SampleRow
from sightline.store.tables.line import AuditRow


@pytest.fixture
def numbers(store, add):
    add(store, 4)
    with store.reading() as session:
        return {name: number for number, name in session.query(SampleRow.id, SampleRow.name)}


def test_samples_move_between_splits(store, numbers):
    store.catalogue.assign([numbers["part-0.png"]], "test", "ann")
    store.catalogue.assign([numbers["part-1.png"]], None, "ann")
    splits = {sample.metadata["serial"]: sample.split for sample in store.samples("plates")}
    assert splits == {"S0": "test", "S1": None, "S2": "train", "S3": "test"}
    with pytest.raises(InputError, match="'validation' is not a split"):
        store.catalogue.assign([1], "validation", "ann")


def test_deleted_samples_are_hidden_and_come_back(store, numbers):
    store.catalogue.delete([numbers["part-0.png"], numbers["part-1.png"]], "ann")
    assert store.catalogue.products() == {"plates": 2}
    assert len(list(store.samples("plates"))) == 2
    assert store.check(grace_s=0).ok  # their images are no orphans
    store.catalogue.undelete([numbers["part-0.png"]], "ann")
    assert store.catalogue.products() == {"plates": 3}


def test_an_id_that_is_none_changes_nothing(store, numbers):
    with pytest.raises(InputError, match="no sample 99"):
        store.catalogue.delete([numbers["part-0.png"], 99], "ann")
    assert store.catalogue.products() == {"plates": 4}


def test_everything_is_in_the_audit(store, numbers):
    store.catalogue.assign([numbers["part-0.png"]], "test", "ann")
    store.catalogue.delete([numbers["part-1.png"]], "bob")
    store.versions.snapshot("plates", "cleo")
    with store.reading() as session:
        rows = session.query(AuditRow).order_by(AuditRow.id).all()
    assert [(row.author, row.action) for row in rows] == [("ann", "assign"), ("bob", "delete"), ("cleo", "snapshot")]


def test_a_name_that_leads_out_is_not_written(store, numbers, tmp_path):
    with store.writing() as session:
        session.get(SampleRow, numbers["part-0.png"]).name = "../evil.png"
    with pytest.raises(StoreError, match="leads out"):
        list(store.samples("plates", folder=tmp_path / "out"))
    assert not (tmp_path / "evil.png").exists()


def test_an_image_tells_its_samples(store, add):
    add(store, 3)
    hashes = [sample.path.stem for sample in store.samples("plates")]
    assert [store.catalogue.numbers("plates", digest) for digest in hashes] == [[1], [2], [3]]
    store.catalogue.delete([2], "ann")
    assert store.catalogue.numbers("plates", hashes[1]) == store.catalogue.numbers("lids", hashes[0]) == []


def test_pages_go_on_after_an_id_and_versions_have_their_own(store, numbers):
    first = store.catalogue.page("plates", limit=3)
    rest = store.catalogue.page("plates", after=first[-1].id)
    assert [sample.name for sample in (*first, *rest)] == sorted(numbers)
    version = store.versions.snapshot("plates", "ann")
    store.catalogue.delete([first[0].id], "ann", "blurred")
    assert len(store.catalogue.page("plates")) == 3
    assert len(store.catalogue.page(version=version.name)) == 4
    assert [sample.id for sample in store.catalogue.page(deleted=True)] == [first[0].id]
    assert {sample.split for sample in store.catalogue.page("plates", split="train")} == {"train"}
    assert store.versions.page("plates", before=version.id) == ()
    entry = store.audit.page(limit=1)[0]
    assert (entry.action, entry.reason) == ("delete", "blurred")
    assert [one.id for one in store.audit.written_after(entry.id - 1)] == [entry.id]
