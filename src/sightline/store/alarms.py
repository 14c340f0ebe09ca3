"""Alarms of drift: raised once, acknowledged by a person; and the charts that raise them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.line import AlarmRow, ChartRow, EmbeddingRow, InspectionRow, MarkRow

OPEN, ACKNOWLEDGED = "open", "acknowledged"
DRIFT = "drift"  # the mark's name
NEAR = 20_000  # inspections on either side of a change, among which its pictures are looked for
MAX_NOTE = 1000

Key = tuple[str, str, str]  # station, view, hash of the recipe


@dataclass(frozen=True, slots=True)
class Alarm:
    """A drift at a station. `since`, `number` and `again` are inspections: where the change began as far as charts can
    tell, where the alarm was raised, where the charts last found it again; `at` was the newest when somebody
    acknowledged it. `accepted`: the line is to stay as it is now.
    """

    id: int
    station: str
    view: str
    recipe_hash: str
    cause: str
    since: int
    number: int
    again: int
    figures: Mapping[str, Any]
    before_hash: str | None
    after_hash: str | None
    state: str
    accepted: bool
    author: str | None
    note: str
    created: datetime
    acknowledged: datetime | None
    at: int | None

    @property
    def key(self) -> Key:
        """Which charts it is of."""
        return self.station, self.view, self.recipe_hash


@dataclass(frozen=True, slots=True)
class NewAlarm:
    """An alarm to be raised; where one of its cause is open for the same charts, that is noted as found again."""

    key: Key
    cause: str
    since: int
    number: int
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredCharts:
    """How the charts of one view of a station with one recipe stand, and when they last moved."""

    key: Key
    state: Mapping[str, Any]
    updated: datetime


FIELDS = tuple(Alarm.__dataclass_fields__)


class Alarms:
    """The alarms of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, state: str | None = None, station: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[Alarm, ...]:
        """Alarms, the newest first."""
        query = select(AlarmRow).order_by(AlarmRow.id.desc()).limit(limit)
        for column, value in ((AlarmRow.state, state), (AlarmRow.station, station)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(AlarmRow.id < before)
        with self._database.reading() as session:
            return tuple(_alarm(row) for row in session.scalars(query))

    def get(self, id: int) -> Alarm:
        """One alarm. Raises NotFoundError."""
        with self._database.reading() as session:
            return _alarm(_find(session, id))

    def acknowledge(self, id: int, author: str, note: str = "", accept: bool = False) -> Alarm:
        """Take note of an alarm: who, when, and in which words. With `accept`, the line is to stay as it is.

        Raises NotFoundError, ConflictError where somebody was first, InputError for a note that is too long.
        """
        if len(note) > MAX_NOTE:
            raise InputError(f"a note of {len(note)} letters is too long. Keep it to {MAX_NOTE}")
        with self._database.writing() as session:
            row = _find(session, id, lock=True)
            if row.state != OPEN:
                raise ConflictError(f"alarm {id} was acknowledged by {row.author} already. Look at it again")
            row.state, row.author, row.note, row.accepted, row.acknowledged = ACKNOWLEDGED, author, note, accept, now()
            row.at = session.scalar(select(func.max(InspectionRow.id))) or 0
            subject = f"alarm {id}"
            audit(session, author, "acknowledge", subject, note, station=row.station, cause=row.cause, accepted=accept)
            session.flush()
            return _alarm(row)

    def charts(self, station: str | None = None) -> tuple[StoredCharts, ...]:
        """How all charts stand, or those of a station; the ones that moved last come first."""
        query = select(ChartRow).order_by(ChartRow.updated.desc(), ChartRow.id)
        if station is not None:
            query = query.where(ChartRow.station == station)
        with self._database.reading() as session:
            rows = session.scalars(query).all()
            return tuple(StoredCharts((row.station, row.view, row.recipe_hash), row.state, row.updated) for row in rows)

    def mark(self) -> int | None:
        """The inspection up to which the charts have seen all; None where they have seen none."""
        with self._database.reading() as session:
            return session.scalar(select(MarkRow.inspection).where(MarkRow.name == DRIFT))

    def advance(
        self, before: int | None, after: int, charts: Mapping[Key, Mapping[str, Any]], alarms: Sequence[NewAlarm]
    ) -> bool:
        """Keep how the charts stand after an inspection, and raise alarms: all of it, or nothing where another program
        has moved the charts on from `before` meanwhile; whether it was kept.
        """
        with self._database.writing() as session:
            if not _moved(session, before, after):
                return False
            for key, state in charts.items():
                row = session.scalar(select(ChartRow).where(*_is(ChartRow, key)))
                row = row or ChartRow(**dict(zip(("station", "view", "recipe_hash"), key, strict=True)))
                row.state, row.updated = dict(state), now()
                session.add(row)
            for alarm in alarms:
                _raise(session, alarm)
            return True

    def find_pictures(self) -> None:
        """Look for kept pictures from before and after the change of open alarms that still lack one."""
        lacking = AlarmRow.before_hash.is_(None) | AlarmRow.after_hash.is_(None)
        with self._database.reading() as session:
            rows = session.scalars(select(AlarmRow).where(AlarmRow.state == OPEN, lacking).limit(50)).all()
            found = {
                row.id: {
                    "before_hash": row.before_hash or _picture(session, row, row.since - NEAR, row.since - 1, True),
                    "after_hash": row.after_hash or _picture(session, row, row.number, row.number + NEAR, False),
                }
                for row in rows
            }
            fresh = {row.id: found[row.id] for row in rows if _hashes(row) != tuple(found[row.id].values())}
        if fresh:
            with self._database.writing() as session:
                for id, hashes in fresh.items():
                    session.execute(update(AlarmRow).where(AlarmRow.id == id).values(**hashes))


def _hashes(row: AlarmRow) -> tuple[str | None, str | None]:
    return row.before_hash, row.after_hash


def _moved(session: Session, before: int | None, after: int) -> bool:
    if before is None:
        if session.get(MarkRow, DRIFT) is not None:
            return False
        session.execute(insert(MarkRow).values(name=DRIFT, inspection=after))
        return True
    mine = update(MarkRow).where(MarkRow.name == DRIFT, MarkRow.inspection == before)
    return bool(session.connection().execute(mine.values(inspection=after)).rowcount)


def _raise(session: Session, alarm: NewAlarm) -> None:
    mine = select(AlarmRow).where(*_is(AlarmRow, alarm.key), AlarmRow.cause == alarm.cause, AlarmRow.state == OPEN)
    row = session.scalar(mine)
    if row is not None:
        row.again, row.figures = alarm.number, dict(alarm.figures)
        return
    station, view, recipe_hash = alarm.key
    session.add(
        AlarmRow(
            **{"station": station, "view": view, "recipe_hash": recipe_hash, "cause": alarm.cause, "state": OPEN},
            **{"since": alarm.since, "number": alarm.number, "again": alarm.number, "created": now()},
            figures=dict(alarm.figures),
        )
    )
    session.flush()  # of two alarms of one cause in one go, the second finds the first


def _is(row: type[AlarmRow] | type[ChartRow], key: Key) -> tuple[Any, ...]:
    return row.station == key[0], row.view == key[1], row.recipe_hash == key[2]


def _picture(session: Session, alarm: AlarmRow, first: int, last: int, newest: bool) -> str | None:
    """The hash of a picture of the alarm's view, inspected with its recipe, that was kept between two inspections."""
    part, kept = InspectionRow, EmbeddingRow
    query = select(kept.hash).join(part, part.key == kept.part).where(part.id.between(first, last))
    query = query.where(kept.recipe_hash == alarm.recipe_hash, kept.view == alarm.view, part.station == alarm.station)
    return session.scalar(query.order_by(part.id.desc() if newest else part.id).limit(1))


def _find(session: Session, id: int, lock: bool = False) -> AlarmRow:
    query = select(AlarmRow).where(AlarmRow.id == id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFoundError(f"there is no alarm {id}. Look it up again")
    return row


def _alarm(row: AlarmRow) -> Alarm:
    return Alarm(**{name: getattr(row, name) for name in FIELDS})
