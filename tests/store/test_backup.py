"""A backup holds everything, and what is restored from it is the same."""

import json

import pytest

from sightline.core.errors import InputError, StoreError
from sightline.store.backup import MANIFEST
from sightline.store.schema import StoreWarning
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
    with pytest.raises(InputError, match="no whole backup"):
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
    manifest.write_text(json.dumps({**found, "database": "../../etc/passwd"}))
    with pytest.raises(InputError, match="missing"):
        Store.restore(tmp_path / "backup", tmp_path / "new.db")


def test_an_old_backup_is_migrated_when_it_is_opened(sqlite, tmp_path):
    from sightline.store.database import Database, locate
    from sightline.store.schema import upgrade

    old = Database(locate(sqlite("empty")))
    upgrade(old, "0001")
    old.close()
    folder = tmp_path / "backup"
    folder.mkdir()
    (folder / "store.db").write_bytes(old.file.read_bytes())
    (folder / MANIFEST).write_text(json.dumps({"schema": "0001", "database": "store.db"}))
    Store.restore(folder, tmp_path / "new.db")
    with pytest.warns(StoreWarning, match="migrated"):
        Store.open(tmp_path / "new.db").close()
