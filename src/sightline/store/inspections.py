"""The line's record: one for every verdict, written while the line runs, read by pages and by hours."""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, String, cast, func, insert, select, tuple_
from sqlalchemy.orm import Session

from sightline.core.errors import InputError, NotFoundError
from sightline.core.result import Verdict
from sightline.store import recording
from sightline.store.database import Database
from sightline.store.recording import COLUMNS, HOUR_US, Counts, Record, check
from sightline.store.tables.base import from_us, now, to_us
from sightline.store.tables.line import HourRow, InspectionRow

__all__ = ["MAX", "Filter", "Hour", "Inspections", "Position", "Record", "conditions", "record_of"]
MAX = 1000  # records on a page
Position = tuple[datetime, int]  # in the order of the record: moment of the trigger and id


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which inspections: all conditions that are given have to hold. `since` <= triggered < `until`.

    `type` is a defect type that was among the found ones. `shadow` None takes both kinds.
    Station, verdict, time, lot and serial have indices; the others are looked for among what these leave.
    """

    station: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    product: str | None = None
    lot: str | None = None
    serial: str | None = None
    type: str | None = None
    late: bool | None = None
    shadow: bool | None = False


@dataclass(frozen=True, slots=True)
class Hour:
    """Verdicts of one hour, which begins at `start` (UTC)."""

    start: datetime
    ok: int
    ng: int
    review: int

    @property
    def parts(self) -> int:
        """All of them."""
        return self.ok + self.ng + self.review

    @property
    def ok_share(self) -> float:
        """The yield, 0..1; 0 where there were no parts."""
        return self.ok / self.parts if self.parts else 0.0


class Inspections:
    """The inspections of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._one = insert(InspectionRow).returning(InspectionRow.__table__.c.id)
        self.counts = Counts(database.is_sqlite)

    def record(self, record: Record) -> int:
        """Keep one inspection; returns its id, or that of the one whose key is the same. Of REVIEW, a review is opened.

        After that it survives whatever happens to this program.
        On SQLite a power cut may cost what came after the last `Store.settle` (docs/decisions/0025). Raises InputError,
        StoreError.
        """
        check(record)
        with self._database.recording() as connection:
            there = None
            if record.key is not None:
                there = connection.scalar(select(InspectionRow.id).where(InspectionRow.key == record.key))
            if there is not None:
                return int(there)
            received = now()
            number = connection.execute(self._one, recording.values_of(record, received)).scalar_one()
            self.counts.add(connection, (record,), received)
            recording.ask(connection, [number], [record], {})
        return int(number)

    def record_many(self, records: Sequence[Record], ng_share: float = 0.0, ok_share: float = 0.0) -> None:
        """Keep a batch of inspections: all of them or, after an error, none; those whose key is there already stay.

        A review is opened for each part in REVIEW, and for these shares (0..1) of NG and OK ones, in the same
        transaction.
        """
        for record in records:
            check(record)
        with self._database.recording() as connection:
            recording.keep(connection, self.counts, records, ng_share, ok_share)

    def set_image(self, key: str, image_hash: str) -> None:
        """Note the picture of an inspection that was recorded under a key; nothing where there is none."""
        with self._database.recording() as connection:
            recording.set_image(connection, key, image_hash)

    def correct(self, key: str, verdict: Verdict, error: str) -> None:
        """Note that an inspection was answered late, and with what; nothing where there is none or it is noted."""
        with self._database.recording() as connection:
            recording.correct(connection, self.counts, key, verdict, error)

    def get(self, id: int) -> Record:
        """One inspection. Raises InputError where there is none."""
        with self._database.reading() as session:
            row = session.get(InspectionRow, id)
            if row is None:
                raise NotFoundError(f"there is no inspection {id}. Look it up again")
            return record_of(row)

    def page(self, filter: Filter | None = None, before: Position | None = None, limit: int = 50) -> tuple[Record, ...]:
        """The newest inspections that pass the filter, or with `before=page[-1].cursor` the next older ones.

        Inspections that come in between two pages shift nothing. Raises InputError for a limit out of 1 to 1000.
        """
        if not 1 <= limit <= MAX:
            raise InputError(f"a page of {limit} is not possible. Request 1 to {MAX}")
        wanted = filter or Filter()
        with self._database.reading() as session:
            # One query for each verdict: an index has all of one verdict in the order of the page, not of two.
            found = [_rows(session, wanted, verdict, before, limit) for verdict in wanted.verdicts or (None,)]
        merged = heapq.merge(*found, key=lambda record: record.cursor, reverse=True)
        return tuple(record for record, _ in zip(merged, range(limit), strict=False))

    def ends(self, station: str) -> tuple[Record, ...]:
        """The oldest and the newest record of a station, shadows among them; none where it has none."""
        row = InspectionRow
        mine = select(row).where(row.station == station).limit(1)
        first, last = (row.triggered, row.id), (row.triggered.desc(), row.id.desc())
        with self._database.reading() as session:
            found = (session.scalar(mine.order_by(*order)) for order in (first, last))
            return tuple(record_of(one) for one in found if one is not None)

    def newest_id(self) -> int:
        """The id of the record that was kept last; 0 where there is none."""
        with self._database.reading() as session:
            return session.scalar(select(func.max(InspectionRow.id))) or 0

    def recorded_after(self, id: int, limit: int = 100) -> tuple[Record, ...]:
        """The records that were kept after that one, in the order in which they were."""
        query = select(InspectionRow).where(InspectionRow.id > id).order_by(InspectionRow.id).limit(limit)
        with self._database.reading() as session:
            return tuple(record_of(row) for row in session.scalars(query))

    def hourly_yield(self, start: datetime, end: datetime, station: str | None = None) -> tuple[Hour, ...]:
        """Verdicts of each hour that begins in start <= hour < end and had any parts, of one station or of all."""
        first, last = (-(-to_us(moment) // HOUR_US) for moment in (start, end))
        query = select(HourRow.hour, HourRow.verdict, func.sum(HourRow.count)).group_by(HourRow.hour, HourRow.verdict)
        query = query.where(HourRow.hour >= first, HourRow.hour < last)
        if station is not None:
            query = query.where(HourRow.station == station)
        hours: defaultdict[int, Counter[str]] = defaultdict(Counter)
        with self._database.reading() as session:
            for hour, verdict, count in session.execute(query):
                hours[hour][verdict] = int(count)
        return tuple(
            Hour(from_us(hour * HOUR_US), counts[Verdict.OK], counts[Verdict.NG], counts[Verdict.REVIEW])
            for hour, counts in sorted(hours.items())
        )


def _rows(
    session: Session, wanted: Filter, verdict: Verdict | None, before: Position | None, limit: int
) -> Iterator[Record]:
    rows = session.execute(_query(wanted, verdict, before).limit(limit)).all()
    return (_record(dict(zip((*COLUMNS, "id"), row, strict=True))) for row in rows)


def _record(values: dict[str, Any]) -> Record:
    return Record(**{**values, "verdict": Verdict(values["verdict"])})


def _query(wanted: Filter, verdict: Verdict | None, before: Position | None) -> Select[Any]:
    row = InspectionRow
    # By columns: whole rows, which the session would watch for changes, take twice as long.
    query = (
        select(*(getattr(row, name) for name in COLUMNS), row.id)
        .where(*conditions(wanted))
        .order_by(row.triggered.desc(), row.id.desc())
    )
    single = wanted.lot is not None or wanted.serial is not None
    for column, value in ((row.station, wanted.station), (row.verdict, verdict)):
        if value is not None:
            # Few rows have one lot or serial, so its index is the one to use; a sum of texts has none.
            query = query.where((column.concat("") if single else column) == str(value))
    if before is not None:
        query = query.where(tuple_(row.triggered, row.id) < before)
    return query


def conditions(wanted: Filter) -> Iterator[Any]:
    """What a filter means in SQL, but for station and verdicts, whose indices depend on the question."""
    row = InspectionRow
    if wanted.since is not None:
        yield row.triggered >= wanted.since
    if wanted.until is not None:
        yield row.triggered < wanted.until
    for name in ("product", "lot", "serial"):
        if (value := getattr(wanted, name)) is not None:
            yield getattr(row, name) == value
    for name in ("late", "shadow"):
        if (value := getattr(wanted, name)) is not None:
            yield getattr(row, name).is_(value)  # as the indices of these have it, word for word
    if wanted.type is not None:
        # Not LIKE, which takes "Crack" for "crack" on SQLite and not on PostgreSQL.
        told = cast(row.types, String)
        yield func.replace(told, f"{json.dumps(wanted.type, ensure_ascii=False)}:", "") != told


def record_of(row: InspectionRow) -> Record:
    return _record({name: getattr(row, name) for name in (*COLUMNS, "id")})
