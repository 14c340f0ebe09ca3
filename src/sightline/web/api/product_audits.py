"""Product audits: plans, a part audited step by step with photos, and deviations that are followed up."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from sightline.operations import product_audits as work
from sightline.store.product_audits import AuditPlan, Deviation, ProductAudit, Step
from sightline.web.api.datasets import ANY_BYTES
from sightline.web.api.identity import Engineering, Inspecting, Labelling, Reading
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.records import RecordSummary
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["audits"], route_class=Route, responses=responses(401, 403, 404, 409, 413, 422))
Text = Annotated[str, Field(min_length=1, max_length=200)]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class AuditStep(Form):
    """What to look at, with its limit sample, whether it needs a photo, and the limits of a value in `unit`."""

    title: Text
    about: str = Field("", max_length=1000)
    limit_sample: Hash | None = None
    photo: bool = True
    unit: str = Field("", max_length=20)
    lower: float | None = Field(None, allow_inf_nan=False)
    upper: float | None = Field(None, allow_inf_nan=False)


class NewAuditPlan(Form):
    """A plan; `blind`: the person answers before seeing what the recipe says."""

    product: Text
    name: Text
    steps: list[AuditStep] = Field(min_length=1, max_length=100)
    blind: bool = True
    recipe: str | None = Field(None, pattern="^[0-9a-f]{8,64}$", description="hash of a recipe in the store")


class StoredAuditPlan(NewAuditPlan):
    """A plan as it is kept."""

    id: int
    author: str


class NewAudit(Form):
    """A part to audit."""

    plan: int = Field(ge=1)
    serial: str = Field("", max_length=200)
    lot: str = Field("", max_length=200)


class NewFinding(Form):
    """What was found at a step; NG needs a reason."""

    answer: Literal["OK", "NG"]
    reason: str = Field("", max_length=1000)
    value: float | None = Field(None, allow_inf_nan=False)
    photo: Hash | None = None


class AuditFinding(BaseModel):
    """What was found at a step, and what the model said of its photo."""

    model_config = ConfigDict(from_attributes=True)

    step: int
    answer: str
    reason: str
    value: float | None
    photo: str | None
    opinion: dict[str, Any]
    author: str
    created: datetime


class AuditState(BaseModel):
    """An audit with its plan and what was found so far."""

    id: int
    plan: StoredAuditPlan
    serial: str
    lot: str
    state: str
    record: int | None
    author: str
    created: datetime
    findings: list[AuditFinding]


class PhotoHash(BaseModel):
    """The hash by which a photo is kept."""

    hash: str


class OpinionForm(Form):
    """The photo that is asked about."""

    photo: Hash


class FollowUp(Form):
    """What was done about a deviation."""

    note: str = Field(min_length=1, max_length=1000)


@router.get("/audit-plans")
def audit_plans(site: Here, identity: Reading) -> list[StoredAuditPlan]:
    """The newest audit plans."""
    return [_plan(one) for one in site.store.product_audits.plans()]


@router.post("/audit-plans", status_code=201)
def add_audit_plan(form: NewAuditPlan, site: Here, identity: Engineering) -> StoredAuditPlan:
    """Keep a plan. Plans are not changed: a new one takes the place of an older one."""
    recipe = None if form.recipe is None else site.store.recipes.find(form.recipe).hash
    steps = tuple(Step(**one.model_dump()) for one in form.steps)
    plan = AuditPlan(form.product, form.name, steps, form.blind, recipe)
    return _plan(work.add_plan(site.store, plan, identity.name))


@router.post("/audit-plans/pictures", status_code=201, openapi_extra=ANY_BYTES)
async def add_limit_sample(request: Request, site: Here, identity: Engineering) -> PhotoHash:
    """Keep a picture that a plan's step is to name as its limit sample: the bytes of an image as the body."""
    data = await request.body()
    return PhotoHash(hash=await run_in_threadpool(work.add_limit_sample, site.store, data))


@router.get("/product-audits")
def product_audits(site: Here, identity: Reading, after: After = None, limit: Limit = 50) -> Listed[AuditState]:
    """Audits, the newest first."""
    found = [_state(one) for one in site.store.product_audits.page(place(after, int), limit)]
    return listed(found, limit, lambda one: one.id)


@router.post("/product-audits", status_code=201)
def begin_audit(form: NewAudit, site: Here, identity: Inspecting) -> AuditState:
    """Begin to audit a part."""
    return _state(site.store.product_audits.begin(form.plan, form.serial, form.lot, identity.name))


@router.get("/product-audits/{number}")
def product_audit(number: int, site: Here, identity: Reading) -> AuditState:
    """One audit."""
    return _state(site.store.product_audits.get(number))


@router.post("/product-audits/{number}/photos", status_code=201, openapi_extra=ANY_BYTES)
async def add_photo(number: int, request: Request, site: Here, identity: Inspecting) -> PhotoHash:
    """Keep a photo for an audit: the bytes of an image as the body."""
    data = await request.body()
    return PhotoHash(hash=await run_in_threadpool(work.add_photo, site.store, number, data))


@router.post("/product-audits/{number}/steps/{step}/opinion")
def opinion(number: int, step: int, form: OpinionForm, site: Here, identity: Inspecting) -> dict[str, Any]:
    """What the recipe says of a photo; in a blind plan, only after the person has answered the step with it."""
    return work.opinion(site.store, number, step, form.photo, site.judges.inspect)


@router.post("/product-audits/{number}/steps/{step}", status_code=201)
def answer(number: int, step: int, form: NewFinding, site: Here, identity: Inspecting) -> AuditState:
    """Say what was found at a step. No answer is changed."""
    said = form.answer, form.reason, form.value, form.photo
    return _state(work.answer(site.store, number, step, *said, identity.name, site.judges.inspect))


@router.post("/product-audits/{number}/close")
def close(number: int, site: Here, identity: Inspecting) -> RecordSummary:
    """Close an audit: its record, to be signed; every NG becomes a deviation to follow up."""
    return RecordSummary.model_validate(work.close(site.store, number, identity.name))


@router.get("/deviations")
def deviations(site: Here, identity: Reading, state: Literal["open", "done"] | None = None) -> list[Deviation]:
    """What is to be followed up, the newest first."""
    return list(site.store.product_audits.deviations(state))


@router.post("/deviations/{number}")
def follow_up(number: int, form: FollowUp, site: Here, identity: Labelling) -> Deviation:
    """Say what was done about a deviation."""
    return site.store.product_audits.follow_up(number, form.note, identity.name)


def _plan(plan: AuditPlan) -> StoredAuditPlan:
    steps = [AuditStep(**asdict(one)) for one in plan.steps]
    return StoredAuditPlan(
        id=plan.id, product=plan.product, name=plan.name, steps=steps, blind=plan.blind, recipe=plan.recipe_hash,
        author=plan.author,
    )  # fmt: skip


def _state(one: ProductAudit) -> AuditState:
    findings = [AuditFinding.model_validate(each) for each in one.findings]
    told = {name: getattr(one, name) for name in ("id", "serial", "lot", "state", "author", "created")}
    return AuditState(**told, plan=_plan(one.plan), record=one.record_id, findings=findings)
