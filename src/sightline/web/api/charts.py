"""Charts of the line's record: the p-chart, where defects lie, and how long answers take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from sightline.core.result import Verdict
from sightline.evaluate.statistics.control_chart import RULES, SOURCE, p_chart
from sightline.operations import rates as work
from sightline.store.places import CELLS
from sightline.store.statistics import Latency
from sightline.web.api.identity import Reading
from sightline.web.api.inspections import Since, Text, span
from sightline.web.api.problems import responses
from sightline.web.api.site import Here

router = APIRouter(tags=["inspections"], responses=responses(401, 403, 422))
Begin = Annotated[str | None, Query(pattern="^[0-9a-f]{8,64}$", description="SHA-256 of the file, or how it begins")]
MAX_LOTS = 500


class ChartPoint(BaseModel):
    """A subgroup: an hour, by its start, or a lot. `rules` are those whose pattern ends here."""

    model_config = ConfigDict(from_attributes=True)

    label: str
    n: int
    ng: int
    p: float
    lower: float
    upper: float
    rules: list[int]


class PChart(BaseModel):
    """The share of NG parts by subgroup with its limits; `center` is the mean of all, null where there are no parts."""

    subgroup: str
    center: float | None
    parts: int
    ng: int
    rules: dict[int, str]
    source: str
    points: list[ChartPoint]


class Estimate(BaseModel):
    """A rate 0..1 with its interval; `value` is null where a verdict has no answer yet."""

    model_config = ConfigDict(from_attributes=True)

    value: float | None
    lower: float
    upper: float


class Stratum(BaseModel):
    """Parts of one verdict, and what people called those of them that they were asked about at random."""

    model_config = ConfigDict(from_attributes=True)

    verdict: Verdict
    parts: int
    good: int
    defective: int


class LiveRates(BaseModel):
    """`escape`: defective parts judged OK; `overkill`: good parts judged NG; `shipped`: defective among OK parts.

    All bounds of one rate hold together at `confidence`; `strata` are what they rest on.
    """

    model_config = ConfigDict(from_attributes=True)

    escape: Estimate
    overkill: Estimate
    shipped: Estimate
    confidence: float
    strata: list[Stratum]


class ViewGrid(BaseModel):
    """How many defects of a view touch each cell: `grid[row][column]`, the first row at the top."""

    view: str
    defects: int
    most: int
    grid: list[list[int]]


class DefectGrids(BaseModel):
    """Where defects lie. `complete` false: these are the newest parts only. `without_size`: so many are left out."""

    size: int
    parts: int
    complete: bool
    without_size: int
    views: list[ViewGrid]


@router.get("/statistics/p-chart")
def chart(
    site: Here,
    identity: Reading,
    since: Since = None,
    until: Since = None,
    station: Text = None,
    subgroup: Literal["hour", "lot"] = "hour",
) -> PChart:
    """The p-chart of NG parts by hour, or by lot within 7 days, with run rules."""
    statistics, when = site.store.statistics, span(since, until)
    if subgroup == "hour":
        hours = statistics.hours(*when, station)
        found = [(hour.start.strftime("%Y-%m-%dT%H:%M:%SZ"), hour.parts, hour.ng) for hour in hours]
    else:  # those come with the newest first
        found = [(lot.name, lot.parts, lot.ng) for lot in reversed(statistics.lots(*when, station, MAX_LOTS))]
    made = p_chart(found)
    points = [ChartPoint.model_validate(point) for point in made.points]
    return PChart(
        subgroup=subgroup, center=made.center, parts=made.parts, ng=made.ng, rules=RULES, source=SOURCE, points=points
    )


@router.get("/statistics/places")
def places(
    site: Here,
    identity: Reading,
    since: Since = None,
    until: Since = None,
    recipe: Begin = None,
    station: Text = None,
    product: Text = None,
    verdict: Verdict | None = None,
) -> DefectGrids:
    """Where the defects of NG and REVIEW parts lie, by view: of the 1,000 newest parts of a time at most."""
    verdicts = (verdict,) if verdict is not None else (Verdict.NG, Verdict.REVIEW)
    found = site.store.places.counted(*span(since, until), verdicts, recipe, station, product)
    views = [
        ViewGrid(view=one.view, defects=one.defects, most=int(one.grid.max()), grid=one.grid.tolist())
        for one in found.views
    ]
    return DefectGrids(
        size=CELLS, parts=found.parts, complete=found.complete, without_size=found.without_size, views=views
    )


@router.get("/statistics/latency")
def latency(
    site: Here, identity: Reading, since: Since = None, until: Since = None, station: Text = None
) -> list[Latency]:
    """How long answers took, from trigger to signal, in each hour; of the last day, or of at most 2 days."""
    end = until or datetime.now(UTC)
    start = since or max(end, datetime(2, 1, 1, tzinfo=UTC)) - timedelta(days=1)
    return list(site.store.statistics.latency(start, end, station))


@router.get("/statistics/rates")
def rates(
    site: Here, identity: Reading, station: Text = None, days: Annotated[float, Query(gt=0, le=366)] = 30.0
) -> LiveRates:
    """Escape and overkill of the running line, estimated from parts that people were asked about at random."""
    return LiveRates.model_validate(work.rates(site.store, station, days))
