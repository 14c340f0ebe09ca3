"""One verdict of the line, as it is recorded, and the questions that can be asked of the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.core.result import Result

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
        kept = {name: found[name] for name in ("defects", "boxes", "warnings", "times_ms") if found.get(name)}
        values = {
            "verdict": result.verdict,
            "score": result.score,
            "p_value": result.p_value,
            "types": dict(result.types),
            "grade": result.grade,
            "details": kept,
        }
        return cls(station=station, triggered=triggered, **{**values, **more})

    @property
    def place(self) -> tuple[datetime, int]:
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
            raise InputError(f"{name}: holds a zero byte, which PostgreSQL cannot keep. Cut the text there")
