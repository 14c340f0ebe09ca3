"""The register of parts: which ids were taken, and which parts were never answered because the station died.

A part id is one part: it gets one answer, also over a restart of the station.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline.core.errors import StoreError
from sightline.core.files import make_private
from sightline.line.part import Part

PRUNE = 1000  # parts between two clearings of old ones
SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS parts (
    key TEXT PRIMARY KEY, part_id TEXT NOT NULL, named INTEGER NOT NULL, at REAL NOT NULL, recipe TEXT NOT NULL,
    recipe_id INTEGER NOT NULL, answered INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS parts_by_id ON parts (part_id, at);
"""


class Register:
    """One small file of the station's. With `repeat_s`, an id that was taken less long ago is not taken again."""

    def __init__(self, path: Path, repeat_s: float) -> None:
        self._path, self._repeat_s = path, repeat_s
        self._lock = threading.Lock()
        self._taken = 0
        try:
            make_private(path)
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=0.05)
            self._file.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{path}: the register of parts cannot be opened ({error}). Check its folder and the disk"
            ) from error

    def take(self, part: Part, named: bool) -> bool:
        """Note that a part is under way; False where its id was taken already. `named`: the machine gave the id.

        Raises StoreError where it cannot be noted.
        """
        now = time.time()
        with self._using("a part cannot be noted"):
            if named and self._repeat_s and self._is_repeat(part.id, now):
                return False
            row = (part.key, part.id, named, part.triggered, part.recipe, part.recipe_id)
            self._file.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, 0)", row)
            self._taken += 1
            if self._taken % PRUNE == 0:
                self._file.execute("DELETE FROM parts WHERE answered AND at < ?", (now - self._repeat_s,))
        return True

    def answer(self, part: Part) -> None:
        """Note that a part is being answered; from then on, nobody else answers it. Raises StoreError."""
        with self._using("an answer cannot be noted"):
            self._file.execute("UPDATE parts SET answered = 1 WHERE key = ?", (part.key,))

    def unanswered(self) -> list[Part]:
        """Parts whose station died before it answered them, the oldest first. Raises StoreError."""
        return self._find("SELECT key, part_id, recipe, recipe_id, at FROM parts WHERE NOT answered ORDER BY at")

    def find(self, key: str) -> Part | None:
        """The part of this key; None where it was never taken. Raises StoreError."""
        return next(iter(self._find("SELECT key, part_id, recipe, recipe_id, at FROM parts WHERE key = ?", key)), None)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _find(self, query: str, *values: str) -> list[Part]:
        with self._using("cannot be read"):
            rows = self._file.execute(query, values).fetchall()
        now = time.monotonic()
        return [
            Part(key, part_id, recipe, recipe_id, at, started=now, until=now)
            for key, part_id, recipe, recipe_id, at in rows
        ]

    @contextmanager
    def _using(self, failure: str) -> Iterator[None]:
        """The file for one thread at a time; `failure` is what an error of the disk has come to."""
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {failure} ({error}). Check the disk") from error

    def _is_repeat(self, part_id: str, now: float) -> bool:
        # A time in the future is one of a clock that was set back since: it counts as recent.
        query = "SELECT 1 FROM parts WHERE part_id = ? AND named AND at > ? LIMIT 1"
        return self._file.execute(query, (part_id, now - self._repeat_s)).fetchone() is not None
