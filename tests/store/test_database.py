"""Addresses, and what happens when the database cannot be used."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from sightline.core.errors import SettingError, StoreError
from sightline.store.database import _set_wal, locate
from sightline.store.store import Store


def test_a_path_means_sqlite_and_the_variable_is_the_default(monkeypatch, tmp_path):
    assert locate(tmp_path / "a.db").database == str(tmp_path / "a.db")
    monkeypatch.setenv("SIGHTLINE_DB", "postgresql://ann@db/parts")
    assert locate(None).drivername == "postgresql+psycopg"
    monkeypatch.delenv("SIGHTLINE_DB")
    monkeypatch.chdir(tmp_path)
    assert locate(None).database == str(tmp_path / "sightline.db")


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
