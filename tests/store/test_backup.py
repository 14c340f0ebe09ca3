"""A backup holds everything, and what is restored from it is the same."""

import json

import pytest
from sqlalchemy import make_url

from sightline.core.errors import InputError, StoreError
from sightline.store import backup
from sightline.store.backup import MANIFEST, conninfo
from sightline.store.blobs import BlobStore
from sightline.store.database import StoreWarning
from sightline.store.store import Store


def facts(store):
    found = [(s.path.read_bytes(), s.defective, s.types, s.regions, s.split) for s in store.samples("plates")]
    return found, store.versions.list(), store.recipes.list(), store.annotations.history(1)


@pytest.fixture
def full(store, add):
    add(store, 6)
    store.versions.snapshot("plates", frozen=True)
    store.recipes.register(b"onnx", "plates", "plates.onnx", version="plates@1")
    return store


def test_a_store_comes_back_whole(full, database, tmp_path):
    made = full.backup(tmp_path / "backup")
    assert made.images == 6
    url = database("empty")
    Store.restore(tmp_path / "backup", url, tmp_path / "other-images")
    with Store.open(url, tmp_path / "other-images") as again:
        assert facts(again) == facts(full)
        assert again.check(grace_s=0).ok
        with pytest.raises(StoreError, match="never changed"), again.writing() as session:
            session.connection().exec_driver_sql("DELETE FROM versions")


def test_a_backup_is_brought_up_to_date(full, add, database, tmp_path):
    full.backup(tmp_path / "backup")
    add(full, 2, first=6)
    assert full.backup(tmp_path / "backup").images == 2
    url = database("empty")
    Store.restore(tmp_path / "backup", url, tmp_path / "other-images")
    with Store.open(url, tmp_path / "other-images") as again:
        assert facts(again) == facts(full)


def test_images_on_s3_are_in_the_backup(sqlite, bucket, add, tmp_path):
    with Store.open(sqlite("open"), bucket) as store:
        add(store, 3)
        assert store.backup(tmp_path / "backup").images == 3
        url = sqlite("empty")
        Store.restore(tmp_path / "backup", url, bucket + "/again")
        with Store.open(url, bucket + "/again") as again:
            assert facts(again) == facts(store)


def test_a_store_in_use_is_not_overwritten(full, database, tmp_path):
    full.backup(tmp_path / "backup")
    with pytest.raises(StoreError, match=r"is in use\. Restore into a new database"):
        Store.restore(tmp_path / "backup", database("open"), tmp_path / "other-images")


def test_a_folder_of_something_else_is_left_alone(full, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear ann")
    with pytest.raises(InputError, match="in use"):
        full.backup(tmp_path / "letters")
    with pytest.raises(InputError, match="no complete backup"):
        Store.restore(tmp_path / "letters", tmp_path / "new.db")


def test_the_other_kind_of_database_is_refused(sqlite, postgresql, tmp_path):
    with Store.open(sqlite("open"), tmp_path / "images") as store:
        store.backup(tmp_path / "backup")
    with pytest.raises(StoreError, match="backup of SQLite"):
        Store.restore(tmp_path / "backup", postgresql("empty"), tmp_path / "images")


def test_a_newer_or_broken_backup_is_refused(sqlite, tmp_path):
    with Store.open(sqlite("open"), tmp_path / "images") as store:
        store.backup(tmp_path / "backup")
    manifest = tmp_path / "backup" / MANIFEST
    found = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**found, "schema": "0999"}))
    with pytest.raises(StoreError, match="newer Sightline"):
        Store.restore(tmp_path / "backup", tmp_path / "new.db")
    manifest.write_text(json.dumps({**found, "schema": 9}))  # no number of ours, and no traceback
    with pytest.raises(StoreError, match="newer Sightline"):
        Store.restore(tmp_path / "backup", tmp_path / "new.db")
    manifest.write_text(json.dumps({**found, "database": "../../etc/passwd"}))
    with pytest.raises(InputError, match="missing"):
        Store.restore(tmp_path / "backup", tmp_path / "new.db")


def test_an_old_backup_is_migrated_when_it_is_opened(sqlite, tmp_path):
    from sightline.store.database import Database, locate, upgrade

    old = Database(locate(sqlite("empty")))
    upgrade(old, "0001")
    old.close()
    folder = tmp_path / "backup"
    folder.mkdir()
    (folder / "store.db").write_bytes(old.file.read_bytes())
    (folder / MANIFEST).write_text(json.dumps({"schema": "0001", "database": "store.db"}))
    Store.restore(folder, tmp_path / "new.db")
    with pytest.warns(StoreWarning, match="migrated"), Store.open(tmp_path / "new.db") as store:
        assert store.inspections.page() == ()  # a table and columns that the old schema had not


def test_a_backup_that_was_stopped_goes_on_and_the_earlier_one_is_whole_until_then(
    full, add, database, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "backup"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(backup, "_copy", stop)
        full.backup(folder)
    with pytest.raises(InputError, match="no complete backup"):
        Store.restore(folder, database("empty"), tmp_path / "none")
    full.backup(folder)
    before = facts(full)
    add(full, 2, first=6)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(backup, "_copy", stop)
        full.backup(folder)
    url = database("empty")
    Store.restore(folder, url, tmp_path / "other-images")
    with Store.open(url, tmp_path / "other-images") as again:
        assert facts(again) == before
        assert again.check(grace_s=0).ok


def test_a_picture_that_is_cleared_meanwhile_does_not_stop_a_backup(full, tmp_path, monkeypatch):
    listed = BlobStore.listed

    def late(blobs, prefix):
        found = list(listed(blobs, prefix))
        for kept in found[:1] if prefix.startswith("images/") and blobs.folder == tmp_path / "images" else ():
            (blobs.folder / kept.key).unlink()
        yield from found

    monkeypatch.setattr(BlobStore, "listed", late)
    made = full.backup(tmp_path / "backup")
    assert made.images == 0 and (tmp_path / "backup" / made.database).is_file()  # the one of each folder has gone


def test_the_whole_address_of_a_server_is_told_to_its_programs_but_no_password():
    url = make_url("postgresql://ann:secret@/parts?host=/run/pg&sslmode=require&application_name=it's")
    assert conninfo(url) == ("host='/run/pg' user='ann' dbname='parts' sslmode='require' application_name='it\\'s'")
