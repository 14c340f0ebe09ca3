"""What stations send to this server, and what they fetch: each by a token of its own, `station:NAME`."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel

from sightline.core.errors import BusyError, ForbiddenError, InputError
from sightline.operations import fleet, sending
from sightline.operations.people import Identity
from sightline.web.api.identity import Operating, Sending
from sightline.web.api.problems import responses
from sightline.web.api.site import Here, Site

# Not `replies.Route`: entries have numbers, by which each is taken once.
router = APIRouter(tags=["stations"], responses=responses(401, 403, 404, 409, 422, 429, 503, 507))
MAX_WAITING = 512  # batches; further ones are to come again
BODY = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}}
MODEL = "application/octet-stream"


class Wanted(BaseModel):
    """What the station is to run for a product, null for its own file's recipe; `urgent`: another was taken back."""

    recipe_hash: str | None
    rollout: int | None
    urgent: bool


class StationToken(BaseModel):
    """A station's token, which is told this once."""

    station: str
    token: str


class Taken(BaseModel):
    """The last entry that is taken now, those that can never be, and what the station is to run by product."""

    through: int
    refused: list[tuple[int, str]]
    wanted: dict[str, Wanted]
    version: str


@router.post("/stations/{name}/ingest", openapi_extra=BODY)
async def ingest(name: str, request: Request, site: Here, identity: Sending) -> Taken:
    """Take entries of a station's journal, gzip or plain JSON: each once, whatever is sent twice.

    {"format": 1, "instance": which computer, "version", "sent": seconds since 1970 by its clock, "waiting",
    "running": {product: hash}, "review_ng", "review_ok", "first", "through", "entries": [[number, entry], ...]}.
    Numbers grow by one with each entry of the journal; those up to `through` of the answer need not be kept.
    """
    return Taken.model_validate(await _take(site, sending.ingest, name, request, identity))


@router.post("/stations/{name}/pictures", openapi_extra=BODY)
async def picture(name: str, request: Request, site: Here, identity: Sending) -> dict[str, Any]:
    """Keep a picture of a part that was taken before: {"format", "entry", "image": base64}."""
    return await _take(site, sending.take_picture, name, request, identity)


@router.post("/stations/{name}/tokens", status_code=201)
def make_token(name: str, site: Here, identity: Operating) -> StationToken:
    """Make a token by which a station sends, and nothing else. Its secret is in this answer and nowhere else."""
    made = fleet.token(site.store, name, None, identity.name)
    return StationToken(station=name, token=made["token"])


@router.get(
    "/stations/{name}/recipes/{hash}/file",
    response_class=Response,
    responses={200: {"content": {MODEL: {}}}, 206: {"content": {MODEL: {}}, "description": "from a byte on"}},
)
def recipe_file(
    name: str, hash: str, site: Here, identity: Sending, range: Annotated[str | None, Header()] = None
) -> Response:
    """The file of a recipe that is rolled out to the station, from the byte on that `Range: bytes=NUMBER-` names."""
    _check(name, identity)
    data = sending.recipe_of(site.store, name, hash)
    headers = {"ETag": f'"{hash}"', "Accept-Ranges": "bytes"}
    asked = re.fullmatch(r"bytes=(\d{1,15})-", range or "")
    if asked is None or not 0 < int(asked[1]) < len(data):
        return Response(data, media_type=MODEL, headers=headers)
    begin = int(asked[1])
    headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
    return Response(data[begin:], 206, media_type=MODEL, headers=headers)


async def _take(site: Site, work: Any, name: str, request: Request, identity: Identity) -> dict[str, Any]:
    """Have a batch taken by a thread of those that are for stations: pages have theirs."""
    _check(name, identity)
    if site.sending.statistics().tasks_waiting >= MAX_WAITING:
        raise BusyError("many stations send at once. Send it again in a moment", 5.0)
    body = await request.body()
    if not body:
        raise InputError("there is nothing in the request. Send a batch")
    done: dict[str, Any] = await run_sync(
        partial(work, site.store, name, body, site.settings.free_mb), limiter=site.sending
    )
    return done


def _check(name: str, identity: Identity) -> None:
    if identity.station != name:
        told = f"this token is for station {identity.station}" if identity.station else "this is for stations alone"
        raise ForbiddenError(f"{told}. Make one for it: sightline fleet token {name}")
