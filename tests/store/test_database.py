"""Addresses, and what happens when the database cannot be used."""

from __future__ import annotations

import sqlite3
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from sightline.core.errors import SettingError, StoreError
from sightline.core.result import Verdict
from sightline.store.database import NEWEST, Database, StoreWarning, _set_wal, locate, masked, upgrade
from sightline.store.inspections import Record
from sightline.store.store import Store
from sightline.store.tables import Base
from sightline.store.tables.base import now
from sightline.store.tables.line import AuditRow


def test_a_path_means_sqlite_and_the_variable_is_the_default(monkeypatch, tmp_path):
    assert locate(tmp_path / "a.db").database == str(tmp_path / "a.db")
    monkeypatch.setenv("SIGHTLINE_DB", "postgresql://ann@db/parts")
    assert locate(None).drivername == "postgresql+psycopg"
    monkeypatch.delenv("SIGHTLINE_DB")
    monkeypatch.chdir(tmp_path)
    assert locate(None).database == str(tmp_path / "sightline.db")


def test_a_server_takes_its_password_from_a_file(monkeypatch, tmp_path):
    file = tmp_path / "password"
    monkeypatch.setenv("SIGHTLINE_DB_PASSWORD_FILE", str(file))
    for content in (None, b" \n", b"\xff"):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingError, match=f"{file}.*Write"):
            locate("postgresql://ann@db/parts")
    file.write_text("s3cret/:@ \n")
    assert locate("postgresql://ann@db/parts").password == "s3cret/:@"
    assert "s3cret" not in masked(locate("postgresql://ann@db/parts"))
    assert locate("postgresql://ann:own@db/parts").password == "own"
    assert locate(tmp_path / "a.db").password is None


@pytest.mark.parametrize("url", ["mysql://root@db/parts", "sqlite://", "://"])
def test_other_addresses_are_refused_with_the_remedy(url):
    with pytest.raises(SettingError, match="Give"):
        locate(url)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match="Check the folder"):
        Store.open(tmp_path / "none" / "store.db", tmp_path)


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(StoreError, match="Check that the server runs"):
        Store.open("postgresql://ann@127.0.0.1:1/parts", "images")


def test_a_password_is_not_shown():
    with pytest.raises(StoreError) as caught:
        Store.open("postgresql://ann:secret@127.0.0.1:1/parts", "images")
    assert "secret" not in str(caught.value)


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path):
    together = threading.Barrier(3)

    def opened(path):
        together.wait()
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
            _set_wal(connection)
            connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
            connection.execute("INSERT INTO t VALUES (1)")
            return connection.execute("PRAGMA journal_mode").fetchone()[0]

    with ThreadPoolExecutor(3) as pool:
        for turn in range(100):  # one in five fails where nobody waits
            assert list(pool.map(opened, [tmp_path / f"{turn}.db"] * 3)) == ["wal"] * 3


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann@127.0.0.1:1/x?password=hunter2",
        "postgresql://ann:hunter2@127.0.0.1:1/x?connect_timeout=1",
        "postgresql://ann@127.0.0.1:1/x?sslpassword=hunter2&sslmode=bogus",
        "postgresql://ann:hunter2@127.0.0.1:port/x",
        "postgresql://ann:hunter2@127.0.0.1:99999/x?password=hunter2",
        "postgresql://ann@127.0.0.1:0/x?password=hunter2",
        "postgresql+none://ann@h/x?password=hunter2",
        "mysql://ann@h/x?passwd=hunter2",
        "sqlite://?password=hunter2",
    ],
)
def test_no_error_shows_a_password_or_is_a_traceback(address, tmp_path):
    with pytest.raises((SettingError, StoreError)) as raised:
        Store.open(address, tmp_path / "images")
    assert "hunter2" not in "".join(traceback.format_exception_only(raised.value))


def test_a_stations_settings_are_shown_without_passwords():
    assert "hunter2" not in masked(make_url("postgresql://ann:hunter2@h/x?password=hunter2&sslpassword=hunter2"))


# The schema: made, migrated, refused, and the same as the rows say.


