"""The journal: what must not be lost is kept in a small file first, and delivered to the database from there.

A database that is locked, away or slow never holds up a part, and a killed process loses nothing that was appended.
`Ledger` writes the entries into the store.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from sightline.core.errors import InputError, SightlineError, StoreError
from sightline.core.files import make_private
from sightline.devices.link import Backoff
from sightline.line.settings import StationSettings
from sightline.store.entries import corrected, embedding_of, note_events, origin_of, record_of
from sightline.store.retention import clear, collect
from sightline.store.store import Store

BATCH = 200
PAUSES = Backoff.model_validate({})  # after failed deliveries

Entry = dict[str, Any]
SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, body TEXT NOT NULL, error TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY);
"""
DELIVERED, FORWARDED = "delivered", "forwarded"  # the last entry that the database has, and that the site has
SETTLE_S = 5.0  # what a power cut may cost of the database; the journal's thread waits for the disk, no part does
LOG = logging.getLogger("sightline.line.journal")


class Journal:
    """Appends entries, and has a thread hand them to `deliver`, in order and at least once.

    `deliver` raises StoreError where it has to wait, InputError for an entry that can never be recorded: it is set
    apart for a person. `most` bounds the entries that may wait: beyond it `append` refuses, and a part without a
    record is NG. A process that is killed loses nothing; a power cut may cost what the system had not yet written.

    With `site_bytes` there is a second reader, who takes entries in the same order by `peek` and says by `forwarded`
    how far it has come; until then they stay here, unless those that are delivered have more bytes than that: then the
    oldest of these go, and are counted in `dropped`.
    """

    def __init__(
        self,
        path: Path,
        deliver: Callable[[Sequence[Entry]], None],
        most: int = 1_000_000,
        site_bytes: int | None = None,
    ) -> None:
        self._deliver, self._most, self._site_bytes = deliver, most, site_bytes
        self.dropped = self.waiting = self._last = self._bytes = 0
        self.name = ""  # of this journal, in which its entries have their numbers
        self.opened = 0  # the last number when it was opened
        self._reading: sqlite3.Connection | None = None
        self._changed = threading.Condition()
        self._closed = False
        self.error = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            make_private(path)
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=0.05)
            self._file.executescript(SCHEMA)
            self._resume()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"{path}: the journal cannot be opened ({error}). Check its folder and the disk"
            ) from error
        self._path = path
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(self, entry: Entry) -> None:
        """Keep an entry; when this returns, it survives the process. Raises StoreError where it cannot be kept."""
        body = json.dumps(entry, allow_nan=False)  # ASCII: half a surrogate pair is text, too
        with self._changed:
            if self.waiting >= self._most:
                raise StoreError(
                    f"{self.waiting} records are waiting for the database, which is the limit. Bring the database back"
                )
            try:
                self._last = int(self._file.execute("INSERT INTO entries (body) VALUES (?)", (body,)).lastrowid or 0)
            except sqlite3.Error as error:
                raise StoreError(f"{self._path}: the journal cannot be written ({error}). Check the disk") from error
            self.waiting += 1
            self._bytes += len(body)
            self._changed.notify_all()

    @property
    def to_forward(self) -> int:
        """Entries that the second reader has not yet taken."""
        return self._last - self._cursors[FORWARDED]

    def peek(self, count: int, most_bytes: int) -> list[tuple[int, str]]:
        """The next entries for the second reader, with their numbers, the first of them whatever its size.

        Whoever asks has a connection of its own: no part waits for it. One thread at a time. Raises StoreError.
        """
        try:
            if self._reading is None:
                self._reading = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            found: list[tuple[int, str]] = []
            size = 0
            query = "SELECT id, body FROM entries WHERE id > ? ORDER BY id LIMIT ?"
            for number, body in self._reading.execute(query, (self._cursors[FORWARDED], count)).fetchall():
                size += len(body)
                if found and size > most_bytes:
                    break
                found.append((int(number), str(body)))
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: the journal cannot be read ({error}). Check the disk") from error
        return found

    def forwarded(self, number: int) -> None:
        """The second reader has taken everything up to that entry. Raises StoreError."""
        with self._changed:
            try:
                self._move(FORWARDED, max(number, self._cursors[FORWARDED]))
            except sqlite3.Error as error:
                raise StoreError(f"{self._path}: the journal cannot be written ({error}). Check the disk") from error

    def rename(self) -> None:
        """Be another journal for the second reader, since numbers that it knows were given again after a power cut."""
        with self._changed:
            self.name = uuid4().hex
            self._file.execute("UPDATE identity SET name = ?", (self.name,))

    def wait(self, timeout_s: float, enough: int) -> None:
        """Wait until so many entries are there for the second reader, at most for a time."""
        with self._changed:
            self._changed.wait_for(lambda: self.to_forward >= enough or self._closed, timeout_s)

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
        if self._reading is not None:
            self._reading.close()

    def _resume(self) -> None:
        """Where the readers are, as the file has it; without a second one, nothing is kept for it."""
        ask = self._file.execute
        ask("INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)", (uuid4().hex,))
        self.name = str(ask("SELECT name FROM identity").fetchone()[0])
        self._last = int(ask("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'entries'").fetchone()[0])
        first = int(ask("SELECT COALESCE(MIN(id), ?) FROM entries", (self._last + 1,)).fetchone()[0])
        known = dict(ask("SELECT name, id FROM cursors").fetchall())
        self.opened = self._last
        self._cursors = {name: int(known.get(name, first - 1)) for name in (DELIVERED, FORWARDED)}
        if self._site_bytes is None and known:
            ask("DELETE FROM entries WHERE id <= ?", (self._cursors[DELIVERED],))
            ask("DELETE FROM cursors")
        count = "SELECT COUNT(*) FROM entries WHERE id > ?"
        self.waiting = int(ask(count, (self._cursors[DELIVERED],)).fetchone()[0])
        self._bytes = int(ask("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM entries").fetchone()[0])

    def _move(self, reader: str, number: int) -> None:
        """Note how far a reader has come, and remove what both have. Under the lock."""
        self._cursors[reader] = number
        if self._site_bytes is None:
            self._file.execute("DELETE FROM entries WHERE id <= ?", (number,))
            return
        done = min(self._cursors.values())
        self._file.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (reader, number))
        gone = self._file.execute("SELECT COALESCE(SUM(LENGTH(body)), 0) FROM entries WHERE id <= ?", (done,))
        size = int(gone.fetchone()[0])
        self._file.execute("DELETE FROM entries WHERE id <= ?", (done,))
        self._bytes -= size

    def _make_room(self) -> None:
        """Drop the oldest delivered entries that wait for the second reader, where all have too many bytes."""
        more = self._site_bytes is not None
        while more:
            with self._changed:
                before = self._cursors[FORWARDED]
                until = min(before + BATCH, self._cursors[DELIVERED])
                more = self._bytes > (self._site_bytes or 0) and until > before
                if more:
                    self._move(FORWARDED, until)
                    if not self.dropped:
                        LOG.error("more entries wait for the site than may: the oldest are only in this database")
                    self.dropped += until - before

    def _run(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.waiting or self._closed)
                if self._closed:
                    return
            try:
                self._deliver_some()
            except Exception as error:  # whatever it was: records that wait are not lost, those to come neither
                if not isinstance(error, (SightlineError, sqlite3.Error)):
                    LOG.exception("delivering records failed")
                self._note(str(error) or type(error).__name__)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, PAUSES.pause_s(failures))
                failures += 1
            else:
                failures = 0
                self._note("")

    def _deliver_some(self) -> None:
        with self._changed:
            query = "SELECT id, body FROM entries WHERE id > ? ORDER BY id LIMIT ?"
            rows = self._file.execute(query, (self._cursors[DELIVERED], BATCH)).fetchall()
        refused: list[tuple[int, str, str]] = []
        try:
            self._deliver([json.loads(body) for _, body in rows])
        except (InputError, ValueError):
            # One of them can never be recorded: the others are, and that one is set apart.
            for number, body in rows:
                try:
                    self._deliver([json.loads(body)])
                except (InputError, ValueError) as error:
                    LOG.error("an entry cannot be recorded and is set aside: %s", error, extra={"cause": str(error)})
                    refused.append((number, body, str(error)))
        with self._changed:
            self._file.execute("BEGIN IMMEDIATE")
            before = self._cursors[DELIVERED], self._bytes
            try:
                self._file.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", refused)
                self._move(DELIVERED, rows[-1][0])
                self._file.execute("COMMIT")
            except BaseException:
                self._cursors[DELIVERED], self._bytes = before
                # SQLite may have done it already. Left open, it would take in what is appended next.
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise
            self.waiting -= len(rows)
            self._changed.notify_all()
        self._make_room()

    def _note(self, error: str) -> None:
        if error and error != self.error:
            LOG.error("records wait for the database: %s", error, extra={"cause": error})
        elif self.error and not error:
            LOG.info("records reach the database again")
        self.error = error


