"""A part as a reviewer sees it: its pictures and heat, what was found, and good and similar parts beside it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from sightline.core.errors import NotFoundError, StoreError
from sightline.core.result import Verdict
from sightline.operations.reviews import ReviewedPart, View, picture_of, reviewed_part
from sightline.store.inspections import Record
from sightline.store.reviews import Review
from sightline.store.samples import StoredSample
from sightline.web.api.identity import Reading
from sightline.web.api.images import PICTURES, Hash, IfNoneMatch, known, picture
from sightline.web.api.problems import responses
from sightline.web.api.site import Here, Site

router = APIRouter(tags=["reviews"], responses=responses(401, 403, 404, 422, 429))
RecipeHash = Annotated[str, Path(pattern="^[0-9a-f]{8,64}$", description="SHA-256 of the file, or its first digits")]
IMAGES = "/api/v1/images"
GOOD = "called good by people, of the same product; if possible of the same view and station, nearest in time"


class Pictures(BaseModel):
    """Where a picture is: in full, and as a thumbnail. Both never change."""

    picture: str | None
    thumbnail: str | None


class PartView(Pictures):
    """One view of a part. `heat` is an 8-bit PNG, a pixel for each cell of the heat map; null: none can be had."""

    view: str
    verdict: Verdict | None
    score: float | None
    reason: str
    sample: int | None
    width: int | None
    height: int | None
    heat: str | None
    defects: list[dict[str, Any]]


class GoodPart(Pictures):
    """A good part to compare with, and how it was chosen."""

    sample: int
    how: str


class SimilarPart(Pictures):
    """A part like another one. `similarity`: how alike they look, -1 to 1; null where only type and score say so.

    `review`, `answer`, `types`, `author` and `answered` are what a person said of it, null where nobody has.
    """

    inspection: int
    verdict: Verdict
    score: float | None
    triggered: datetime
    similarity: float | None
    review: int | None
    answer: str | None
    types: list[str]
    author: str | None
    answered: datetime | None


class Thresholds(BaseModel):
    """OK up to `ok`, NG above `ng`, REVIEW between them."""

    ok: float
    ng: float


class PartShown(BaseModel):
    """What there is to see of a review's part. `missing` says what to do where no picture of it is kept any more."""

    review: int
    inspection: int | None
    product: str | None
    station: str | None
    line: str | None
    lot: str | None
    serial: str | None
    triggered: datetime | None
    pilot: bool
    verdict: Verdict | None
    score: float | None
    p_value: float | None
    types: dict[str, float | None]
    grade: int | None
    recipe: str | None
    thresholds: Thresholds | None = Field(description="null where the recipe is not in the store")
    type_names: list[str] = Field(description="defect types of the recipe and the defect book")
    views: list[PartView]
    missing: str
    nearest_good: GoodPart | None
    similar: list[SimilarPart] = Field(description="answered before: of the same type first, then of the nearest score")


@router.get("/reviews/{number}/part")
def part(number: int, site: Here, identity: Reading) -> PartShown:
    """What there is to see of a review's part: fetch it, and the pictures it names, for all that you have taken."""
    found = reviewed_part(site.store, number)
    told = ("station", "line", "lot", "serial", "triggered", "verdict", "score", "p_value", "grade")
    values: dict[str, Any] = {name: getattr(found.part, name, None) for name in told}
    return PartShown(
        review=number,
        inspection=found.review.inspection_id,
        pilot=found.review.pilot,
        product=found.product,
        types=dict(found.part.types) if found.part is not None else {},
        **values,
        recipe=next((view.recipe for view in found.views if view.recipe), None),
        thresholds=band_of(found.recipe.card) if found.recipe is not None else None,
        type_names=list(found.types),
        views=[_view(found, view) for view in found.views],
        missing=found.missing,
        nearest_good=_good(found.good),
        similar=[_similar(part, part.image_hash, None, review) for review, part in found.similar],
    )


