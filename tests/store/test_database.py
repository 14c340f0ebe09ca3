"""Addresses, and what happens when the database cannot be used."""

import pytest

from sightline.core.errors import SettingError, StoreError
from sightline.store.database import locate
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
