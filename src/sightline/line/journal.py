"""The journal: what must not be lost is kept in a small file first, and delivered to the database from there.

A database that is locked, away or slow never holds up a part, and a killed process loses nothing that was appended.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError, SightlineError, StoreError

BATCH = 200
PAUSE_S = (0.2, 5.0)  # after a failed delivery: the first and the longest pause
LOG = logging.getLogger("sightline.line.journal")

Entry = dict[str, Any]
SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, body TEXT NOT NULL, error TEXT NOT NULL);
"""


class Journal:
    """Appends entries, and has a thread hand them to `deliver`, in order and at least once.

    `deliver` raises StoreError where it has to wait, InputError for an entry that can never be recorded: it is set
    apart for a person. `most` bounds the entries that may wait: beyond it `append` refuses, and a part without a
    record is NG. A process that is killed loses nothing; a power cut may cost what the system had not yet written.
    """

    def __init__(self, path: Path, deliver: Callable[[Sequence[Entry]], None], most: int = 1_000_000) -> None:
        self._deliver, self._most = deliver, most
        self._changed = threading.Condition()
        self._closed = False
        self.error = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=0.05)
            self._file.executescript(SCHEMA)
            self.waiting = int(self._file.execute("SELECT COUNT(*) FROM entries").fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{path}: the journal cannot be opened ({error}). Check its folder and the disk"
            ) from error
        self._path = path
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(self, entry: Entry) -> None:
        """Keep an entry; when this returns, it survives the process. Raises StoreError where it cannot be kept."""
        body = json.dumps(entry, ensure_ascii=False, allow_nan=False)
        with self._changed:
            if self.waiting >= self._most:
                raise StoreError(f"{self.waiting} records wait for the database, and no more may. Bring it back")
            try:
                self._file.execute("INSERT INTO entries (body) VALUES (?)", (body,))
            except sqlite3.Error as error:
                raise StoreError(f"{self._path}: the journal cannot be written ({error}). Check the disk") from error
            self.waiting += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is delivered; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self.waiting == 0, timeout_s)

    def close(self, timeout_s: float = 3.0) -> None:
        """Deliver what can be delivered in time; the rest is delivered by the next journal of this file."""
        if self._closed:
            return
        self.flush(timeout_s)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=2.0)
        with self._changed:
            self._file.close()

    def _run(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.waiting or self._closed)
                if self._closed:
                    return
            try:
                self._deliver_some()
            except (SightlineError, sqlite3.Error) as error:
                failures = self._pause(str(error), failures)
            except Exception as error:  # a fault of ours: the thread goes on, and the entries are still there
                LOG.exception("records cannot be delivered", extra={"cause": str(error)})
                failures = self._pause(f"{type(error).__name__}: {error}", failures)
            else:
                failures = 0
                self._note("")

    def _pause(self, error: str, failures: int) -> int:
        """Wait before the next try, longer each time; returns the number of failures."""
        self._note(error)
        with self._changed:
            self._changed.wait_for(lambda: self._closed, min(PAUSE_S[0] * 2 ** min(failures, 10), PAUSE_S[1]))
        return failures + 1

    def _deliver_some(self) -> None:
        with self._changed:
            rows = self._file.execute("SELECT id, body FROM entries ORDER BY id LIMIT ?", (BATCH,)).fetchall()
        refused: list[tuple[int, str, str]] = []
        try:
            self._deliver([json.loads(body) for _, body in rows])
        except InputError:
            # One of them can never be recorded: the others are, and that one is set apart.
            for number, body in rows:
                try:
                    self._deliver([json.loads(body)])
                except InputError as error:
                    LOG.error("an entry cannot be recorded and is set apart: %s", error, extra={"cause": str(error)})
                    refused.append((number, body, str(error)))
        with self._changed:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", refused)
            self._file.executemany("DELETE FROM entries WHERE id = ?", [(number,) for number, _ in rows])
            self._file.execute("COMMIT")
            self.waiting -= len(rows)
            self._changed.notify_all()

    def _note(self, error: str) -> None:
        if error and error != self.error:
            LOG.error("records wait for the database: %s", error, extra={"cause": error})
        elif self.error and not error:
            LOG.info("records reach the database again")
        self.error = error
