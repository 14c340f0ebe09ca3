"""The outbox: messages on disk until they are delivered, in order, over a broker's outage, a kill and a power cut."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sightline.core.errors import SettingError, SinkError

OVERHEAD_BYTES = 64  # what a row costs beside its body
REFUSED_MAX = 1000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL, why TEXT NOT NULL);
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `id` grows with each, `at` is when it was put in, in seconds since 1970."""

    id: int
    at: float
    body: bytes


class Outbox:
    """Messages in one SQLite file of at most about `megabytes_max`; where it is full the oldest go, and are counted.

    Once `put` has returned, the message survives a kill and, by fsync, a power cut. A damaged file is set aside and a
    new one begun. One process at a time. Safe to share between threads.
    Raises SettingError where the file cannot be opened or is in use.
    """

    def __init__(self, path: Path, megabytes_max: float = 256.0) -> None:
        self._path, self._bytes_max = path, int(megabytes_max * 1e6)
        self._lock = threading.Lock()
        self.dropped = 0
        self._db = self._open()
        count, size = self._db.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM message").fetchone()
        self._count, self._size = int(count), int(size) + OVERHEAD_BYTES * int(count)

    def __len__(self) -> int:
        return self._count

    def put(self, body: bytes) -> None:
        """Keep one message, at the end. Raises SinkError where the disk does not take it."""
        with self._lock, self._failing("kept"):
            freed, count = self._make_room(len(body) + OVERHEAD_BYTES)
            self._db.execute("INSERT INTO message (at, body) VALUES (?, ?)", (time.time(), body))
            self._db.commit()
            self._size += len(body) + OVERHEAD_BYTES - freed
            self._count += 1 - count
            self.dropped += count
        if count:
            _log.error("%s is full: the %d oldest messages were dropped. Raise outbox_mb", self._path, count)

    def peek(self, count: int) -> list[Message]:
        """The `count` oldest messages. Raises SinkError."""
        with self._lock, self._failing("read"):
            rows = self._db.execute("SELECT id, at, body FROM message ORDER BY id LIMIT ?", (count,)).fetchall()
        return [Message(*row) for row in rows]

    def remove(self, message: Message, refused: str = "") -> None:
        """Forget a delivered message, or set it aside where the other side has refused it for good, with the reason."""
        with self._lock, self._failing("removed"):
            gone = self._db.execute("DELETE FROM message WHERE id = ?", (message.id,)).rowcount
            if refused and gone:
                self._db.execute(
                    "INSERT INTO refused VALUES (?, ?, ?, ?)", (message.id, message.at, message.body, refused)
                )
                self._db.execute("DELETE FROM refused WHERE id <= ? - ?", (message.id, REFUSED_MAX))
            self._db.commit()
            self._count -= gone
            self._size -= (len(message.body) + OVERHEAD_BYTES) * gone

    def refused(self) -> list[tuple[Message, str]]:
        """The latest messages that the other side has refused for good, and why."""
        with self._lock, self._failing("read"):
            rows = self._db.execute("SELECT id, at, body, why FROM refused ORDER BY id").fetchall()
        return [(Message(*row[:3]), row[3]) for row in rows]

    def close(self) -> None:
        """Close the file; messages stay in it."""
        with self._lock:
            self._db.close()

    def _make_room(self, need: int) -> tuple[int, int]:
        """Delete the oldest until `need` bytes fit: freed bytes and messages."""
        freed = count = 0
        if self._size + need <= self._bytes_max:
            return 0, 0
        for number, size in self._db.execute("SELECT id, length(body) FROM message ORDER BY id").fetchall():
            if self._size - freed + need <= self._bytes_max:
                break
            self._db.execute("DELETE FROM message WHERE id = ?", (number,))
            freed, count = freed + size + OVERHEAD_BYTES, count + 1
        return freed, count

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(self._path)
        except sqlite3.OperationalError as error:
            raise SettingError(
                f"{self._path}: {error}. Give each sink an outbox of its own, in a folder it may write"
            ) from error
        except OSError as error:
            raise SettingError(f"{self._path}: {error.strerror}. Choose a folder that may be written") from error
        except sqlite3.DatabaseError as error:
            aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            _log.error("%s is damaged (%s): it was set aside as %s", self._path, error, aside.name)
            return _connect(self._path)

    @contextlib.contextmanager
    def _failing(self, what: str):  # type: ignore[no-untyped-def]
        try:
            yield
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.rollback()
            raise SinkError(f"{self._path}: a message could not be {what} ({error}). Check the disk") from error


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # an fsync with each commit
        db.executescript(_SCHEMA)
        db.execute("SELECT count(*) FROM message").fetchone()
        db.execute("PRAGMA user_version = 1")
        db.commit()
    except sqlite3.Error:
        db.close()
        raise
    return db
