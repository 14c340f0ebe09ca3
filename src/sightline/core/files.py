"""Files of our own: the cache folder, which may be lost, and files that only their owner may read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sightline.core.errors import SettingError

VARIABLE, XDG = "SIGHTLINE_CACHE", "XDG_CACHE_HOME"


def cache_folder() -> Path:
    """$SIGHTLINE_CACHE, else `sightline` in $XDG_CACHE_HOME or ~/.cache; it need not be there yet.

    Raises SettingError where none is set and the user has no home folder.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    given = os.environ.get(XDG, "")
    if Path(given).is_absolute():  # the XDG specification has any other passed over
        return Path(given) / "sightline"
    try:
        return Path.home() / ".cache" / "sightline"
    except RuntimeError as error:
        raise SettingError(f"the user has no home folder to keep a cache in. Set {VARIABLE} to a folder") from error


def make_private(file: Path) -> None:
    """Make a file that is missing, so that its owner alone may read it: SQLite would make it after the umask, for all.

    One that is there keeps its permissions, for those who share it on purpose. Raises OSError.
    """
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def make_folder(folder: Path) -> None:
    """Make a folder for results, unless it is there. Raises SettingError, before any work is done for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"{folder}: cannot be written ({error.strerror}). Choose another folder") from error
