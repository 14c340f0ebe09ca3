"""A hold on a station's folder: journal and outboxes are one station's at a time, also where it is started twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sightline.core.errors import SettingError


class Hold:
    """Held until it is closed or its process ends, however that ends. Raises SettingError where another one has it."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file = sqlite3.connect(folder / "held.db", check_same_thread=False, isolation_level=None, timeout=1.0)
            # A lock of SQLite's: on every system, and gone with the process that had it. Nothing is written.
            self._file.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            raise SettingError(
                f"{folder}: another station works in this folder, or it cannot be written ({error}). Stop that one, or "
                "give this one a folder of its own"
            ) from error

    def close(self) -> None:
        """Let go of the folder."""
        self._file.close()
