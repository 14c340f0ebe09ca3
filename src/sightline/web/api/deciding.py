"""Thresholds weighed: how a recipe scored labelled pictures, and what other thresholds would have done."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from sightline.core.card import Bounded
from sightline.evaluate.prices import Prices
from sightline.operations import deciding as work
from sightline.web.api.identity import Reading
from sightline.web.api.parts import Thresholds, band_of
from sightline.web.api.problems import responses
from sightline.web.api.recipes import Hash
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["recipes"], responses=responses(401, 403, 404, 422, 501))
Number = Annotated[int, Field(ge=1, lt=2**63)]
Price = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class EvaluationName(BaseModel):
    """One evaluation: of which recipe, on what."""

    id: int
    recipe: str
    data: str
    created: datetime


class PriceList(BaseModel):
    """What errors cost, in any money, and the share of defective parts on the line. `review` null: it costs nothing."""

    model_config = ConfigDict(from_attributes=True)

    defect_rate: float
    escape: float
    overkill: float
    review: float | None


class Scores(BaseModel):
    """How the pictures of an evaluation were judged: lists with an entry for each.

    `floor` is what something else than the score asked for, OK where nothing did: the graver one of it and the score's
    verdict counts. A `score` of null could not be had: NG. `unit` numbers parts; pictures of one part share it. `data`
    and `job` are the evaluation's, whose `figures` are here, too.
    """

    recipe: str
    evaluation: int
    job: int | None
    data: str
    author: str
    created: datetime
    evaluations: list[EvaluationName]
    thresholds: Thresholds | None
    prices: PriceList
    sample: list[int | None]
    score: list[float | None]
    label: list[str]
    type: list[str | None]
    verdict: list[str]
    floor: list[str]
    unit: list[int]
    figures: dict[str, Any]


class Wanted(Form):
    """Thresholds to look at: OK up to `ok`, NG above `ng`; what errors cost, and how many parts are defective."""

    ok: float = Field(allow_inf_nan=False)
    ng: float = Field(allow_inf_nan=False)
    evaluation: Number | None = None
    defect_rate: float = Field(Prices.defect_rate, gt=0, lt=1)
    escape_price: Price = Prices.escape
    overkill_price: Price = Prices.overkill
    review_price: Price | None = None


class BoundedRate(BaseModel):
    """`count` of `of` parts, and the one-sided exact bound at `confidence` (Clopper-Pearson)."""

    value: float | None
    count: int
    of: int
    upper: float
    confidence: float


class ThresholdsPreview(BaseModel):
    """What thresholds would have done. `matrix` counts pictures, by label and verdict; rates are of parts.

    `review_load` is the share of production that goes to a person, `shipped_ppm` the defective parts in a million
    shipped ones, both at the defect rate; costs are per 1,000 parts.
    """

    evaluation: int
    thresholds: Thresholds
    matrix: dict[str, dict[str, int]]
    escape: BoundedRate
    overkill: BoundedRate
    review_good: BoundedRate
    review_defective: BoundedRate
    review_load: float
    shipped_ppm: float | None
    shipped_ppm_upper: float | None
    cost_per_1000: float
    cost_per_1000_upper: float
    notes: list[str]


@router.get("/recipes/{hash}/scores")
def scores(
    hash: Hash, site: Here, identity: Reading, evaluation: Annotated[int | None, Query(ge=1, lt=2**63)] = None
) -> Scores:
    """How a recipe scored the labelled pictures of its newest evaluation, or of the one of that number."""
    found = work.scored(site.store, hash, evaluation)
    chosen = found.evaluation
    return Scores(
        recipe=chosen.recipe_hash,
        evaluation=chosen.id,
        job=chosen.job,
        data=chosen.data,
        author=chosen.author,
        created=chosen.created,
        evaluations=[
            EvaluationName(id=one.id, recipe=one.recipe_hash, data=one.data, created=one.created)
            for one in found.evaluations
        ],
        thresholds=band_of(found.recipe.card),
        prices=PriceList.model_validate(Prices()),
        figures=dict(chosen.figures),
        **found.judged.to_json(),
    )


@router.post("/recipes/{hash}/preview-thresholds")
def preview(hash: Hash, form: Wanted, site: Here, identity: Reading) -> ThresholdsPreview:
    """What other thresholds would have done to an evaluation's pictures, with bounds and costs. Changes nothing."""
    prices = Prices(form.defect_rate, form.escape_price, form.overkill_price, form.review_price)
    evaluation, found = work.preview(site.store, hash, form.ok, form.ng, prices, form.evaluation)
    rates = {name: _rate(getattr(found, name)) for name in ("escape", "overkill", "review_good", "review_defective")}
    values = {**asdict(found), **rates, "evaluation": evaluation.id, "thresholds": {"ok": form.ok, "ng": form.ng}}
    return ThresholdsPreview.model_validate(values)


def _rate(bounded: Bounded) -> BoundedRate:
    return BoundedRate(value=bounded.value, **bounded.model_dump(include={"count", "of", "upper", "confidence"}))
