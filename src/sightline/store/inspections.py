"""The line's record: written while the line runs, read by pages and by hours."""

from __future__ import annotations

import heapq
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, String, cast, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.store.database import Database
from sightline.store.record import COLUMNS, Filter, Hour, Record, check
from sightline.store.tables.base import from_us, to_us
from sightline.store.tables.inspections import HourRow, InspectionRow

HOUR_US = 3_600_000_000
MOST = 1000  # records on a page
AT_ONCE = 500  # keys in one query: both databases take a limited number
Place = tuple[datetime, int]


class Inspections:
    """The inspections of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        table = InspectionRow.__table__
        self._one = insert(InspectionRow).returning(table.c.id)
        self._many = insert(InspectionRow)
        # The hour's count grows with the row, in one transaction: counting a month anew would take seconds.
        count = (sqlite if database.is_sqlite else postgresql).insert(HourRow)
        self._count = count.on_conflict_do_update(
            index_elements=["hour", "station", "verdict"], set_={"count": HourRow.count + count.excluded.count}
        )

    def record(self, record: Record) -> int:
        """Keep one inspection; returns its id, or that of the one whose key is the same.

        After that it survives whatever happens to this program.
        On SQLite a power cut may cost what came after the last `Store.settle` (docs/decisions/0025). Raises InputError,
        StoreError.
        """
        check(record)
        with self._database.recording() as connection:
            there = None if record.key is None else connection.scalar(_number_of(record.key))
            if there is not None:
                return int(there)
            number = connection.execute(self._one, _values(record)).scalar_one()
            if not record.shadow:
                connection.execute(self._count, _hours((record,)))
        return int(number)

    def record_many(self, records: Sequence[Record]) -> None:
        """Keep a batch of inspections: all of them or, after an error, none; those whose key is there already stay."""
        for record in records:
            check(record)
        with self._database.recording() as connection:
            fresh = _fresh(connection, records)
            if fresh:
                connection.execute(self._many, [_values(record) for record in fresh])
            if hours := _hours(fresh):
                connection.execute(self._count, hours)

    def set_image(self, key: str, image_hash: str) -> None:
        """Note the picture of an inspection that was recorded under a key; nothing where there is none."""
        with self._database.recording() as connection:
            mine = update(InspectionRow).where(InspectionRow.key == key)
            connection.execute(mine.values(image_hash=image_hash))

    def correct(self, key: str, verdict: Verdict, error: str) -> None:
        """Note that an inspection was answered late, and with what; nothing where there is none or it is noted."""
        row = InspectionRow
        with self._database.recording() as connection:
            mine = select(row.id, row.triggered, row.station, row.verdict).where(row.key == key, row.late.is_(False))
            found = connection.execute(mine).one_or_none()
            if found is None:
                return
            late = update(row).where(row.id == found.id)
            connection.execute(late.values(verdict=str(verdict), late=True, error=error))
            hour = {"hour": to_us(found.triggered) // HOUR_US, "station": found.station}
            for name, count in ((found.verdict, -1), (str(verdict), 1)):
                connection.execute(self._count, {**hour, "verdict": name, "count": count})

    def get(self, id: int) -> Record:
        """One inspection. Raises InputError where there is none."""
        with self._database.reading() as session:
            row = session.get(InspectionRow, id)
            if row is None:
                raise InputError(f"there is no inspection {id}. Look it up again")
            return _record(row)

    def page(self, filter: Filter | None = None, before: Place | None = None, limit: int = 50) -> tuple[Record, ...]:
        """The newest inspections that pass the filter, or with `before=page[-1].place` the next older ones.

        Inspections that come in between two pages shift nothing. Raises InputError for a limit out of 1 to 1000.
        """
        if not 1 <= limit <= MOST:
            raise InputError(f"a page of {limit} is not possible. Ask for 1 to {MOST}")
        wanted = filter or Filter()
        with self._database.reading() as session:
            # One query for each verdict: an index has all of one verdict in the order of the page, not of two.
            found = [_rows(session, wanted, verdict, before, limit) for verdict in wanted.verdicts or (None,)]
        merged = heapq.merge(*found, key=lambda record: record.place, reverse=True)
        return tuple(record for record, _ in zip(merged, range(limit), strict=False))

    def hourly_yield(self, start: datetime, end: datetime, station: str | None = None) -> tuple[Hour, ...]:
        """Verdicts of each hour that begins in start <= hour < end and had any parts, of one station or of all."""
        first, last = (-(-to_us(moment) // HOUR_US) for moment in (start, end))
        query = select(HourRow.hour, HourRow.verdict, HourRow.count).where(HourRow.hour >= first, HourRow.hour < last)
        if station is not None:
            query = query.where(HourRow.station == station)
        hours: defaultdict[int, Counter[str]] = defaultdict(Counter)
        with self._database.reading() as session:
            for hour, verdict, count in session.execute(query):
                hours[hour][verdict] += count
        return tuple(
            Hour(from_us(hour * HOUR_US), seen[Verdict.OK], seen[Verdict.NG], seen[Verdict.REVIEW])
            for hour, seen in sorted(hours.items())
        )


def _number_of(key: str) -> Select[int]:
    return select(InspectionRow.id).where(InspectionRow.key == key)


def _fresh(connection: Connection, records: Sequence[Record]) -> list[Record]:
    """The records whose keys are not there yet; the first of several with one key."""
    wanted = {record.key for record in records if record.key is not None}
    names, there = sorted(wanted), set[str | None]()
    for start in range(0, len(names), AT_ONCE):
        some = InspectionRow.key.in_(names[start : start + AT_ONCE])
        there |= set(connection.scalars(select(InspectionRow.key).where(some)))
    found = []
    for record in records:
        if record.key is None or record.key not in there:
            found.append(record)
            there.add(record.key)
    return found


def _rows(
    session: Session, wanted: Filter, verdict: Verdict | None, before: Place | None, limit: int
) -> Iterator[Record]:
    rows = session.scalars(_query(wanted, verdict, before).limit(limit)).all()
    return (_record(row) for row in rows)


def _query(wanted: Filter, verdict: Verdict | None, before: Place | None) -> Select[InspectionRow]:
    row = InspectionRow
    query = select(row).where(*_conditions(wanted)).order_by(row.triggered.desc(), row.id.desc())
    single = wanted.lot is not None or wanted.serial is not None
    for column, value in ((row.station, wanted.station), (row.verdict, verdict)):
        if value is not None:
            # Few rows have one lot or serial, so its index is the one to use; a sum of texts has none.
            query = query.where((column.concat("") if single else column) == str(value))
    if before is not None:
        query = query.where(tuple_(row.triggered, row.id) < before)
    return query


def _conditions(wanted: Filter) -> Iterator[Any]:
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


def _values(record: Record) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in COLUMNS}
    values["verdict"] = str(record.verdict)
    values["score"], values["p_value"] = _number(record.score), _number(record.p_value)
    values["types"] = {name: _number(share) for name, share in record.types.items()}
    values["details"] = dict(record.details)
    return values


def _number(value: float | None) -> float | None:
    """A measurement that failed has no number; numpy's become Python's."""
    return float(value) if value is not None and math.isfinite(value) else None


def _record(row: InspectionRow) -> Record:
    values = {name: getattr(row, name) for name in COLUMNS}
    return Record(**{**values, "verdict": Verdict(row.verdict), "id": row.id})


def _hours(records: Sequence[Record]) -> list[dict[str, Any]]:
    # In one order for all writers, so that none waits for another in a circle.
    counts = Counter(
        (to_us(record.triggered) // HOUR_US, record.station, str(record.verdict))
        for record in records
        if not record.shadow
    )
    return [
        {"hour": hour, "station": station, "verdict": verdict, "count": count}
        for (hour, station, verdict), count in sorted(counts.items())
    ]
