"""The outbox: messages on disk until a courier has delivered them, in order, over an outage, a kill and a power cut."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sightline.core.errors import SettingError, SinkError
from sightline.core.files import make_private
from sightline.core.signals import Signal
from sightline.devices.link import Backoff, Health, Link

OVERHEAD_BYTES = 64  # what a row costs beside its body
REFUSED_MAX = 1000
SPARE_MAX = 1000  # messages that are kept in memory while the disk takes none
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, at REAL NOT NULL, body BLOB NOT NULL, why TEXT NOT NULL);
"""
BATCH = 50
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `id` grows with each, `at` is when it was put in, in seconds since 1970."""

    id: int
    at: float
    body: bytes


class Outbox:
    """Messages in one SQLite file of at most about `megabytes_max`; where it is full the oldest go, and are counted.

    Once `put` has returned, the message survives a kill and, by fsync, a power cut. While the disk takes none, up to
    `SPARE_MAX` are kept in memory instead: an answer that a machine waits for goes out all the same. What the disk does
    not forget then is delivered again by the next box of this file. A damaged file is set aside and a new one begun.
    One process at a time. Safe to share between threads.
    Raises SettingError where the file cannot be opened or is in use.
    """

    def __init__(self, path: Path, megabytes_max: float = 256.0) -> None:
        self._path, self._bytes_max = path, int(megabytes_max * 1e6)
        self._lock = threading.Lock()
        self.dropped = 0
        self._db = self._open()
        count, size = self._db.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM message").fetchone()
        self._count, self._size = int(count), int(size) + OVERHEAD_BYTES * int(count)
        self._last = int(self._db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()[0])
        self._spare: list[Message] = []  # newer than all on the disk, which did not take them
        self._left: list[tuple[Message, str]] = []  # delivered, and not yet removed from the disk

    def __len__(self) -> int:
        return self._count - len(self._left) + len(self._spare)

    def put(self, body: bytes) -> None:
        """Keep one message, at the end. Raises SinkError where neither disk nor memory takes it."""
        with self._lock, self._failing("kept"):
            message = Message(self._last + 1, time.time(), body)
            try:
                self._write([*self._spare, message])
            except sqlite3.OperationalError as error:
                self._db.rollback()
                if len(self._spare) >= SPARE_MAX:
                    raise
                if not self._spare:
                    _log.error(
                        "%s: messages are kept in memory because the disk cannot be written (%s). Free space",
                        self._path,
                        error,
                    )
                self._spare.append(message)
            self._last = message.id

    def peek(self, count: int) -> list[Message]:
        """The `count` oldest messages. Raises SinkError."""
        with self._lock, self._failing("read"):
            done = self._left[-1][0].id if self._left else 0
            query = "SELECT id, at, body FROM message WHERE id > ? ORDER BY id LIMIT ?"
            rows = self._db.execute(query, (done, count)).fetchall()
            return [*(Message(*row) for row in rows), *self._spare][:count]

    def remove(self, message: Message, refused: str = "") -> None:
        """Forget a delivered message, or set it aside where the other side has refused it for good, with the reason."""
        with self._lock, self._failing("removed"):
            if message in self._spare:
                self._spare.remove(message)  # it was never on the disk
                return
            self._left.append((message, refused))
            try:
                gone = [one for one, why in self._left if self._delete(one, why)]
                self._db.commit()
            except sqlite3.OperationalError as error:
                self._db.rollback()
                _log.warning("%s: delivered messages stay on the disk for now (%s)", self._path, error)
                return
            self._left.clear()
            self._count -= len(gone)
            self._size -= sum(len(one.body) + OVERHEAD_BYTES for one in gone)

    def refused(self) -> list[tuple[Message, str]]:
        """The latest messages that the other side has refused for good, and why."""
        with self._lock, self._failing("read"):
            rows = self._db.execute("SELECT id, at, body, why FROM refused ORDER BY id").fetchall()
        return [(Message(*row[:3]), row[3]) for row in rows]

    def close(self) -> None:
        """Close the file; messages stay in it."""
        with self._lock:
            try:
                if self._spare:
                    self._write(self._spare)
            except sqlite3.Error as error:
                _log.error(
                    "%s: %d messages are lost because the disk cannot be written (%s)",
                    self._path,
                    len(self._spare),
                    error,
                )
            self._spare = []
            self._db.close()

    def _write(self, messages: list[Message]) -> None:
        """Write them to the disk, for which the oldest there make room; then none is spare any more."""
        need = sum(len(message.body) + OVERHEAD_BYTES for message in messages)
        freed, count = self._make_room(need)
        rows = [(message.id, message.at, message.body) for message in messages]
        self._db.executemany("INSERT INTO message (id, at, body) VALUES (?, ?, ?)", rows)
        self._db.commit()
        self._spare = []
        self._size += need - freed
        self._count += len(messages) - count
        self.dropped += count
        if count:
            _log.error("%s is full: the %d oldest messages were dropped. Raise outbox_mb", self._path, count)

    def _delete(self, message: Message, refused: str) -> bool:
        """Whether it was on the disk."""
        gone = self._db.execute("DELETE FROM message WHERE id = ?", (message.id,)).rowcount > 0
        if refused:
            row = (message.id, message.at, message.body, refused)
            self._db.execute("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?)", row)
            self._db.execute("DELETE FROM refused WHERE id <= ? - ?", (message.id, REFUSED_MAX))
        return gone

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
                f"{self._path}: {error}. Give each sink its own outbox, in a folder that it may write"
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
    make_private(path)
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


class Box(Protocol):
    """Where messages wait: an Outbox on disk, or a MemoryBox. `dropped` counts those that were lost for good."""

    dropped: int

    def __len__(self) -> int:
        """How many wait."""

    def put(self, body: bytes) -> None:
        """Keep one message, at the end. Raises SinkError where it cannot be kept."""

    def peek(self, count: int) -> list[Message]:
        """The `count` oldest messages."""

    def remove(self, message: Message, refused: str = "") -> None:
        """Forget a message."""


class MemoryBox:
    """Messages in memory: up to `count_max`, then new ones are refused. They end with the process."""

    dropped = 0

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._lock = threading.Lock()
        self._messages: list[Message] = []
        self._next = 1

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, body: bytes) -> None:
        """Keep one message, at the end. Raises SinkError where it is full."""
        with self._lock:
            if len(self._messages) >= self._count_max:
                raise SinkError(f"{self._count_max} messages are already waiting. Check why they are not delivered")
            self._messages.append(Message(self._next, 0.0, body))
            self._next += 1

    def peek(self, count: int) -> list[Message]:
        """The `count` oldest messages."""
        with self._lock:
            return self._messages[:count]

    def remove(self, message: Message, refused: str = "") -> None:
        """Forget a message."""
        with self._lock:
            self._messages = [other for other in self._messages if other.id != message.id]


class Refused(Exception):
    """The other side will never take the first message: it is set aside, and the next one goes."""


class Courier:
    """Delivers from `box` in its own thread. `wake` tells it that there is something new.

    `deliver(messages)` gives how many of them, from the first on, have arrived; fewer than all, SinkError or OSError
    make a pause that grows, and the rest is tried again: every message arrives at least once and in order.
    """

    def __init__(self, name: str, box: Box, deliver: Callable[[Sequence[Message]], int], backoff: Backoff) -> None:
        self._name, self._box, self._deliver, self._backoff = name, box, deliver, backoff
        self._new, self._stop = threading.Event(), threading.Event()
        self.failures = self.refused = 0
        self.error = ""
        self._thread = threading.Thread(target=self._run, name=f"courier {name}", daemon=True)
        self._thread.start()

    def send(self, signal: Signal) -> None:
        """Keep a signal as JSON in the box and have it delivered. Raises SinkError where the box does not take it."""
        self._box.put(json.dumps(signal.to_json()).encode())
        self.wake()

    def health(self, link: Link[Any] | None = None) -> Health:
        """Whether the other side is there, and how many messages wait for it.

        Without a link to it, it is there where the last delivery succeeded.
        """
        return Health(
            connected=not self.error if link is None else link.connected,
            reconnects=0 if link is None else link.reconnects,
            dropped=self._box.dropped,
            waiting=len(self._box),
            failures=self.failures + self.refused,
            error=(link.error if link is not None else "") or self.error,
        )

    def wake(self) -> None:
        """There is something to deliver."""
        self._new.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop after the delivery that is under way."""
        self._stop.set()
        self._new.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        attempt, size = 0, BATCH
        while not self._stop.is_set():
            self._new.clear()
            try:
                messages = self._box.peek(size)
                if not messages:
                    self._new.wait()
                    continue
                complete, size = self._take(messages), BATCH
            except (SinkError, OSError) as error:
                complete = self._failed(error, attempt)
            except Exception as error:  # noqa: BLE001 (logged; this thread must go on)
                # A message that nobody foresaw must not stop those behind it: alone, it is set aside.
                _log.exception("sink %s: a message cannot be delivered", self._name)
                complete = self._failed(error, attempt)
                if size == 1:
                    self._set_aside(messages[0], f"{type(error).__name__}: {error}")
                size = 1
            if complete:
                attempt, self.error = 0, ""
            else:
                self._stop.wait(self._backoff.pause_s(attempt))
                attempt += 1

    def _take(self, messages: list[Message]) -> bool:
        try:
            count = self._deliver(messages)
        except Refused as reason:
            self._set_aside(messages[0], str(reason))
            return True
        for message in messages[:count]:
            self._box.remove(message)
        return count == len(messages)

    def _failed(self, error: Exception, attempt: int) -> bool:
        self.error = str(error)
        self.failures += 1
        _log.log(logging.WARNING if attempt == 0 else logging.DEBUG, "sink %s: %s", self._name, error)
        return False

    def _set_aside(self, message: Message, why: str) -> None:
        self.refused += 1
        _log.error("sink %s: a message was refused for good and set aside: %s", self._name, why)
        with contextlib.suppress(SinkError):  # it stays where it is, and is tried again
            self._box.remove(message, refused=why)
