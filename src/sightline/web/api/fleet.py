"""The fleet: all stations side by side, products compared over them, and computers that are replaced."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from sightline.evaluate.statistics.intervals import Rate
from sightline.operations import fleet as work
from sightline.web.api.identity import Operating, Reading
from sightline.web.api.jobs import Reason
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.site import Here

router = APIRouter(tags=["fleet"], route_class=Route, responses=responses(401, 403, 404, 409, 422))


class Share(BaseModel):
    """A share of parts with its exact 95 % interval; `value` is null without parts."""

    value: float | None
    lower: float
    upper: float
    count: int
    of: int


class RunningRecipe(BaseModel):
    """A recipe that a station runs. `signed` is null where this store does not have it; `behind` what is rolled out."""

    model_config = ConfigDict(from_attributes=True)

    product: str
    hash: str
    signed: bool | None
    behind: bool
    fault: str


class FleetStation(BaseModel):
    """A station. `sends`: over HTTP; then `waiting` records are still there, `missing` ones never came, `offset_s` is
    of its clock from the server's, and `other` says when a second computer tried to send as this station.
    """

    station: str
    parts: int
    ok: Share
    ng: Share
    review: Share
    alarms: list[str]
    recipes: list[RunningRecipe]
    heard: datetime | None
    sends: bool
    waiting: int
    missing: int
    refused: int
    offset_s: float | None
    version: str
    other: str


class StationShare(BaseModel):
    """The share of NG at one station."""

    station: str
    ng: Share


class ComparedProduct(BaseModel):
    """A product over stations. `p_value`: how likely so different shares of NG are where all are equal."""

    product: str
    stations: list[StationShare]
    p_value: float | None


class FleetState(BaseModel):
    """All stations, and the products that several of them have inspected."""

    hours: float
    stations: list[FleetStation]
    products: list[ComparedProduct]


@router.get("/fleet")
def fleet(site: Here, identity: Reading, hours: Annotated[float, Query(ge=1, le=work.MAX_HOURS)] = 24.0) -> FleetState:
    """How all stations are, by what came to this server within so many hours of its own clock."""
    found = work.stations(site.store, hours)
    return FleetState(
        hours=hours,
        stations=[_station(one) for one in found.stations],
        products=[
            ComparedProduct(
                product=one.product,
                stations=[StationShare(station=name, ng=_share(rate)) for name, rate in one.shares],
                p_value=one.p_value,
            )
            for one in found.products
        ],
    )


@router.post("/stations/{name}/replace", status_code=202)
def replace(name: str, site: Here, identity: Operating, reason: Reason = "") -> dict[str, Any]:
    """Take what the next computer sends as this station, and no more of the one before."""
    return {"station": work.replace(site.store, name, reason, identity.name).station}


def _station(one: work.StationFigures) -> FleetStation:
    values: dict[str, Any] = {name: getattr(one, name) for name in FleetStation.model_fields}
    values |= {name: _share(values[name]) for name in ("ok", "ng", "review")}
    values["recipes"] = [RunningRecipe.model_validate(recipe) for recipe in one.recipes]
    return FleetStation(**values)


def _share(rate: Rate) -> Share:
    return Share(value=rate.value, lower=rate.lower, upper=rate.upper, count=rate.count, of=rate.of)
