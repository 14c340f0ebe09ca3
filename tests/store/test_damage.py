"""Damage to the SQLite file is seen, and never gets into a backup or out of one."""

import json
import sqlite3
import stat
from contextlib import closing
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from sightline.cli import app
from sightline.core.errors import InputError, StoreError
from sightline.core.result import Verdict
from sightline.store.backup import MANIFEST
from sightline.store.inspections import Record
from sightline.store.store import Store
from sightline.store.tables.base import now

PAGE = 4096


def roots(file):
    """Number of the first page of each table and index that has rows of its own, by name."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        names = dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0"))
    return {name: number - 1 for name, number in names.items()}


def pages(file):
    data = file.read_bytes()
    return [bytearray(data[begin : begin + PAGE]) for begin in range(0, len(data), PAGE)]


def index(file):
    """Number of a page with entries of an index: the last one of the file that SQLite marks so."""
    return max(number for number, page in enumerate(pages(file)) if number and page[0] == 0x0A and page[4] | page[3])


def zeroed(file, found):
    found[index(file)] = bytearray(PAGE)


def torn(file, found):
    found[index(file)][PAGE // 2 :] = bytes(PAGE // 2)


def truncated(file, found):
    del found[len(found) * 2 // 3 :]


def swapped(file, found):
    one, other = roots(file)["inspections"], index(file)
    found[one], found[other] = found[other], found[one]


def flipped(file, found):
    page = found[index(file)]
    page[-40:-8] = bytes(byte ^ 0x15 for byte in page[-40:-8])


KINDS = [zeroed, torn, truncated, swapped, flipped]


@pytest.fixture
def file(sqlite, add, tmp_path):
    """An SQLite file of a store with some parts and 400 inspections, closed."""
    path = tmp_path / "store.db"
    with Store.open(path, tmp_path / "images") as store:
        add(store, 6)
        for number in range(400):
            triggered = now() - timedelta(minutes=number)
            store.inspections.record(Record(station=f"press {number % 7}", verdict=Verdict.OK, triggered=triggered))
    roots(path)
    return path


def hurt(file, kind):
    found = pages(file)
    kind(file, found)
    file.write_bytes(b"".join(found))
    for end in ("-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def command(*words):
    return CliRunner().invoke(app, ["store", *map(str, words)])


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_seen_and_the_backup_that_is_there_stays_as_it_is(file, kind, tmp_path):
    place = ["--db", file, "--images", tmp_path / "images"]
    backup = tmp_path / "backup"
    assert command("check", *place).exit_code == 0
    assert command("backup", backup, *place).exit_code == 0
    before, images = tree(backup), tree(tmp_path / "images")
    hurt(file, kind)
    assert command("check", "--repair", "--grace-minutes", 0, *place).exit_code == 1
    assert tree(tmp_path / "images") == images  # rows may be out of sight: no image is an orphan now
    assert command("backup", backup, *place).exit_code == 1
    assert tree(backup) == before
    assert command("restore", backup, "--db", tmp_path / "again.db").exit_code == 0
    with Store.open(tmp_path / "again.db", create=False) as again:
        assert again.check(grace_s=0).ok


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_backup_is_not_restored_and_the_one_before_it_is(file, kind, add, tmp_path):
    backup = tmp_path / "backup"
    with Store.open(file, tmp_path / "images") as store:
        first = store.backup(backup)
        add(store, 3, first=6)
        second = store.backup(backup)
    hurt(backup / second.database, kind)
    with pytest.raises(StoreError, match=r"copy of the database is damaged.*--generation: \d{8}T\d+"):
        Store.restore(backup, tmp_path / "again.db")
    assert not (tmp_path / "again-images").exists()
    time = first.database.removeprefix("store-")[:15]
    Store.restore(backup, tmp_path / "again.db", generation=first.database.removeprefix("store-").removesuffix("Z.db"))
    with Store.open(tmp_path / "again.db", create=False) as again:
        assert again.check(grace_s=0).damage == ()
        assert again.catalogue.products() == {"plates": 6}
    with pytest.raises(InputError, match=f"no copy of 1999. There are: .*{time}"):
        Store.restore(backup, tmp_path / "third.db", generation="1999")


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_of_an_older_sightline_is_looked_at_too(file, kind, tmp_path):
    backup = tmp_path / "backup"
    with Store.open(file, tmp_path / "images") as store:
        name = store.backup(backup).database
    (backup / name).rename(backup / "store.db")
    schema = json.loads((backup / MANIFEST).read_text())["schema"]
    (backup / MANIFEST).write_text(json.dumps({"schema": schema, "database": "store.db"}))
    hurt(backup / "store.db", kind)
    with pytest.raises(StoreError, match="Take another backup"):
        Store.restore(backup, tmp_path / "again.db")


def test_a_row_that_names_a_missing_one_is_damage(file, tmp_path):
    with closing(sqlite3.connect(file)) as connection:
        # Foreign keys are off here, as in any other program.
        connection.execute("INSERT INTO version_entries (version_id, sample_id, digest) VALUES (77, 1, 'x')")
        connection.commit()
    with Store.open(file, tmp_path / "images") as store:
        assert any("versions" in line for line in store.check().damage)
        with pytest.raises(StoreError, match="damaged"):
            store.backup(tmp_path / "backup")


def test_as_many_copies_are_kept_as_asked_for(file, tmp_path):
    with Store.open(file, tmp_path / "images") as store:
        made = [store.backup(tmp_path / "backup", keep=3).database for _ in range(5)]
    assert sorted(path.name for path in (tmp_path / "backup").glob("store*")) == made[2:]


def test_an_altered_image_goes_into_no_backup_and_out_of_none(file, tmp_path):
    backup = tmp_path / "backup"
    with Store.open(file, tmp_path / "images") as store:
        first, second = [sample.path for sample in store.samples("plates")][:2]
    place = ["--db", file, "--images", tmp_path / "images"]
    sound = first.read_bytes()
    first.write_bytes(sound[:-1] + b"!")
    told = command("backup", backup, *place)
    assert told.exit_code == 1 and first.stem in told.stdout
    assert first.name not in {path.name for path in backup.rglob("*.png")}
    found = command("export", "plates", "-o", tmp_path / "out", *place)
    assert found.exit_code != 0 and "was altered" in str(found.exception)
    assert not (tmp_path / "out").exists()
    first.write_bytes(sound)
    assert command("backup", backup, *place).exit_code == 0
    (backup / "images" / second.stem[:2] / second.name).write_bytes(b"other")
    told = command("restore", backup, "--db", tmp_path / "again.db")
    assert told.exit_code == 1 and second.stem in told.stdout


def test_nobody_else_may_read_the_database_or_its_backup(file, tmp_path):
    with Store.open(file, tmp_path / "images") as store:
        name = store.backup(tmp_path / "backup").database
        store.inspections.record(Record(station="a", verdict=Verdict.OK, triggered=now()))
        names = list(tmp_path.glob("store.db*"))
        assert len(names) > 1
        for path in (*names, tmp_path / "backup" / name):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Store.restore(tmp_path / "backup", tmp_path / "again.db")
    assert stat.S_IMODE((tmp_path / "again.db").stat().st_mode) == 0o600


def test_permissions_that_someone_has_given_stay(file, tmp_path):
    file.chmod(0o660)
    Store.open(file, tmp_path / "images").close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