class Ledger:
    """Journal entries as rows of the store, once each, however often they are delivered.

    The store is opened when it is first needed: a database that is away does not keep a station from starting.
    """

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings
        self._held: Store | None = None
        self._settled = time.monotonic()

    def write(self, entries: Sequence[Entry]) -> None:
        """Record entries in order; those that are there already are left. Raises StoreError, InputError."""
        store = self._store()
        records = [record_of(entry) for entry in entries if entry.get("kind") == "part"]
        store.inspections.record_many(records, self._settings.review_ng, self._settings.review_ok)
        for entry in entries:
            if entry.get("kind") == "correction":
                store.inspections.correct(*corrected(entry))
            if entry.get("kind") == "picture":
                store.inspections.set_image(str(entry["key"]), str(entry["image_hash"]))
                if vector := embedding_of(entry):
                    store.embeddings.keep(*vector)
        if any(entry.get("kind") == "event" for entry in entries):
            with store.writing() as session:
                note_events(session, self._settings.name, entries)

        if time.monotonic() - self._settled > SETTLE_S:
            store.settle()
            self._settled = time.monotonic()

    def keep(self, data: bytes, view: str, told: Mapping[str, Any]) -> str:
        """Keep a picture (PNG bytes) as a sample of its product; the hash under which it is found.

        Raises StoreError, InputError.
        """
        store = self._store()
        image = store.images.put(data, f"part {told['key']}, view {view}")
        collect(store.database, image, origin_of(told, view))
        return image.hash

    def clear(self) -> None:
        """Remove pictures whose time is over, or that are too many. Raises StoreError."""
        store = self._store()
        keep = self._settings.keep
        clear(store.database, store.images, keep.keep_days, int(keep.most_mb * 1e6) or None)

    def close(self) -> None:
        """Close the store."""
        if self._held is not None:
            self._held.close()

    def _store(self) -> Store:
        if self._held is None:
            self._held = open_store(self._settings)
        return self._held


def open_store(settings: StationSettings) -> Store:
    """The store of a station's records. Raises StoreError."""
    return Store.open(settings.database or str(settings.folder / "sightline.db"), settings.images)
