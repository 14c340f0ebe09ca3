"""The line's record: one for every verdict, written while the line runs, read by pages and by hours."""

from __future__ import annotations

import heapq
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Select, String, cast, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sightline.core.errors import InputError, NotFoundError
from sightline.core.result import Result, Verdict
from sightline.store.database import Database
from sightline.store.review_queue import question
from sightline.store.tables.base import from_us, to_us
from sightline.store.tables.line import HourRow, InspectionRow, ReviewRow

HOUR_US = 3_600_000_000
MAX = 1000  # records on a page
AT_ONCE = 500  # keys in one query: both databases take a limited number
Position = tuple[datetime, int]  # in the order of the record: moment of the trigger and id
EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Record:
    """One part judged at a station.

    The moments are aware datetimes: when the part triggered, when its image was there, when the verdict was
    computed, when the signal was out. `score` and `p_value` are None where nothing could be judged. `types` has the
    probability of each defect type, `details` whatever else is to be kept (plain JSON). `late`: the signal came
    after its deadline. `shadow`: judged by a recipe on probation, which decided nothing. `key` is the station's own
    name for it: what is delivered twice under one key is recorded once. `id` is the store's.
    """

    station: str
    verdict: Verdict
    triggered: datetime
    score: float | None = None
    p_value: float | None = None
    line: str | None = None
    product: str | None = None
    lot: str | None = None
    serial: str | None = None
    types: Mapping[str, float] = field(default_factory=lambda: EMPTY)
    grade: int | None = None
    recipe_hash: str | None = None
    image_hash: str | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    captured: datetime | None = None
    inferred: datetime | None = None
    signalled: datetime | None = None
    late: bool = False
    error: str | None = None
    shadow: bool = False
    key: str | None = None
    id: int | None = None

    @classmethod
    def of(cls, result: Result, *, station: str, triggered: datetime, **more: Any) -> Record:
        """What was found in an image; `more` are further fields by name. Its defects, boxes, warnings and times go into
        `details`, where `more` does not say otherwise.
        """
        found = result.to_json()
        details = {name: found[name] for name in ("defects", "boxes", "warnings", "times_ms") if found.get(name)}
        values = {
            "verdict": result.verdict,
            "score": result.score,
            "p_value": result.p_value,
            "types": dict(result.types),
            "grade": result.grade,
            "details": details,
        }
        return cls(station=station, triggered=triggered, **{**values, **more})

    @property
    def counts(self) -> bool:
        """Whether it is a part of the production: check parts, blocked ones and shadows are in no yield."""
        return not self.shadow and self.details.get("purpose", "production") == "production"

    @property
    def cursor(self) -> tuple[datetime, int]:
        """Where a page that ends here goes on."""
        return self.triggered, self.id or 0


COLUMNS = tuple(column.name for column in fields(Record) if column.name != "id")


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


TEXTS = ("station", "line", "product", "lot", "serial", "recipe_hash", "image_hash", "error", "key")


def check(record: Record) -> None:
    """Raises InputError for a record without a station, with a moment without a time zone or a zero byte in a text."""
    if not record.station:
        raise InputError("an inspection needs a station. Name it")
    for name in ("triggered", "captured", "inferred", "signalled"):
        moment = getattr(record, name)
        if moment is not None and moment.tzinfo is None:
            raise InputError(f"{name}: {moment} has no time zone. Use datetime.now(UTC)")
    for name in TEXTS:
        if "\0" in (getattr(record, name) or ""):
            raise InputError(f"{name}: holds a zero byte, which PostgreSQL cannot store. Cut the text there")


class Inspections:
    """The inspections of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        table = InspectionRow.__table__
        self._one = insert(InspectionRow).returning(table.c.id)
        self._many = insert(InspectionRow)
        self._numbered = insert(InspectionRow).returning(table.c.id, sort_by_parameter_order=True)
        # The hour's count grows with the row, in one transaction: counting a month anew would take seconds.
        count = (sqlite if database.is_sqlite else postgresql).insert(HourRow)
        self._count = count.on_conflict_do_update(
            index_elements=["hour", "station", "verdict"], set_={"count": HourRow.count + count.excluded.count}
        )

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
            number = connection.execute(self._one, _values(record)).scalar_one()
            if hours := _hours((record,)):
                connection.execute(self._count, hours)
            _ask(connection, [number], [record], {})
        return int(number)

    def record_many(self, records: Sequence[Record], ng_share: float = 0.0, ok_share: float = 0.0) -> None:
        """Keep a batch of inspections: all of them or, after an error, none; those whose key is there already stay.

        A review is opened for each part in REVIEW, and for these shares (0..1) of NG and OK ones, in the same
        transaction.
        """
        for record in records:
            check(record)
        with self._database.recording() as connection:
            fresh = _fresh(connection, records)
            if not fresh:  # only pictures came, or all of it was there already
                return
            asked = ok_share > 0 or any(record.verdict is not Verdict.OK for record in fresh)
            if asked:
                numbers = connection.scalars(self._numbered, [_values(record) for record in fresh]).all()
                _ask(connection, numbers, fresh, {Verdict.NG: ng_share, Verdict.OK: ok_share})
            else:
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
            mine = select(row.id, row.triggered, row.station, row.verdict, row.details).where(
                row.key == key, row.late.is_(False)
            )
            found = connection.execute(mine).one_or_none()
            if found is None:
                return
            late = update(row).where(row.id == found.id)
            connection.execute(late.values(verdict=str(verdict), late=True, error=error))
            if (found.details or {}).get("purpose", "production") != "production":
                return
            hour = {"hour": to_us(found.triggered) // HOUR_US, "station": found.station}
            for name, count in ((found.verdict, -1), (str(verdict), 1)):
                connection.execute(self._count, {**hour, "verdict": name, "count": count})

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


def _ask(
    connection: Connection, numbers: Sequence[int], records: Sequence[Record], shares: Mapping[Verdict, float]
) -> None:
    """Open the reviews of new records, whose ids are `numbers`."""
    asked = (
        question(number, one.verdict, one.details, one.key or str(number), one.score is not None, shares)
        for number, one in zip(numbers, records, strict=True)
        if one.counts
    )
    if rows := [row for row in asked if row is not None]:
        connection.execute(insert(ReviewRow), rows)


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


def record_of(row: InspectionRow) -> Record:
    return _record({name: getattr(row, name) for name in (*COLUMNS, "id")})


def _hours(records: Sequence[Record]) -> list[dict[str, Any]]:
    # In one order for all writers, so that none waits for another in a circle.
    counts = Counter(
        (to_us(record.triggered) // HOUR_US, record.station, str(record.verdict)) for record in records if record.counts
    )
    return [
        {"hour": hour, "station": station, "verdict": verdict, "count": count}
        for (hour, station, verdict), count in sorted(counts.items())
    ]
