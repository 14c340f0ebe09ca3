"""The ledger: journal entries as rows of the store, once each, however often they are delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update

from sightline.core.errors import InputError
from sightline.line.journal import Entry
from sightline.line.settings import StationSettings
from sightline.store.store import Store
from sightline.store.tables.inspections import InspectionRow
from sightline.store.tables.people import AuditRow

TIMES = ("triggered", "captured", "inferred", "signalled")


class Ledger:
    """Opens the store when it is first needed: a database that is away does not keep a station from starting."""

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings
        self._held: Store | None = None

    def write(self, entries: Sequence[Entry]) -> None:
        """Record entries in order; those that are there already are left. Raises StoreError, InputError."""
        parts = [_row(entry) for entry in entries if entry.get("kind") == "part"]
        store = self._store()
        with store.database.recording() as connection:
            keys = [row["key"] for row in parts]
            there = set(connection.scalars(select(InspectionRow.key).where(InspectionRow.key.in_(keys))))
            fresh = [row for row in parts if row["key"] not in there]
            if fresh:
                connection.execute(insert(InspectionRow), fresh)
            for entry in entries:
                if entry.get("kind") == "picture":
                    mine = InspectionRow.key == entry["key"]
                    connection.execute(update(InspectionRow).where(mine).values(image_hash=entry["image_hash"]))
            events = [self._event(entry) for entry in entries if entry.get("kind") == "event"]
            if events:
                connection.execute(insert(AuditRow), events)

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

    def _event(self, entry: Entry) -> dict[str, Any]:
        return {
            "created": _moment(entry["time"]),
            "author": f"station {self._settings.name}",
            "action": entry["event"],
            "subject": self._settings.name,
            "details": {"text": entry["text"]},
        }


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    try:
        row = {name: value for name, value in entry.items() if name != "kind"}
        return row | {name: _moment(row.get(name)) for name in TIMES}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a record is damaged ({error}): {str(entry)[:200]}") from error


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
