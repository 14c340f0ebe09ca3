"""Thresholds weighed: how a recipe scored labelled pictures, and what other thresholds would have done."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from sightline.core.card import Bounded
from sightline.evaluate import review_plan as review_plans
from sightline.evaluate.prices import Prices
from sightline.operations import deciding as work
from sightline.operations.learning import stored_recipe
from sightline.operations.recipes import plan_of
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


class Workload(Form):
    """What people can look at, of what the line makes; and what is to be known of the parts that are shipped."""

    parts: float = Field(gt=0, le=1e6, description="parts per shift that people look at", examples=[60])
    takt_s: float = Field(gt=0, le=86_400, description="seconds per part of the line", examples=[2])
    shift_h: float = Field(8.0, gt=0, le=24)
    shipped: float = Field(0.001, gt=0, lt=1, description="share of OK parts that may be defective at most")
    weeks: float = Field(4.0, gt=0, le=520, description="after so many weeks that is to be known")
    shifts: float = Field(15.0, gt=0, le=21, description="shifts a week")
    review_price: Price | None = None


class ReviewPlan(BaseModel):
    """OK up to `ok`, NG above `ng`, and `audit_share` of the OK parts at random, which is a station's `review_ok`.

    `reviews` and `audits` are expected parts per shift, `reviews_upper` what the recipe's held-out good parts say for
    certain. `audited` parts of all weeks bound what is shipped by `shipped`, if all are good; the wanted bound takes
    `weeks_needed`.
    """

    ok: float
    ng: float
    review_share: float
    reviews: float
    reviews_upper: float
    audit_share: float
    audits: float
    audited: int
    shipped: float
    weeks_needed: float
    cost_per_1000: float | None
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


@router.post("/recipes/{hash}/review-plan")
def review_plan(hash: Hash, form: Workload, site: Here, identity: Reading) -> ReviewPlan:
    """Thresholds and a random share of OK parts for what people can look at in a shift. Changes nothing."""
    load = review_plans.Workload(**form.model_dump(exclude={"review_price"}))
    return ReviewPlan(**plan_of(stored_recipe(site.store, hash), load, form.review_price).to_json())


def _rate(bounded: Bounded) -> BoundedRate:
    return BoundedRate(value=bounded.value, **bounded.model_dump(include={"count", "of", "upper", "confidence"}))
