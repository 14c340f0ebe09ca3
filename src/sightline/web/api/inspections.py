"""Inspections of the line, and figures over them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict

from sightline.core.result import Verdict
from sightline.operations.parquet import parquet_chunks
from sightline.operations.records import csv_lines
from sightline.store.inspections import Filter, Record
from sightline.store.statistics import Pareto, Yield
from sightline.store.tables.base import from_us, to_us
from sightline.web.api.identity import Reading
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.site import Here

router = APIRouter(tags=["inspections"], responses=responses(401, 403, 404, 422))
Text = Annotated[str | None, Query(min_length=1, max_length=200)]
Since = Annotated[AwareDatetime | None, Query(examples=["2026-03-01T00:00:00Z"])]
CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
LATEST_US = 253_402_300_799_000_000  # the end of the year 9999


class HourYield(BaseModel):
    """Verdicts of the hour that begins at `start`."""

    model_config = ConfigDict(from_attributes=True)

    start: datetime
    ok: int
    ng: int
    review: int
    parts: int
    ok_share: float


def conditions(
    station: Text = None,
    verdict: Annotated[list[Verdict] | None, Query(max_length=3)] = None,
    since: Since = None,
    until: Since = None,
    product: Text = None,
    lot: Text = None,
    serial: Text = None,
    type: Text = None,
    late: bool | None = None,
    shadow: bool | None = False,
) -> Filter:
    """Which inspections a query wants."""
    return Filter(
        station=station,
        verdicts=tuple(dict.fromkeys(verdict or ())),
        since=since,
        until=until,
        product=product,
        lot=lot,
        serial=serial,
        type=type,
        late=late,
        shadow=shadow,
    )


Wanted = Annotated[Filter, Depends(conditions)]


@router.get("/inspections")
def inspections(
    site: Here, identity: Reading, wanted: Wanted, after: After = None, limit: Limit = 50
) -> Listed[Record]:
    """Inspections, the newest first; those that pass all conditions that are given."""
    last = place(after, int, int)
    before = None if last is None else (from_us(max(-LATEST_US // 5, min(last[0], LATEST_US))), last[1])
    found = site.store.inspections.page(wanted, before, limit)
    return listed(found, limit, lambda record: [to_us(record.triggered), record.id])


def table_of(kind: str) -> dict[int | str, dict[str, Any]]:
    """What a route answers that sends a file of this media type."""
    return {200: {"content": {kind: {}}, "description": "the table"}}


@router.get("/inspections.csv", response_class=StreamingResponse, responses=table_of(CSV))
def csv_table(site: Here, identity: Reading, wanted: Wanted) -> StreamingResponse:
    """All inspections that pass the conditions, as a table in CSV, the newest first."""
    headers = {"Content-Disposition": 'attachment; filename="inspections.csv"'}
    return StreamingResponse(csv_lines(site.store, wanted), media_type=CSV, headers=headers)


@router.get("/inspections.parquet", response_class=StreamingResponse, responses=table_of(PARQUET) | responses(501))
def parquet_table(site: Here, identity: Reading, wanted: Wanted) -> StreamingResponse:
    """The same table as a Parquet file. 501 where the server has not the extra [parquet]."""
    headers = {"Content-Disposition": 'attachment; filename="inspections.parquet"'}
    return StreamingResponse(parquet_chunks(site.store, wanted), media_type=PARQUET, headers=headers)


@router.get("/inspections/{number}")
def inspection(number: int, site: Here, identity: Reading) -> Record:
    """One inspection."""
    return site.store.inspections.get(number)


@router.get("/statistics/hours")
def hours(
    site: Here, identity: Reading, since: Since = None, until: Since = None, station: Text = None
) -> list[HourYield]:
    """Verdicts of each hour, of the last day where no time is given; of one station or of all."""
    return [HourYield.model_validate(hour) for hour in site.store.statistics.hours(*span(since, until), station)]


@router.get("/statistics/stations")
def stations(site: Here, identity: Reading, since: Since = None, until: Since = None) -> list[Yield]:
    """The yield of each station."""
    return list(site.store.statistics.stations(*span(since, until)))


@router.get("/statistics/lots")
def lots(
    site: Here,
    identity: Reading,
    since: Since = None,
    until: Since = None,
    station: Text = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[Yield]:
    """The yield of the lots of a time of at most 7 days."""
    return list(site.store.statistics.lots(*span(since, until), station, limit))


@router.get("/statistics/types")
def types(
    site: Here, identity: Reading, since: Since = None, until: Since = None, station: Text = None, lot: Text = None
) -> Pareto:
    """Which defect types there were most of, among NG and REVIEW parts."""
    return site.store.statistics.pareto(*span(since, until), station, lot)


def span(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """A time, by default the last day with the present hour."""
    end = until or datetime.now(UTC) + timedelta(hours=1)
    return since or end - timedelta(hours=25), end