def test_migrations_make_what_the_rows_say(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_an_older_database_is_migrated_with_a_note_and_a_copy(database, tmp_path):
    old = Database(locate(database("empty")))
    upgrade(old, "0001")
    row = "INSERT INTO audit (author, action, subject, details, created) VALUES ('ann', 'test', 'row', '{\"n\": 1}', 5)"
    with old.writing() as session:
        for _ in range(3):
            session.execute(text(row.replace(":", "\\:")))
    old.close()
    with pytest.warns(StoreWarning, match=f"migrated from schema 0001 to {NEWEST}") as warned:
        made = Store.open(old.url.render_as_string(hide_password=False), tmp_path / "images")
    with made.reading() as session:
        assert {row.author for row in session.query(AuditRow)} == {"ann"}
    made.audit.note("bob", "test", "row")
    assert (made.audit.verify().rows, made.audit.verify().broken) == (4, "")  # sealed as they were found
    with pytest.raises(StoreError, match="never changed"), made.writing() as session:
        session.execute(text("UPDATE audit SET author = 'eve'"))
    made.close()
    if old.is_sqlite:
        (copy,) = old.file.parent.glob("store.db.schema-0001-*")
        assert str(copy) in str(warned[0].message)
        kept = Database(locate(copy))
        with kept.reading() as session:
            assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0001"
        kept.close()


def test_a_newer_database_is_refused_with_the_remedy(database, tmp_path):
    url = database("open")
    with Store.open(url, tmp_path) as store, store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(StoreError, match=r"newer Sightline \(schema 0999.*Upgrade with: pip install -U sightline"):
        Store.open(url, tmp_path)


def test_a_database_of_another_program_is_refused(database, tmp_path):
    url = database("empty")
    other = Database(locate(url))
    with other.writing() as session:
        session.execute(text("CREATE TABLE customers (id INTEGER)"))
    other.close()
    with pytest.raises(StoreError, match="another program"):
        Store.open(url, tmp_path)


def test_two_programs_may_make_a_store_at_once(database, tmp_path):
    url = database("empty")
    errors = []

    def make():
        try:
            Store.open(url, tmp_path).close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.parametrize("statement", ["UPDATE audit SET author = 'eve'", "DELETE FROM audit"])
def test_what_was_done_cannot_be_changed(store, statement):
    with store.writing() as session:
        session.add(AuditRow(author="ann", action="test", subject="row", created=now()))
    with pytest.raises(StoreError, match="never changed"), store.writing() as session:
        session.execute(text(statement))


def test_errors_inside_a_transaction_leave_nothing(store):
    with pytest.raises(KeyError), store.writing() as session:
        session.add(AuditRow(author="ann", action="test", subject="row", created=now()))
        session.flush()
        raise KeyError
    with store.reading() as session:
        assert session.query(AuditRow).count() == 0


def test_a_damaged_file_says_what_to_do(tmp_path):
    (tmp_path / "store.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(tmp_path / "store.db", tmp_path)


def test_sqlalchemy_errors_do_not_come_through(store):
    with pytest.raises(StoreError) as caught, store.reading() as session:
        session.execute(text("SELECT * FROM nothing"))
    assert isinstance(caught.value.__cause__, DBAPIError)


@pytest.mark.filterwarnings("ignore:.*migrated from schema")
def test_inspections_of_an_older_schema_are_kept_and_new_ones_have_keys(database, tmp_path):
    old = Database(locate(database("empty")))
    upgrade(old, "0002")
    row = "('s', 'OK', '{}', '{}', 1, false, false)"
    with old.writing() as session:
        columns = "station, verdict, types, details, triggered, late, shadow"
        session.execute(text(f"INSERT INTO inspections ({columns}) VALUES {row}, {row}"))
    old.close()
    with Store.open(old.url.render_as_string(hide_password=False), tmp_path / "images") as store:
        new = Record(station="s", verdict=Verdict.NG, triggered=now(), key="k")
        assert store.inspections.record(new) == store.inspections.record(new)
        assert [one.key for one in store.inspections.page()] == ["k", None, None]
