"""Recipes: their cards and files, what they come from, which one counts, and pictures judged with them."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import Base64Bytes, BaseModel, Field
from starlette.concurrency import run_in_threadpool

from sightline.core.errors import SightlineError
from sightline.operations.recipes import revise
from sightline.store.recipes import StoredRecipe
from sightline.web.api.datasets import ANY_BYTES
from sightline.web.api.etags import IfMatch, etag, revision_of
from sightline.web.api.identity import Engineering, Inspecting, Reading
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["recipes"], route_class=Route, responses=responses(401, 403, 404, 409, 412, 422))
# Nothing is changed by a picture, so that none is kept for a second request.
inspecting = APIRouter(tags=["recipes"], responses=responses(401, 403, 404, 413, 422, 429, 504))
Hash = Annotated[str, Path(pattern="^[0-9a-f]{8,64}$", description="SHA-256 of the file, or its first digits")]
OtherHash = Annotated[str, Query(pattern="^[0-9a-f]{8,64}$")]
State = Literal["candidate", "shadow", "promoted", "retired"]
MODEL = "application/octet-stream"


DeadlineMs = Annotated[
    float | None, Header(alias="X-Deadline-Ms", gt=0, le=600_000, description="ms until a verdict is of no use")
]


class Pictures(Form):
    """Image files in base64."""

    images: list[Base64Bytes] = Field(min_length=1, max_length=64)


class Judged(BaseModel):
    """What was found in one of several images, or why it could not be inspected; then the verdict is NG."""

    verdict: Literal["OK", "NG", "REVIEW"]
    inspection: dict[str, Any] | None = None
    problem: str | None = None


class RecipeSummary(BaseModel):
    """A recipe without its card."""

    hash: str
    product: str
    name: str
    state: str
    version: str | None = Field(description="dataset version that it was learned from")
    parent: str | None = Field(description="hash of the recipe that it was made from")
    author: str
    created: datetime


class RecipeCard(RecipeSummary):
    """A recipe with its card."""

    card: dict[str, Any]


class Lineage(BaseModel):
    """Where a recipe comes from, its parent first, and what was made from it."""

    parents: list[RecipeSummary]
    children: list[RecipeSummary]


class Difference(BaseModel):
    """A value of a card that differs; null where one of the two has none."""

    path: str = Field(examples=["band.low"])
    first: Any
    second: Any


class NewState(Form):
    """What a recipe shall be from now on, and why."""

    state: State
    reason: str = Field(min_length=3, max_length=1000, examples=["shadow for a week, no escapes"])


class Thresholds(Form):
    """Thresholds set by hand: OK up to `ok`, NG above `ng`; one that is left out stays."""

    ok: float | None = Field(None, allow_inf_nan=False)
    ng: float | None = Field(None, allow_inf_nan=False)
    reason: str = Field(min_length=3, max_length=1000)


@router.get("/recipes")
def recipes(
    site: Here,
    identity: Reading,
    product: str | None = None,
    state: State | None = None,
    after: After = None,
    limit: Limit = 50,
) -> Listed[RecipeSummary]:
    """Recipes, the newest first."""
    found = site.store.recipes.page(product, state, place(after, int), limit)
    page = listed(found, limit, lambda recipe: recipe.id)
    return Listed(items=[_summary(recipe) for recipe in found], next=page.next)


@router.get("/recipes/{hash}")
def recipe(hash: Hash, response: Response, site: Here, identity: Reading) -> RecipeCard:
    """One recipe with its card."""
    found = site.store.recipes.find(hash)
    response.headers["ETag"] = etag(found.revision)
    return RecipeCard(**asdict(found))


@router.get(
    "/recipes/{hash}/file",
    response_class=Response,
    responses={200: {"content": {MODEL: {}}, "description": "the recipe's .onnx file"}},
)
def file(hash: Hash, site: Here, identity: Reading) -> Response:
    """The recipe's file."""
    found = site.store.recipes.find(hash)
    name = f"{found.hash[:12]}.onnx"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "ETag": etag(found.hash)}
    return Response(site.store.recipes.file(found.hash), media_type=MODEL, headers=headers)


@router.get("/recipes/{hash}/lineage")
def lineage(hash: Hash, site: Here, identity: Reading) -> Lineage:
    """Where a recipe comes from, and what was made from it."""
    parents, children = site.store.recipes.lineage(hash)
    return Lineage(parents=[_summary(one) for one in parents], children=[_summary(one) for one in children])


@router.get("/recipes/{hash}/diff")
def diff(hash: Hash, other: OtherHash, site: Here, identity: Reading) -> list[Difference]:
    """In what the cards of two recipes differ."""
    first, second = (_flat(site.store.recipes.find(one).card) for one in (hash, other))
    paths = sorted(first.keys() | second.keys())
    told = [Difference(path=path, first=first.get(path), second=second.get(path)) for path in paths]
    return [one for one in told if one.first != one.second]


@router.post("/recipes/{hash}/state")
def set_state(
    hash: Hash, form: NewState, response: Response, site: Here, identity: Engineering, if_match: IfMatch = None
) -> RecipeSummary:
    """Promote a recipe, put it on probation (shadow), retire it."""
    found = site.store.recipes.set_state(hash, form.state, identity.name, form.reason, revision_of(if_match))
    response.headers["ETag"] = etag(found.revision)
    return _summary(found)


@router.post("/recipes/{hash}/thresholds", status_code=201)
def set_thresholds(hash: Hash, form: Thresholds, site: Here, identity: Engineering) -> RecipeCard:
    """Set thresholds by hand: a new recipe, made from this one, which stays as it is."""
    return RecipeCard(**asdict(revise(site.store, hash, form.ok, form.ng, form.reason, identity.name)))


@inspecting.post("/recipes/{hash}/inspect", openapi_extra=ANY_BYTES)
async def inspect(
    hash: Hash, request: Request, site: Here, identity: Inspecting, overlay: bool = False, deadline: DeadlineMs = None
) -> dict[str, Any]:
    """Judge an image, whose bytes are the body. With `overlay`, a picture of what was found comes along.

    Without a verdict within `X-Deadline-Ms` (30 s if it is not given) the answer is 504: the part was not inspected.
    """
    came = time.monotonic()  # before it waits for a thread
    body = await request.body()
    return await run_in_threadpool(site.judges.inspect, hash, body, overlay, _seconds(deadline), came)


@inspecting.post("/recipes/{hash}/inspect-many")
async def inspect_many(
    hash: Hash, form: Pictures, site: Here, identity: Inspecting, deadline: DeadlineMs = None
) -> list[Judged]:
    """Judge several images, in order. One that is damaged, late or too many is refused by itself, as NG."""
    came = time.monotonic()
    found = await run_in_threadpool(site.judges.inspect_many, hash, form.images, _seconds(deadline), came)
    return [
        Judged(verdict="NG", problem=str(one)) if isinstance(one, SightlineError)
        else Judged(verdict=one["verdict"], inspection=one)
        for one in found
    ]  # fmt: skip


def _seconds(deadline: float | None) -> float | None:
    return None if deadline is None else deadline / 1e3


def _summary(recipe: StoredRecipe) -> RecipeSummary:
    return RecipeSummary(**{name: getattr(recipe, name) for name in RecipeSummary.model_fields})


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a card by their paths; a list is a leaf."""
    if not isinstance(value, dict):
        return {path: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= _flat(inner, f"{path}.{name}" if path else name)
    return found
