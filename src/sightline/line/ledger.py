"""The ledger: journal entries as rows of the store, once each, however often they are delivered."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.line.journal import Entry
from sightline.line.settings import StationSettings
from sightline.store.audit import note
from sightline.store.collected import Origin, collect
from sightline.store.record import Record
from sightline.store.retention import clear
from sightline.store.store import Store

SETTLE_S = 5.0  # what a power cut may cost of the database; the journal's thread waits for the disk, no part does
ORIGIN = ("station", "line", "lot", "serial", "recipe_hash", "exposure_us", "gain_db", "reason", "verdict")
TIMES = ("triggered", "captured", "inferred", "signalled")


class Ledger:
    """Opens the store when it is first needed: a database that is away does not keep a station from starting."""

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings
        self._held: Store | None = None
        self._settled = time.monotonic()

    def write(self, entries: Sequence[Entry]) -> None:
        """Record entries in order; those that are there already are left. Raises StoreError, InputError."""
        store = self._store()
        store.inspections.record_many([_record(entry) for entry in entries if entry.get("kind") == "part"])
        for entry in entries:
            if entry.get("kind") == "correction":
                store.inspections.correct(str(entry["key"]), Verdict(entry["verdict"]), str(entry["error"]))
            if entry.get("kind") == "picture":
                store.inspections.set_image(str(entry["key"]), str(entry["image_hash"]))
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
            url = self._settings.database or str(self._settings.folder / "sightline.db")
            self._held = Store.open(url, self._settings.images)
        return self._held


def _record(entry: Mapping[str, Any]) -> Record:
    try:
        values = {name: value for name, value in entry.items() if name != "kind"}
        moments = {name: _moment(values.get(name)) for name in TIMES}
        return Record(**{**values, **moments, "verdict": Verdict(values["verdict"])})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a record is damaged ({error}): {str(entry)[:200]}") from error


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
