"""The bench: parts that people show to a camera by hand, looked at live and recorded."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, WebSocket
from pydantic import AwareDatetime, BaseModel
from starlette.concurrency import run_in_threadpool

from sightline.core.errors import BusyError, InputError, SightlineError
from sightline.core.result import Verdict
from sightline.operations.bench import Shown
from sightline.operations.bench import marker_sheet as sheet
from sightline.runtime.marker import LONGEST_MM, MARKERS, SHORTEST_MM, Marker
from sightline.web.api import sockets
from sightline.web.api.datasets import ANY_BYTES
from sightline.web.api.identity import Inspecting
from sightline.web.api.problems import responses
from sightline.web.api.site import Here, Site
from sightline.web.pages.runtime import runtime_place

router = APIRouter(tags=["bench"], responses=responses(401, 403, 404, 409, 413, 422, 429))
Recipe = Annotated[str, Query(pattern="^[0-9a-f]{8,64}$", description="hash of the recipe, or its first digits")]
Key = Annotated[str, Query(pattern=r"^[\w.-]{8,80}$", description="names the part for good; sent twice, kept once")]
Station = Annotated[str, Query(pattern=r"^[\w.-]{1,64}$", description="name of the bench, as of a station")]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]
Moment = Annotated[AwareDatetime | None, Query(description="when the part was shown, at most 24 h ago; by default now")]
Beside = Annotated[
    str | None,
    Query(max_length=120, description="number,side,x,y,width,height,turn: a marker and the part beside it, in mm"),
]
Side = Annotated[float, Query(ge=SHORTEST_MM, le=LONGEST_MM, description="of the marker, in mm")]
SHEET: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}, "description": "a sheet to print"}}
OLDEST, AHEAD = timedelta(hours=24), timedelta(minutes=1)  # of `shown`


class Place(BaseModel):
    """How a recipe's pictures show their part: width and height in px, and the part's box in shares of the picture.

    `part` is null where there is no ground around it. `runtime` is where the browser finds what runs recipes in it, ""
    where that was not fetched; `refused` names what this recipe needs that no browser can do.
    """

    width: int
    height: int
    part: tuple[float, float, float, float] | None
    runtime: str
    refused: list[str]


class Learned(BaseModel):
    """A marker, and where the part lies beside it, in mm and degrees; `marker` is all of it in one text."""

    marker: str
    number: int
    size_mm: float
    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float
    turn_deg: float


@router.get("/bench/place")
def place(recipe: Recipe, site: Here, identity: Inspecting) -> Place:
    """How a recipe's pictures show their part: what a page draws for people to aim with."""
    found, refused = site.bench.placement(recipe)
    height, width = found.size
    return Place(width=width, height=height, part=found.part, runtime=runtime_place(site), refused=list(refused))


@router.websocket("/bench/live")
async def live(socket: WebSocket, recipe: Recipe, site: Here, identity: Inspecting, marker: Beside = None) -> None:
    """Send frames, JPEG or PNG, one message each; each is answered by what was found in it, as JSON.

    Send the next frame when the last one is answered: of frames that come sooner, only the newest is looked at.
    `state` says whether the frame can be inspected; `verdict` is null unless it is "ready"; `error` says what is wrong
    with the frame. Nothing is recorded. By a `marker`, the answer has its corners, the homography `onto_frame` from
    the view's picture to the frame, and mm for each px of that picture.
    """
    newest: asyncio.Queue[bytes] = asyncio.Queue(1)
    await sockets.serve(socket, site, _answer(socket, site, (recipe, marker), newest), newest)


async def _answer(socket: WebSocket, site: Site, asked: tuple[str, str | None], newest: asyncio.Queue[bytes]) -> None:
    recipe, marker = asked
    while True:
        frame = await newest.get()
        try:
            told = await run_in_threadpool(site.bench.look, recipe, frame, _marker(marker))
        except BusyError as error:
            told = {"error": str(error), "wait_s": error.wait_s}
        except SightlineError as error:
            told = {"error": str(error)}
        await sockets.send(socket, json.dumps(told))


@router.post("/bench/inspections", status_code=201, openapi_extra=ANY_BYTES)
async def keep(
    request: Request,
    site: Here,
    identity: Inspecting,
    recipe: Recipe,
    key: Key,
    station: Station = "bench",
    attempt: Annotated[int, Query(ge=1, le=1000, description="how often this part was shown; more after rework")] = 1,
    seconds: Annotated[float | None, Query(ge=0, le=86_400, description="how long it took")] = None,
    serial: Text = None,
    shown: Moment = None,
    marker: Beside = None,
    device_verdict: Annotated[Verdict | None, Query(description="what the device itself found")] = None,
    device_score: Annotated[float | None, Query(allow_inf_nan=False)] = None,
) -> dict[str, Any]:
    """Inspect a frame, whose bytes are the body, and record the part. 409 where the frame does not count, where `key`
    names another part already, or `station` is one of the line.

    The server judges by itself; of its verdict and the device's, the graver one counts. `purpose` is "production", or
    "trial" where the recipe is not promoted: such a part is in no figures.
    """
    if (device_verdict is None) != (device_score is None):
        raise InputError("device_verdict and device_score belong together. Send both or none")
    told = Shown(
        key=key,
        station=station,
        author=identity.name,
        recipe=recipe,
        attempt=attempt,
        seconds=seconds,
        serial=serial,
        device=None if device_verdict is None or device_score is None else (device_verdict, device_score),
        triggered=_past(shown),
        marker=_marker(marker),
    )
    return await run_in_threadpool(site.bench.keep, told, await request.body())


@router.post("/bench/marker", openapi_extra=ANY_BYTES)
async def learn_marker(request: Request, site: Here, identity: Inspecting, recipe: Recipe, size_mm: Side) -> Learned:
    """Learn from a frame, whose bytes are the body, where the part lies beside the marker in it."""
    frame = await request.body()
    found = await run_in_threadpool(site.bench.learn_marker, recipe, frame, size_mm)
    return Learned(marker=str(found), **asdict(found))


@router.get("/bench/marker", response_class=Response, responses=SHEET)
def marker_sheet(
    identity: Inspecting, number: Annotated[int, Query(ge=0, lt=MARKERS)] = 0, size_mm: Side = 40.0
) -> Response:
    """A marker to print without scaling, as PNG."""
    name = f'attachment; filename="marker-{number}-{size_mm:g}mm.png"'
    return Response(sheet(number, size_mm), media_type="image/png", headers={"Content-Disposition": name})


def _marker(text: str | None) -> Marker | None:
    return None if not text else Marker.parse(text)


def _past(shown: datetime | None) -> datetime | None:
    """A device's clock may be wrong: what it dates elsewhere than today would change figures that were read already."""
    now = datetime.now(UTC)
    if shown is not None and not now - OLDEST <= shown <= now + AHEAD:
        raise InputError(
            "the part was shown more than a day ago, or later than now. Set the device's clock right, and show it again"
        )
    return None if shown is None else min(shown, now)