@router.get("/images/{hash}/similar")
def similar(
    hash: Hash,
    site: Here,
    identity: Reading,
    answered: Annotated[bool, Query(description="only parts that a person has decided")] = False,
    limit: Annotated[int, Query(ge=1, le=50)] = 12,
) -> list[SimilarPart]:
    """Parts of the line whose kept pictures look the most like this one, by its recipe's embedding.

    They are looked for among the newest 5,000 pictures of that recipe and view, or the newest 1,000 answers. Empty
    where the picture is not from a station, or was judged by a version that kept no embeddings.
    """
    found = site.store.embeddings.similar(hash, limit, answered)
    return [_similar(one.part, one.hash, one.similarity, one.review) for one in found]


@router.get("/inspections/{number}/heat/{view:path}", response_class=Response, responses=PICTURES)
def heat(number: int, view: str, site: Here, identity: Reading, if_none_match: IfNoneMatch = None) -> Response:
    """The heat map of a view of an inspection: an 8-bit PNG, a pixel for each cell, 128 where outlines begin.

    The store keeps no heat: the recipe that judged the part computes it again from the picture, where both are kept.
    """
    recipe, image = picture_of(site.store, site.store.inspections.get(number), view)
    return _heat(site, recipe, image, if_none_match)


@router.get("/recipes/{recipe}/heat/{hash}", response_class=Response, responses=PICTURES)
def heat_of(
    recipe: RecipeHash, hash: Hash, site: Here, identity: Reading, if_none_match: IfNoneMatch = None
) -> Response:
    """The heat map of a recipe over a kept image, computed now: an 8-bit PNG as of an inspection."""
    found = site.store.recipes.find(recipe).hash
    return _heat(site, found, hash, if_none_match)


def _heat(site: Site, recipe: str, image: str, if_none_match: str | None) -> Response:
    name = f"{recipe[:32]}{image[:32]}"
    if (unchanged := known(name, if_none_match)) is not None:
        return unchanged
    try:
        data = site.judges.heat(recipe, image)
    except StoreError as error:
        raise NotFoundError(str(error)) from error
    return picture(data, "image/png", name)


def _view(found: ReviewedPart, view: View) -> PartView:
    there = found.part is not None and found.recipe is not None and view.hash is not None
    sample = view.sample
    return PartView(
        view=view.view,
        verdict=view.verdict,
        score=view.score,
        reason=view.reason,
        sample=None if sample is None else sample.id,
        width=None if sample is None else sample.width,
        height=None if sample is None else sample.height,
        heat=f"/api/v1/inspections/{found.review.inspection_id}/heat/{quote(view.view, safe='')}" if there else None,
        defects=[dict(defect) for defect in view.defects],
        **_links(view.hash),
    )


def _links(hash: str | None) -> dict[str, str | None]:
    if hash is None:
        return {"picture": None, "thumbnail": None}
    return {"picture": f"{IMAGES}/{hash}", "thumbnail": f"{IMAGES}/{hash}/thumbnail"}


def _good(sample: StoredSample | None) -> GoodPart | None:
    return None if sample is None else GoodPart(sample=sample.id, how=GOOD, **_links(sample.hash))


def _similar(part: Record, hash: str | None, similarity: float | None, review: Review | None) -> SimilarPart:
    return SimilarPart(
        inspection=part.id or 0,
        verdict=part.verdict,
        score=part.score,
        triggered=part.triggered,
        similarity=similarity,
        review=None if review is None else review.id,
        answer=None if review is None else review.answer,
        types=[] if review is None else list(review.types),
        author=None if review is None else review.author,
        answered=None if review is None else review.answered,
        **_links(hash),
    )


def band_of(card: Mapping[str, Any]) -> Thresholds | None:
    """The thresholds of a recipe's card; None where it has none."""
    band = card.get("band")
    return None if not band else Thresholds(ok=band["low"], ng=band["high"])
