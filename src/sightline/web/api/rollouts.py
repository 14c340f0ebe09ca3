"""Rollouts: a recipe brought to stations, the canary first, and taken back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from sightline.operations import rollouts as work
from sightline.store.rollouts import Assignment, Rollout
from sightline.web.api.identity import Operating, Reading
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["rollouts"], route_class=Route, responses=responses(401, 403, 404, 409, 422))


class StationRecipe(BaseModel):
    """What a station is to run in place of the recipe in its own file, null for that one, and what it says it runs.

    `fault`: why it does not run it. `runs`: it does.
    """

    model_config = ConfigDict(from_attributes=True)

    station: str
    product: str
    recipe_hash: str | None
    running_hash: str | None
    runs: bool
    fault: str
    updated: datetime


class RecipeRollout(BaseModel):
    """A recipe on its way to `stations`, of which the first is the canary.

    `state`: canary, rolling (to the others), done, or rolled back. `reason`: why it went on or was taken back.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    product: str
    recipe_hash: str
    stations: list[str]
    parts: int
    state: str
    reason: str
    author: str
    note: str
    created: datetime
    ended: datetime | None
    assignments: list[StationRecipe] = []


class NewRollout(Form):
    """Which recipe, promoted before, to which stations, the canary first, and how many parts each has to inspect."""

    recipe: str = Field(pattern="^[0-9a-f]{8,64}$")
    stations: list[str] = Field(min_length=1, max_length=1000, examples=[["press-3", "press-4"]])
    parts: int = Field(work.PARTS, ge=1, le=work.MAX_PARTS)
    note: str = Field("", max_length=1000)


class RolledBack(Form):
    """Why it is taken back."""

    reason: str = Field(min_length=1, max_length=1000, examples=["overkill in lot 12"])


@router.get("/rollouts")
def rollouts(site: Here, identity: Reading, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> list[RecipeRollout]:
    """Rollouts, the newest first, and what their stations run."""
    return [_shown(*one) for one in work.list_rollouts(site.store, limit)]


@router.post("/rollouts", status_code=201)
def roll_out(form: NewRollout, site: Here, identity: Operating) -> RecipeRollout:
    """Bring a recipe to stations. The worker watches it there, and takes it back where it does worse."""
    return _shown(work.start(site.store, form.recipe, form.stations, form.parts, identity.name, form.note), ())


@router.post("/rollouts/{number}/roll-back")
def roll_back(number: int, form: RolledBack, site: Here, identity: Operating) -> RecipeRollout:
    """Have all stations of a rollout run again what they ran before."""
    return _shown(work.back(site.store, number, form.reason, identity.name), ())


def _shown(one: Rollout, assigned: tuple[Assignment, ...]) -> RecipeRollout:
    shown = RecipeRollout.model_validate(one)
    shown.assignments = [StationRecipe.model_validate(row) for row in assigned]
    return shown
