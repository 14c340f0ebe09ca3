"""Stations: their addresses, how they are, what they are asked for, and what they see."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, WebSocket
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from sightline.core.errors import InputError
from sightline.store.stations import Station
from sightline.web import stations as ports
from sightline.web.api import sockets
from sightline.web.api.etags import IfMatch, etag, revision_of
from sightline.web.api.identity import Administering, Attending, Operating, Reading
from sightline.web.api.jobs import Reason
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here, Site

router = APIRouter(tags=["stations"], route_class=Route, responses=responses(401, 403, 404, 409, 412, 422))
STILL_S = 1.0  # so long without a new picture, the age of the last one is told


class Address(Form):
    """Where a station's HTTP port is. `token_env`: a variable of the server's environment, SIGHTLINE_STATION_..."""

    url: str = Field(max_length=300, examples=["http://192.168.1.20:9108"])
    token_env: str = Field("", max_length=100, examples=["SIGHTLINE_STATION_PRESS_3"])


class Recipe(Form):
    """A recipe of the station, by name, number or barcode."""

    recipe: str = Field(min_length=1, max_length=200)


class State(BaseModel):
    """How a station is. `status` is what it says of itself, empty where it cannot be reached."""

    name: str
    reachable: bool
    why: str
    status: dict[str, Any]


@router.get("/stations")
def stations(site: Here, identity: Reading, after: After = None, limit: Limit = 50) -> Listed[Station]:
    """Stations, by name."""
    found = site.store.stations.page(place(after, str) or "", limit)
    return listed(found, limit, lambda station: station.name)


@router.get("/stations/{name}")
def station(name: str, response: Response, site: Here, identity: Reading) -> Station:
    """One station's address."""
    found = site.store.stations.get(name)
    response.headers["ETag"] = etag(found.revision)
    return found


@router.put("/stations/{name}")
def put_station(
    name: str, form: Address, response: Response, site: Here, identity: Administering, if_match: IfMatch = None
) -> Station:
    """Name a station's address, a new one's or in place of the old one. Its name is the one in its own file."""
    kept = site.store.stations.put(name, form.url, form.token_env, identity.name, revision_of(if_match))
    response.headers["ETag"] = etag(kept.revision)
    return kept


@router.delete("/stations/{name}", status_code=204)
def remove_station(name: str, site: Here, identity: Administering, reason: Reason = "") -> None:
    """Forget a station's address. Its records stay."""
    site.store.stations.remove(name, identity.name, reason)


@router.get("/stations/{name}/status")
def status(name: str, site: Here, identity: Reading) -> State:
    """How a station is now."""
    found = ports.status(site.store.stations.get(name))
    return State(name=name, reachable=found.pop("reachable"), why=found.pop("why"), status=found)


@router.post("/stations/{name}/recipe", status_code=202)
def change_over(name: str, form: Recipe, site: Here, identity: Operating, reason: Reason = "") -> dict[str, Any]:
    """Ask a station for a changeover."""
    return _ask(site, name, "/recipe", {"recipe": form.recipe}, identity.name, reason)


@router.post("/stations/{name}/start", status_code=202)
def start(name: str, site: Here, identity: Operating, reason: Reason = "") -> dict[str, Any]:
    """Have a station inspect part after part without triggers, where its file and its cameras allow it."""
    return _ask(site, name, "/continuous", {"continuous": True}, identity.name, reason)


@router.post("/stations/{name}/stop", status_code=202)
def stop(name: str, site: Here, identity: Operating, reason: Reason = "") -> dict[str, Any]:
    """End that, after the part that is under way. Parts that the machine triggers are inspected as before."""
    return _ask(site, name, "/continuous", {"continuous": False}, identity.name, reason)


@router.post("/stations/{name}/pilot", status_code=202)
def pilot(name: str, site: Here, identity: Attending, reason: Reason = "") -> dict[str, Any]:
    """Switch pilot mode on: the station judges on, and gives its machine no verdicts. It stays on over a restart."""
    return _ask(site, name, "/pilot", {"pilot": True}, identity.name, reason)


@router.post("/stations/{name}/production", status_code=202)
def production(
    name: str, site: Here, identity: Operating, reason: Annotated[str, Query(min_length=1, max_length=1000)]
) -> dict[str, Any]:
    """Switch pilot mode off: the machine acts on the verdicts of parts that are triggered from now on. Say why."""
    if not reason.strip():
        raise InputError("say why the machine may act on the verdicts; it goes into the audit")
    return _ask(site, name, "/pilot", {"pilot": False}, identity.name, reason)


@router.post("/stations/{name}/check", status_code=202)
def check(name: str, site: Here, identity: Operating, reason: Reason = "") -> dict[str, Any]:
    """Have the golden and challenge parts of a station's file shown: it inspects no others until they have passed."""
    return _ask(site, name, "/check", {"check": True}, identity.name, reason)


@router.websocket("/stations/{name}/live")
async def live(socket: WebSocket, name: str, site: Here, identity: Reading) -> None:
    """What a station sees: messages as of its port (`line.live`), the newest part each, at most some in a second.

    Where nothing new comes, `still` messages without pictures tell each second how old the last one is; `error` says
    why none comes.
    """
    found = await run_in_threadpool(site.store.stations.get, name)
    await sockets.serve(socket, site, _show(socket, site, found))


async def _show(socket: WebSocket, site: Site, station: Station) -> None:
    pause_s = 1 / site.settings.live_per_second
    with site.feeds.of(station).watched() as coming:
        last: ports.Picture | None = None
        while True:
            begun = time.monotonic()
            try:
                last, whole = await asyncio.wait_for(coming.get(), STILL_S), True
            except TimeoutError:
                whole = False
            if last is not None:
                await sockets.send(socket, last.message(whole))
            await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - begun)))


def _ask(site: Site, name: str, path: str, values: dict[str, Any], author: str, reason: str) -> dict[str, Any]:
    done = ports.command(site.store.stations.get(name), path, values)
    site.store.audit.note(author, "ask station", f"station {name}", reason, **values)
    return done
