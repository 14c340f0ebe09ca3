"""Pilots: begun with targets and prices, followed in words, ended with a decision that people sign."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from sightline.evaluate.prices import Prices
from sightline.improve.pilot import Targets
from sightline.operations import pilot as work
from sightline.web.api.identity import Engineering, Reading
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["pilots"], route_class=Route, responses=responses(401, 403, 404, 409, 422))
Station = Annotated[str, InPath(min_length=1, max_length=200)]
Share = Annotated[float, Field(gt=0, lt=1)]
Price = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class PilotPrices(Form):
    """What one error, one review and one stop of the line cost, in any money, and how many parts are defective."""

    escape: Price = 50.0
    overkill: Price = 2.0
    review: Price | None = None
    stop: Price = 0.0
    defect_rate: Share = 0.01


class PilotBegin(Form):
    """A pilot to begin: the largest rates, the fewest parts, prices. `shadow`: of the recipe in shadow there. `note`
    says why it begins although a criterion is not met.
    """

    escape: Share = 0.01
    overkill: Share = 0.01
    review: Share = 0.03
    parts: int = Field(10_000, ge=1, le=100_000_000)
    prices: PilotPrices = PilotPrices()
    shadow: bool = False
    note: str = Field("", max_length=1000)


class PilotEnd(Form):
    """The decision; against the advice, a note says why."""

    decision: Literal["scale", "redesign", "stop"]
    note: str = Field("", max_length=1000)


class Criterion(BaseModel):
    """One thing that has to be so before a pilot begins: `why` in English, and its `code` with `values` for pages."""

    name: str
    met: bool
    why: str
    code: str
    values: dict[str, str | int]


class PilotEntry(BaseModel):
    """What has to be so before; `shadow` is the recipe that runs in shadow at the station, null without one."""

    station: str
    shadow: str | None
    criteria: list[Criterion]


@router.get("/pilots")
def pilots(site: Here, identity: Reading) -> list[dict[str, Any]]:
    """Beginnings and ends of pilots, the newest first, each a record with its signatures."""
    return work.pilots(site.store)


@router.get("/pilots/{station}/criteria")
def criteria(
    station: Station, site: Here, identity: Reading, shadow: Annotated[bool, Query(description="of its shadow")] = False
) -> PilotEntry:
    """Whether a pilot can begin at a station."""
    return PilotEntry.model_validate(work.entry(site.store, station, shadow))


@router.get("/pilots/{station}")
def status(station: Station, site: Here, identity: Reading) -> dict[str, Any]:
    """How the pilot of a station stands: its running verdict in words, the goals with their bounds, the advice."""
    return work.status(site.store, station)


@router.post("/pilots/{station}", status_code=201)
def begin(station: Station, form: PilotBegin, site: Here, identity: Engineering) -> dict[str, Any]:
    """Begin a pilot at a station."""
    prices = Prices(**form.prices.model_dump())
    targets = Targets(form.escape, form.overkill, form.review, form.parts, prices)
    return work.begin(site.store, station, targets, identity.name, form.note, form.shadow)


@router.post("/pilots/{station}/end")
def end(station: Station, form: PilotEnd, site: Here, identity: Engineering) -> dict[str, Any]:
    """End a pilot with a decision; its record has the evidence, and people sign it."""
    return work.end(site.store, station, form.decision, identity.name, form.note)
