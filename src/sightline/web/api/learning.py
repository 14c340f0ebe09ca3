"""Self-learning: its mode at each station, what was changed, what a person calls harmless, and taking it back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from sightline.operations import learning as work
from sightline.operations import schedules as times
from sightline.store.adaptations import Mode, StoredAdaptation
from sightline.store.schedules import MAX_DAYS, MAX_LABELS
from sightline.web.api.identity import Engineering, Labelling, Operating, Reading
from sightline.web.api.inspections import Text
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["learning"], route_class=Route, responses=responses(401, 403, 404, 409, 422))


class LearnedChange(BaseModel):
    """One change of what a station has learned since its recipe was made.

    `kind`: learned (a round of self-learning), harmless (a person's word), transfer or undo. `state`: suggested, active
    (in effect, with all changes before it), replaced (in effect, and another one came after it) or refused. `details`
    has what came in and what the canary said. `digest` is what inspections name it by.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    station: str
    recipe_hash: str
    number: int
    kind: str
    state: str
    digest: str
    details: dict[str, Any]
    author: str
    note: str
    created: datetime


class LearningMode(Form):
    """`mode`: off, suggest (a person admits each change) or on."""

    mode: Mode
    note: str = Field("", max_length=1000, examples=["trial for two weeks"])


class StationLearning(BaseModel):
    """A station's mode and its newest changes."""

    station: str
    mode: Mode
    changes: list[LearnedChange]


class HarmlessForm(Form):
    """What stopped a part is harmless: its outlined regions, or `box` (x, y, width, height) px of the picture.

    With `dry_run` nothing changes, and the answer says what would.
    """

    view: str = Field("view", max_length=64)
    box: tuple[int, int, int, int] | None = Field(None, examples=[[120, 80, 40, 30]])
    note: str = Field("", max_length=1000, examples=["glare of the new lamp"])
    dry_run: bool = True


class Turned(BaseModel):
    """A kept part whose verdict changes."""

    inspection: int
    before: str
    after: str


class HarmlessAnswer(BaseModel):
    """`reason`: learned, or why not. `changed` are those of `looked_at` kept parts that get another verdict; `canary`
    says what happens to known parts. `change` is what was stored, null with `dry_run` or where it was refused.
    """

    reason: str
    added: int
    canary: dict[str, Any] | None
    changed: list[Turned]
    looked_at: int
    change: dict[str, Any] | None


class Decision(Form):
    """Whether a suggested change takes effect."""

    admit: bool
    note: str = Field("", max_length=1000)


class Note(Form):
    """Why."""

    note: str = Field("", max_length=1000, examples=["it was oil, not glare"])


class ImproveSchedule(BaseModel):
    """When a product's recipe is improved: after so many new labels or days, or an alarm, counted since `begun`."""

    model_config = ConfigDict(from_attributes=True)

    product: str
    labels: int | None
    days: float | None
    drift: bool
    author: str
    updated: datetime
    begun: datetime


class NewSchedule(Form):
    """At least one of the three."""

    labels: int | None = Field(None, ge=1, le=MAX_LABELS, examples=[50])
    days: float | None = Field(None, gt=0, le=MAX_DAYS, examples=[7])
    drift: bool = False


@router.get("/stations/{name}/learning")
def station_learning(
    name: str, site: Here, identity: Reading, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> StationLearning:
    """What a station has learned since its recipes were made, and whether it learns by itself."""
    found = work.changes(site.store, name, limit)
    return StationLearning(station=name, mode=site.store.adaptations.mode(name), changes=_shown(*found))


@router.put("/stations/{name}/learning")
def switch_learning(name: str, form: LearningMode, site: Here, identity: Operating) -> StationLearning:
    """Switch a station's self-learning."""
    mode = work.mode(site.store, name, form.mode, identity.name, form.note)
    return StationLearning(station=name, mode=mode, changes=_shown(*work.changes(site.store, name)))


@router.get("/learning")
def learned_changes(site: Here, identity: Reading, station: Text = None) -> list[LearnedChange]:
    """The newest changes, of all stations or of one."""
    return _shown(*work.changes(site.store, station))


@router.post("/inspections/{number}/harmless")
def harmless(number: int, form: HarmlessForm, site: Here, identity: Labelling) -> HarmlessAnswer:
    """Call what stopped a part harmless: shown first, and refused where a known defect would pass."""
    found = work.harmless(site.store, number, form.view, identity.name, form.note, box=form.box, dry_run=form.dry_run)
    told = found.to_json()
    return HarmlessAnswer(**{field: told[field] for field in HarmlessAnswer.model_fields})


@router.post("/learning/{number}/decide")
def decide(number: int, form: Decision, site: Here, identity: Operating) -> LearnedChange:
    """Admit or refuse a change that a station suggests."""
    return _shown(work.decide(site.store, number, form.admit, identity.name, form.note))[0]


@router.post("/learning/{number}/undo")
def undo(number: int, form: Note, site: Here, identity: Labelling) -> LearnedChange:
    """Take one change back; what other changes brought stays."""
    return _shown(work.undo(site.store, number, identity.name, form.note))[0]


@router.get("/schedules")
def schedules(site: Here, identity: Reading) -> list[ImproveSchedule]:
    """When recipes are improved without anybody asking for it."""
    return [ImproveSchedule.model_validate(one) for one in times.schedule(site.store)]


@router.put("/schedules/{product}")
def put_schedule(product: str, form: NewSchedule, site: Here, identity: Engineering) -> list[ImproveSchedule]:
    """Have a product's recipe improved after new labels, days, or an alarm; into shadow at most."""
    found = times.schedule(site.store, product, form.labels, form.days, form.drift, author=identity.name)
    return [ImproveSchedule.model_validate(one) for one in found]


@router.delete("/schedules/{product}", status_code=204)
def remove_schedule(product: str, site: Here, identity: Engineering) -> None:
    """Have it improved only when somebody asks for it."""
    times.schedule(site.store, product, off=True, author=identity.name)


def _shown(*found: StoredAdaptation) -> list[LearnedChange]:
    return [LearnedChange.model_validate(one) for one in found]
