"""Figures over many inspections: yield by hour, station and lot, and which defect types there are most of."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import BigInteger, func, select, type_coerce

from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.store.database import Database
from sightline.store.inspections import Filter, Hour, Inspections, conditions
from sightline.store.recording import HOUR_US
from sightline.store.tables.base import from_us, to_us
from sightline.store.tables.line import HourRow, InspectionRow

LONGEST = timedelta(days=400)  # of a chart
LONGEST_READ = timedelta(days=7)  # where inspections themselves are read, not their counts
LONGEST_TIMED = timedelta(days=2)  # where each part's time is read
MAX_READ = 5_000  # of each of NG and REVIEW, the newest, for a Pareto chart


@dataclass(frozen=True, slots=True)
class Yield:
    """Verdicts of a station or a lot."""

    name: str
    ok: int
    ng: int
    review: int
    parts: int
    ok_share: float


@dataclass(frozen=True, slots=True)
class TypeCount:
    """How many NG and REVIEW parts showed a defect type most of all."""

    type: str
    count: int


@dataclass(frozen=True, slots=True)
class Pareto:
    """Types by how often, of `parts` NG and REVIEW parts; `complete` is False where there were too many to read."""

    types: tuple[TypeCount, ...]
    parts: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the answers of an hour took, from trigger to signal, in ms, and how many came late."""

    start: datetime
    parts: int
    late: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float


class Statistics:
    """Statistics of a store."""

    def __init__(self, database: Database, inspections: Inspections) -> None:
        self._database, self._inspections = database, inspections

    def hours(self, start: datetime, end: datetime, station: str | None = None) -> tuple[Hour, ...]:
        """As `Inspections.hourly_yield`. Raises InputError for more than 400 days."""
        check_span(start, end, LONGEST)
        return self._inspections.hourly_yield(start, end, station)

    def stations(self, start: datetime, end: datetime) -> tuple[Yield, ...]:
        """The yield of each station over whole hours in start <= hour < end."""
        check_span(start, end, LONGEST)
        first, last = (-(-to_us(moment) // HOUR_US) for moment in (start, end))
        query = select(HourRow.station, HourRow.verdict, func.sum(HourRow.count)).group_by(
            HourRow.station, HourRow.verdict
        )
        with self._database.reading() as session:
            rows = session.execute(query.where(HourRow.hour >= first, HourRow.hour < last)).all()
        return _yields([(name, verdict, int(count)) for name, verdict, count in rows])

    def lots(self, start: datetime, end: datetime, station: str | None = None, limit: int = 100) -> tuple[Yield, ...]:
        """The yield of the lots of which parts came in start <= triggered < end, those parts alone; at most 7 days."""
        check_span(start, end, LONGEST_READ)
        row = InspectionRow
        wanted = Filter(station=station, since=start, until=end)
        purpose = func.coalesce(row.details["purpose"].as_string(), "production")
        query = (
            select(row.lot, row.verdict, func.count())
            .where(*conditions(wanted), row.lot.is_not(None), purpose == "production")
            .group_by(row.lot, row.verdict)
            .order_by(func.max(row.triggered).desc())
            .limit(limit * len(Verdict))
        )
        if station is not None:
            query = query.where(row.station == station)
        with self._database.reading() as session:
            rows = session.execute(query).all()
        return _yields([(str(lot), verdict, count) for lot, verdict, count in rows])[:limit]

    def latency(self, start: datetime, end: datetime, station: str | None = None) -> tuple[Latency, ...]:
        """How long answers took in each hour with parts in start <= triggered < end; at most 2 days."""
        check_span(start, end, LONGEST_TIMED)
        row = InspectionRow
        times = [type_coerce(column, BigInteger) for column in (row.triggered, row.signalled)]  # µs, not moments
        query = select(*times, row.late).where(*conditions(Filter(station=station, since=start, until=end)))
        query = query.where(row.signalled.is_not(None))
        if station is not None:
            query = query.where(row.station == station)
        with self._database.reading() as session:
            found = np.array([tuple(one) for one in session.execute(query)], np.int64).reshape(-1, 3)
        hours, told = found[:, 0] // HOUR_US, []
        for hour in np.unique(hours):
            some = found[hours == hour]
            took = (some[:, 1] - some[:, 0]) / 1e3
            shares = [round(float(ms), 3) for ms in np.percentile(took, (50, 95, 99, 100))]
            told.append(Latency(from_us(int(hour) * HOUR_US), len(some), int(some[:, 2].sum()), *shares))
        return tuple(told)

    def pareto(self, start: datetime, end: datetime, station: str | None = None, lot: str | None = None) -> Pareto:
        """Which types the NG and REVIEW parts of a time showed most of all; of no type known: `unknown`."""
        check_span(start, end, LONGEST)
        row = InspectionRow
        counts: Counter[str] = Counter()
        parts, complete = 0, True
        with self._database.reading() as session:
            for verdict in (Verdict.NG, Verdict.REVIEW):
                wanted = Filter(station=station, lot=lot, since=start, until=end)
                query = select(row.types).where(*conditions(wanted), row.verdict == str(verdict))
                if station is not None:
                    query = query.where(row.station == station)
                found = session.scalars(query.order_by(row.triggered.desc(), row.id.desc()).limit(MAX_READ)).all()
                counts.update(
                    max(types, key=lambda name: types[name] or 0.0) if types else "unknown" for types in found
                )
                parts, complete = parts + len(found), complete and len(found) < MAX_READ
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return Pareto(tuple(TypeCount(*pair) for pair in ordered), parts, complete)


def check_span(start: datetime, end: datetime, longest: timedelta) -> None:
    """Raises InputError for a time that ends before it begins, or is longer than that."""
    if not timedelta() < end - start <= longest:
        raise InputError(f"the time has to be from 0 to {longest.days} days long. Choose start and end anew")


def _yields(rows: list[tuple[str, str, int]]) -> tuple[Yield, ...]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, verdict, count in rows:
        counts[name][verdict] += count
    found = []
    for name, by_verdict in counts.items():
        ok, ng, review = (by_verdict[verdict] for verdict in (Verdict.OK, Verdict.NG, Verdict.REVIEW))
        parts = ok + ng + review
        found.append(Yield(name, ok, ng, review, parts, ok / parts if parts else 0.0))
    return tuple(found)
