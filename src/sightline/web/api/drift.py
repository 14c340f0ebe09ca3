"""Drift: how the line's control charts stand, and the alarms that they have raised."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from sightline.core.result import Verdict
from sightline.improve.charts import EVERY
from sightline.operations import drift as work
from sightline.operations.commonality import concerned, name_type
from sightline.store.users import ENGINEER
from sightline.web.api.identity import Attending, Labelling, Reading
from sightline.web.api.inspections import Text
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["drift"], route_class=Route, responses=responses(401, 403, 404, 409, 422))


class DriftAlarm(BaseModel):
    """A drift at a station: its cause, what that looks like, and what to do.

    `since`, `number` and `again` are inspections: where the change began as far as charts can tell, where the alarm was
    raised, and where it was last found. `figures` has how far each measure has moved. `before_hash` and `after_hash`
    are kept pictures from before and after the change, null where none was kept. `accepted`: the line is to stay as it
    is now.
    """

    id: int
    station: str
    view: str
    recipe_hash: str
    cause: str
    what: str
    remedy: str
    moved: list[str] = Field(description="the measures that have crossed their limits, in words")
    since: int
    number: int
    again: int
    figures: dict[str, Any]
    before_hash: str | None
    after_hash: str | None
    state: str
    accepted: bool
    author: str | None
    note: str
    created: datetime
    acknowledged: datetime | None


class DriftChart(BaseModel):
    """A control chart: its sums by their limits (1: there), downwards and upwards; where the measure is now, in
    deviations and in `unit`; and its newest points, each (down, up).
    """

    model_config = ConfigDict(from_attributes=True)

    name: str
    down: float
    up: float
    deviations: float | None
    change: float | None
    unit: str
    points: list[tuple[float, float]]


class DriftView(BaseModel):
    """The charts of one view of a station with one recipe.

    `reference`: what they compare with: training, production (the line's own first parts), or learning, while these
    are too few: `learned` of `needed`.
    """

    model_config = ConfigDict(from_attributes=True)

    station: str
    view: str
    recipe_hash: str
    parts: int
    updated: datetime
    reference: str
    learned: int
    needed: int
    charts: list[DriftChart]


class Drift(BaseModel):
    """Alarms, the newest first; and charts, those that moved last first, with a point for every `every` parts."""

    every: int
    alarms: list[DriftAlarm]
    views: list[DriftView]


class Acknowledgement(Form):
    """That an alarm was seen. `accept`: the line is to stay as it is, and is learned anew; for engineers."""

    note: str = Field("", max_length=1000, examples=["lamp changed"])
    accept: bool = False


class CommonFeature(BaseModel):
    """What `count` of `of` parts share: a lot, a type or a place; `usual`: at most this share of others has it."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    value: str
    count: int
    of: int
    usual: float


class AlarmPart(BaseModel):
    """A part that was not OK. `thumbnail` of the view that was judged worst, null where no picture is kept."""

    inspection: int
    verdict: Verdict
    score: float | None
    triggered: datetime
    lot: str | None
    product: str | None
    thumbnail: str | None


class AlarmParts(BaseModel):
    """The newest parts that were not OK, of all `not_ok` among `of` since the change, and what they have in common."""

    parts: list[AlarmPart]
    not_ok: int
    of: int
    common: list[CommonFeature]


class DefectName(Form):
    """A defect type, and the inspected parts that show it."""

    inspections: list[int] = Field(min_length=1, max_length=200)
    type: str = Field(min_length=1, max_length=100, examples=["chip"])


class NamedSamples(BaseModel):
    """Samples that show a type now."""

    samples: list[int]


@router.get("/drift")
def drift(site: Here, identity: Reading, station: Text = None) -> Drift:
    """Whether the line drifts: alarms and charts, of all stations or of one."""
    found = work.state(site.store, station)
    views = [DriftView.model_validate(view) for view in found.views]
    return Drift(every=EVERY, alarms=[_shown(told) for told in found.alarms], views=views)


@router.get("/alarms")
def alarms(site: Here, identity: Reading, station: Text = None) -> list[DriftAlarm]:
    """Alarms that nobody has acknowledged, the newest first."""
    return [_shown(told) for told in work.open_alarms(site.store, station)]


@router.post("/alarms/{number}/acknowledge")
def acknowledge(number: int, form: Acknowledgement, site: Here, identity: Attending) -> DriftAlarm:
    """Say that an alarm was seen, and what was done about it."""
    if form.accept:
        identity.check(ENGINEER, "line")
    return _shown(work.tell(site.store.alarms.acknowledge(number, identity.name, form.note, form.accept)))


@router.get("/alarms/{number}/parts")
def alarm_parts(number: int, site: Here, identity: Reading) -> AlarmParts:
    """The parts that were not OK since an alarm's change began, the newest first, and what they have in common."""
    found = concerned(site.store, number)
    parts = [
        AlarmPart(
            inspection=part.id or 0,
            verdict=part.verdict,
            score=part.score,
            triggered=part.triggered,
            lot=part.lot,
            product=part.product,
            thumbnail=None if view.hash is None else f"/api/v1/images/{view.hash}/thumbnail",
        )
        for part, view in found.parts
    ]
    common = [CommonFeature.model_validate(one) for one in found.common]
    return AlarmParts(parts=parts, not_ok=found.not_ok, of=found.of, common=common)


@router.post("/inspections/type")
def name_defect(form: DefectName, site: Here, identity: Labelling) -> NamedSamples:
    """Say of inspected parts that they are defective, and of which type; their pictures become samples."""
    return NamedSamples(samples=list(name_type(site.store, form.inspections, form.type, identity.name)))


def _shown(told: work.Told) -> DriftAlarm:
    values = {name: getattr(told.alarm, name) for name in DriftAlarm.model_fields if hasattr(told.alarm, name)}
    return DriftAlarm(**values, what=told.what, remedy=told.remedy, moved=list(told.figures))
