"""What is kept of a part that was judged, and how: rows, counts and reviews in one transaction of the caller's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sightline.core.errors import InputError
from sightline.core.result import Result, Verdict
from sightline.store.review_queue import question
from sightline.store.tables.base import now, to_us
from sightline.store.tables.fleet import ReceivedRow
from sightline.store.tables.line import HourRow, InspectionRow, ReviewRow

HOUR_US = 3_600_000_000
AT_ONCE = 500  # keys in one query: both databases take a limited number
EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Record:
    """One part judged at a station.

    The moments are aware datetimes: when the part triggered, when its image was there, when the verdict was
    computed, when the signal was out, all by the station's clock; `received` is when the store had it, by its own.
    `score` and `p_value` are None where nothing could be judged. `types` has the probability of each defect type,
    `details` whatever else is to be kept (plain JSON). `late`: the signal came after its deadline. `shadow`: judged by
    a recipe on probation, which decided nothing. `key` is the station's own name for it: what is delivered twice under
    one key is recorded once. `id` is the store's.
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
    received: datetime | None = None
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


class Counts:
    """Counts of verdicts that grow with the rows, in their transaction: counting a month anew would take seconds."""

    def __init__(self, is_sqlite: bool) -> None:
        make = sqlite if is_sqlite else postgresql
        count = make.insert(HourRow)
        self._hours = count.on_conflict_do_update(
            index_elements=["hour", "station", "verdict"], set_={"count": HourRow.count + count.excluded.count}
        )
        more = make.insert(ReceivedRow)
        self._received = more.on_conflict_do_update(
            index_elements=list(RECEIVED), set_={"count": ReceivedRow.count + more.excluded.count}
        )

    def add(self, connection: Connection, records: Sequence[Record], received: datetime, by: int = 1) -> None:
        """Count the records that count, by the hour of their trigger and by that in which the store received them."""
        counted = [record for record in records if record.counts]
        if not counted:
            return
        # In one order for all writers, so that none waits for another in a circle.
        hours = Counter((to_us(one.triggered) // HOUR_US, one.station, str(one.verdict)) for one in counted)
        names = ("hour", "station", "verdict")
        rows = [dict(zip(names, key, strict=True)) | {"count": by * count} for key, count in sorted(hours.items())]
        connection.execute(self._hours, rows)
        hour = to_us(received) // HOUR_US
        shares = Counter(
            (hour, one.station, one.product or "", one.recipe_hash or "", str(one.verdict)) for one in counted
        )
        rows = [dict(zip(RECEIVED, key, strict=True)) | {"count": by * count} for key, count in sorted(shares.items())]
        connection.execute(self._received, rows)


RECEIVED = ("hour", "station", "product", "recipe_hash", "verdict")
MANY = insert(InspectionRow)
NUMBERED = MANY.returning(InspectionRow.__table__.c.id, sort_by_parameter_order=True)


def keep(
    connection: Connection,
    counts: Counts,
    records: Sequence[Record],
    ng_share: float = 0.0,
    ok_share: float = 0.0,
) -> int:
    """Keep records, as `Inspections.record_many`, in the transaction of `connection`; how many were new."""
    for record in records:
        check(record)
    received = now()
    fresh = _fresh(connection, records)
    if not fresh:  # only pictures came, or all of it was there already
        return 0
    asked = ok_share > 0 or any(record.verdict is not Verdict.OK for record in fresh)
    rows = [values_of(record, received) for record in fresh]
    if asked:
        ask(connection, connection.scalars(NUMBERED, rows).all(), fresh, {Verdict.NG: ng_share, Verdict.OK: ok_share})
    else:
        connection.execute(MANY, rows)
    counts.add(connection, fresh, received)
    return len(fresh)


def set_image(connection: Connection, key: str, image_hash: str) -> None:
    """As `Inspections.set_image`, in the transaction of `connection`."""
    connection.execute(update(InspectionRow).where(InspectionRow.key == key).values(image_hash=image_hash))


def correct(connection: Connection, counts: Counts, key: str, verdict: Verdict, error: str) -> None:
    """As `Inspections.correct`, in the transaction of `connection`."""
    row = InspectionRow
    query = select(row).where(row.key == key, row.late.is_(False))
    found = connection.execute(query).one_or_none()
    if found is None:
        return
    late = update(row).where(row.id == found.id)
    connection.execute(late.values(verdict=str(verdict), late=True, error=error))
    values = {name: getattr(found, name) for name in COLUMNS}
    before = Record(**{**values, "verdict": Verdict(found.verdict), "details": found.details or {}})
    received = found.received or found.triggered
    counts.add(connection, [before], received, by=-1)
    counts.add(connection, [replace(before, verdict=verdict)], received)


def ask(
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


def values_of(record: Record, received: datetime) -> dict[str, Any]:
    """A record as a row's values."""
    values = {name: getattr(record, name) for name in COLUMNS}
    values["verdict"] = str(record.verdict)
    values["score"], values["p_value"] = _number(record.score), _number(record.p_value)
    values["types"] = {name: _number(share) for name, share in record.types.items()}
    values["details"] = dict(record.details)
    values["received"] = received
    return values


def _number(value: float | None) -> float | None:
    """A measurement that failed has no number; numpy's become Python's."""
    return float(value) if value is not None and math.isfinite(value) else None
