"""The ledger: journal entries as rows of the store, once each, however often they are delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.line.journal import Entry
from sightline.line.settings import StationSettings
from sightline.store.audit import note
from sightline.store.record import Record
from sightline.store.store import Store

TIMES = ("triggered", "captured", "inferred", "signalled")


class Ledger:
    """Opens the store when it is first needed: a database that is away does not keep a station from starting."""

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings
        self._held: Store | None = None

    def write(self, entries: Sequence[Entry]) -> None:
        """Record entries in order; those that are there already are left. Raises StoreError, InputError."""
        store = self._store()
        store.inspections.record_many([_record(entry) for entry in entries if entry.get("kind") == "part"])
        for entry in entries:
            if entry.get("kind") == "picture":
                store.inspections.set_image(str(entry["key"]), str(entry["image_hash"]))
        events = [entry for entry in entries if entry.get("kind") == "event"]
        if events:
            station = f"station {self._settings.name}"
            with store.writing() as session:
                for event in events:
                    note(session, station, str(event["event"]), station, text=event["text"], at=event["time"])

    def keep(self, data: bytes, name: str) -> str:
        """Keep a picture (PNG bytes); the hash under which it is found. Raises StoreError, InputError."""
        return self._store().images.put(data, name).hash

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
