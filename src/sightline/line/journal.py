"""The journal: what must not be lost is kept in a small file first, and delivered to the database from there.

A database that is locked, away or slow never holds up a part, and a killed process loses nothing that was appended.
`Ledger` writes the entries into the store.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sightline.core.errors import InputError, SightlineError, StoreError
from sightline.core.files import make_private
from sightline.core.result import Verdict
from sightline.devices.link import Backoff
from sightline.line.settings import StationSettings
from sightline.store.audit import note
from sightline.store.inspections import Record
from sightline.store.retention import Origin, clear, collect
from sightline.store.store import Store

BATCH = 200
PAUSES = Backoff.model_validate({})  # after failed deliveries

Entry = dict[str, Any]
SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, body TEXT NOT NULL, error TEXT NOT NULL);
"""
SETTLE_S = 5.0  # what a power cut may cost of the database; the journal's thread waits for the disk, no part does
ORIGIN = ("station", "line", "lot", "serial", "recipe_hash", "exposure_us", "gain_db", "reason", "verdict")
EMBEDDED = ("key", "view", "image_hash", "recipe_hash")
TIMES = ("triggered", "captured", "inferred", "signalled")
LOG = logging.getLogger("sightline.line.journal")


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
            make_private(path)
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
        body = json.dumps(entry, allow_nan=False)  # ASCII: half a surrogate pair is text, too
        with self._changed:
            if self.waiting >= self._most:
                raise StoreError(
                    f"{self.waiting} records are waiting for the database, which is the limit. Bring the database back"
                )
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
            rows = self._file.execute("SELECT id, body FROM entries ORDER BY id LIMIT ?", (BATCH,)).fetchall()
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
            try:
                self._file.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", refused)
                self._file.executemany("DELETE FROM entries WHERE id = ?", [(number,) for number, _ in rows])
                self._file.execute("COMMIT")
            except BaseException:
                # SQLite may have done it already. Left open, it would take in what is appended next.
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise
            self.waiting -= len(rows)
            self._changed.notify_all()

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
        records = [_record(entry) for entry in entries if entry.get("kind") == "part"]
        store.inspections.record_many(records, self._settings.review_ng, self._settings.review_ok)
        for entry in entries:
            if entry.get("kind") == "correction":
                store.inspections.correct(str(entry["key"]), Verdict(entry["verdict"]), str(entry["error"]))
            if entry.get("kind") == "picture":
                store.inspections.set_image(str(entry["key"]), str(entry["image_hash"]))
                if vector := entry.get("embedding"):
                    part, view, picture, recipe = (str(entry[name]) for name in EMBEDDED)
                    store.embeddings.keep(part, view, picture, recipe, base64.b64decode(vector))
        events = [entry for entry in entries if entry.get("kind") == "event"]
        if events:
            station = f"station {self._settings.name}"
            with store.writing() as session:
                for event in events:
                    note(session, station, str(event["event"]), station, text=event["text"], at=event["time"])

        if time.monotonic() - self._settled > SETTLE_S:
            store.settle()
            self._settled = time.monotonic()

    def keep(self, data: bytes, view: str, told: Mapping[str, Any]) -> str:
        """Keep a picture (PNG bytes) as a sample of its product; the hash under which it is found.

        Raises StoreError, InputError.
        """
        store = self._store()
        image = store.images.put(data, f"part {told['key']}, view {view}")
        origin = Origin(
            product=told["product"] or "unknown",
            name=f"{told['station']}/{told['key']}-{view}.png",
            triggered=_moment(told["triggered"]),
            details={"view": view, "part": told["key"]},
            **cast(dict[str, Any], {name: told.get(name) for name in ORIGIN}),
        )
        collect(store.database, image, origin)
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


def _record(entry: Mapping[str, Any]) -> Record:
    try:
        values = {name: value for name, value in entry.items() if name != "kind"}
        moments = {name: _moment(values.get(name)) for name in TIMES}
        return Record(**{**values, **moments, "verdict": Verdict(values["verdict"])})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a record is damaged ({error}): {str(entry)[:200]}") from error


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
