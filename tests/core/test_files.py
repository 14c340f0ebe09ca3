"""One cache folder for everything that can be made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.core.errors import SettingError
from sightline.core.files import cache_folder


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIGHTLINE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_cache_has_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == Path.home() / ".cache/sightline"
    for other in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", other)
        assert cache_folder() == Path.home() / ".cache/sightline"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "sightline"
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_a_user_without_a_home_is_told_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(SettingError, match=r"no home folder to keep a cache in. Set SIGHTLINE_CACHE"):
        cache_folder()
