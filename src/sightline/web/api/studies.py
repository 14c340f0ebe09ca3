"""Studies: designed, read by whoever's turn it is, closed, and what they found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from sightline.core.errors import ForbiddenError, NotFoundError, StoreError
from sightline.imaging.decoding import kind_of
from sightline.operations import studies as work
from sightline.operations.jobs import Name
from sightline.operations.people import Identity
from sightline.operations.studies import Progressed
from sightline.store.studies import Appraiser, Reading, Study, Turn
from sightline.web.api.identity import Engineering, Inspecting
from sightline.web.api.identity import Reading as Looking
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["studies"], route_class=Route, responses=responses(401, 403, 404, 409, 422))
PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/*": {}}, "description": "the picture"}}
Kind = Literal["attribute", "knapp", "acceptance", "repeatability", "limit", "capability"]
People = Annotated[str, Field(min_length=1, max_length=64, examples=["ann"])]


class StudyAppraiser(BaseModel):
    """Who reads, and how many readings there are."""

    name: str
    kind: Literal["person", "machine"]
    done: int


class StudyState(BaseModel):
    """A study and how far it is. `readings_each`: how many every appraiser gives; `record`: once it is closed.

    `seed` is not told while a blind study is open: the orders of the parts follow from it.
    """

    id: int
    name: str
    kind: Kind
    product: str
    question: str
    trials: int
    seed: int | None
    blind: bool
    settings: dict[str, Any]
    appraisers: list[StudyAppraiser]
    readings_each: int
    state: str
    record: int | None
    author: str
    created: datetime
    closed: datetime | None


class StudySettings(Form):
    """What was agreed: largest rates by name (escape, overkill, a defect type), limits of values, the least Ppk."""

    limits: dict[str, Annotated[float, Field(gt=0, lt=1)]] | None = Field(None, max_length=50)
    lower: float | None = Field(None, allow_inf_nan=False)
    upper: float | None = Field(None, allow_inf_nan=False)
    subgroup: int | None = Field(None, ge=1, le=100)
    ppk: float | None = Field(None, gt=0, le=100)


class StudyDesign(Form):
    """A study to design: `parts` pictures of the product are drawn at random, half of them defective where there are so
    many. `settings`: agreed limits, such as {"limits": {"escape": 0.01}} or {"lower": 4.0, "upper": 4.2}.
    """

    name: str = Field(min_length=1, max_length=200, examples=["MSA press 3, November"])
    kind: Kind = "attribute"
    product: Name
    people: list[People] = Field([], max_length=50)
    machines: list[People] = Field([], max_length=50)
    parts: int = Field(30, ge=1, le=5000)
    trials: int = Field(3, ge=1, le=50)
    question: str = Field("", max_length=500, examples=["Is this part good?"])
    seed: int = Field(0, ge=0, lt=2**31)
    blind: bool = True
    settings: StudySettings | None = None


class StudyTurn(BaseModel):
    """The part that is read next. Of a blind study, nothing but its picture tells which one it is. `measured`: a
    number is asked for.
    """

    trial: int
    trials: int
    place: int
    of: int
    label: str | None
    picture: bool = Field(description="whether there is one, at /studies/{number}/turn/picture")
    question: str
    measured: bool


class StudyReading(Form):
    """What is said of the part of `trial` and `place`: OK or NG, a value, or both."""

    trial: int = Field(ge=1)
    place: int = Field(ge=1)
    answer: Literal["OK", "NG"] | None = None
    value: float | None = Field(None, allow_inf_nan=False)


class StudyClosing(Form):
    """Why trials are missing."""

    note: str = Field("", max_length=1000, examples=["bob was ill on the second day"])


@router.get("/studies")
def studies(site: Here, identity: Looking, after: After = None, limit: Limit = 50) -> Listed[StudyState]:
    """Studies, the newest first."""
    found = [_state(work.show(site.store, one.id)) for one in site.store.studies.page(place(after, int), limit)]
    return listed(found, limit, lambda one: one.id)


@router.post("/studies", status_code=201)
def design(form: StudyDesign, site: Here, identity: Engineering) -> StudyState:
    """Design a study. Its parts, appraisers and orders are fixed from now on."""
    settings = {} if form.settings is None else form.settings.model_dump(exclude_none=True)
    people = tuple(Appraiser(name) for name in form.people) + tuple(
        Appraiser(name, "machine") for name in form.machines
    )
    study = Study(
        form.name,
        form.kind,
        form.product,
        people,
        form.trials,
        form.question,
        form.seed,
        form.blind,
        settings,
    )
    return _state(work.design(site.store, study, f"store:{form.product}", form.parts, identity.name))


@router.get("/studies/{number}")
def study(number: int, site: Here, identity: Looking) -> StudyState:
    """One study. What its parts are is told in its result."""
    return _state(work.show(site.store, number))


@router.get("/studies/{number}/turn")
def turn(number: int, site: Here, identity: Looking) -> StudyTurn | None:
    """The part that whoever is logged in reads next; null where all are read."""
    study = site.store.studies.get(number)
    return _turn(study, site.store.studies.turn(number, _reader(study, identity)))


@router.get("/studies/{number}/turn/picture", response_class=Response, responses=PICTURE)
def turn_picture(number: int, site: Here, identity: Looking) -> Response:
    """The picture of the part that whoever is logged in reads next. Neither its address nor its headers name it."""
    found = site.store.studies.turn(number, _reader(site.store.studies.get(number), identity))
    hash = None if found is None else _image(found)
    if hash is None:
        raise NotFoundError(f"study {number} has no picture to show now. Ask whose turn it is")
    try:
        data = site.store.images.read(hash)
    except StoreError as error:
        raise NotFoundError(str(error)) from error
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "sandbox; default-src 'none'"}
    return Response(data, media_type=kind_of(data[:64]) or "application/octet-stream", headers=headers)


@router.post("/studies/{number}/readings", status_code=201)
def read(number: int, form: StudyReading, site: Here, identity: Inspecting) -> StudyTurn | None:
    """Say what the part is. What comes next is the answer; no reading is ever changed."""
    study = site.store.studies.get(number)
    name = _reader(study, identity)
    reading = Reading(form.answer, form.value, {} if identity.means == "password" else {"by": identity.means})
    site.store.studies.read(number, name, reading, name, trial=form.trial, place=form.place)
    return _turn(study, site.store.studies.turn(number, name))


@router.post("/studies/{number}/close")
def close(number: int, form: StudyClosing, site: Here, identity: Engineering) -> dict[str, Any]:
    """Close a study with what there is; its result becomes a record that people sign."""
    return work.close(site.store, number, identity.name, form.note)


@router.get("/studies/{number}/result")
def result(number: int, site: Here, identity: Looking) -> dict[str, Any]:
    """What a closed study found, with its signatures; `tampered` says where it is no longer as it was kept."""
    return work.result(site.store, number)


def _state(found: Progressed) -> StudyState:
    one = found.study
    assert one.created is not None
    people = [StudyAppraiser(name=each.name, kind=each.kind, done=found.done[each.name]) for each in one.appraisers]
    names = ("id", "name", "kind", "product", "question", "trials", "blind", "state", "author", "created", "closed")
    values = {name: getattr(one, name) for name in names}
    values["seed"] = None if one.blind and one.state == "open" else one.seed  # else an appraiser finds repeated parts
    settings = dict(one.settings or {})
    return StudyState(**values, settings=settings, appraisers=people, readings_each=found.of, record=one.record_id)


def _reader(study: Study, identity: Identity) -> str:
    """The name of the person who reads. Raises ForbiddenError for the name of a machine, which reads by a recipe, and
    in a blind study for a token or a PIN.
    """
    if Appraiser(identity.name) not in study.appraisers:
        raise ForbiddenError(f"{identity.name} is no appraiser of study {study.id}. Log in as a person who reads it")
    if study.blind and identity.means != "password":
        raise ForbiddenError("a token or a PIN cannot read in a blind study. Log in with the password to read")
    return identity.name


def _image(found: Turn) -> str | None:
    """The hash of the picture that this trial shows."""
    images = found.part.images
    return images[(found.trial - 1) % len(images)] if images else None


def _turn(study: Study, found: Turn | None) -> StudyTurn | None:
    if found is None:
        return None
    picture = _image(found) is not None
    label = None if study.blind and picture else found.part.label
    measured = study.kind in ("repeatability", "capability")
    return StudyTurn(
        trial=found.trial, trials=study.trials, place=found.place, of=found.of, label=label, picture=picture,
        question=study.question, measured=measured,
    )  # fmt: skip
