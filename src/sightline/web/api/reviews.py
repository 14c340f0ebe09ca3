"""Reviews: taken a few at a time, looked at, answered, skipped, undone, and asked about once more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from sightline.operations import reviews as work
from sightline.operations.people import Identity
from sightline.store import reviews as store
from sightline.store.annotations import region_from_json
from sightline.store.review_queue import Mixed
from sightline.store.tables.base import now
from sightline.store.users import ENGINEER, RANK
from sightline.web.api.identity import Engineering, Labelling, Reading
from sightline.web.api.inspections import Since
from sightline.web.api.labels import REGIONS, Type
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["reviews"], route_class=Route, responses=responses(401, 403, 404, 409, 422))
EARLIEST = datetime(1, 2, 1, tzinfo=UTC)  # a month before it is none
Label = Literal["good", "defective", "unknown"]


class ReviewItem(BaseModel):
    """A part in the review queue, and the answer.

    `purpose`, `expected` and `first_id` are for engineers: to the person who answers, a challenge or a repeat looks
    like any other, afterwards too, since an answer can be taken back. `pilot`: the station is in
    pilot mode, so its machine gets no verdict.
    `annotations` are ids of what the answer has written.
    """

    id: int
    inspection_id: int | None
    sample_id: int | None
    reason: str
    priority: float
    state: str
    claimed_by: str | None
    claimed_at: datetime | None
    answer: str | None
    types: list[str]
    note: str
    author: str | None
    created: datetime
    answered: datetime | None
    purpose: str | None
    expected: str | None
    first_id: int | None
    pilot: bool
    grade: int | None
    regions: list[dict[str, Any]]
    annotations: list[int]


class NewReview(Form):
    """A question about one inspection or one sample."""

    reason: str = Field(min_length=1, max_length=1000, examples=["score near the threshold"])
    inspection_id: int | None = None
    sample_id: int | None = None
    priority: float = Field(0.0, ge=-1e6, le=1e6)
    purpose: Literal["review", "challenge", "repeat"] = "review"
    expected: Label | None = Field(None, description="of a challenge: the right answer")
    first_id: int | None = Field(None, description="of a repeat: the review that it repeats")


class Claim(Form):
    """How many to take: one to look at, the others to have their pictures loaded meanwhile."""

    count: Annotated[int, Field(ge=1, le=50)] = 5


class NewAnswer(Form):
    """An answer. Regions are those of annotations, with the name of their `view` where the part has several.

    `views` show the defect; by default those with regions, else the one that was judged worst.
    """

    answer: Label
    types: list[Type] = Field([], max_length=50)
    note: str = Field("", max_length=4000)
    grade: int | None = Field(None, ge=-1000, le=1000)
    regions: list[dict[str, Any]] = Field([], max_length=1000, examples=REGIONS)
    views: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field([], max_length=64)


class AgreementRate(BaseModel):
    """`count` of `of` answers that were the right or the same one, with the two-sided exact interval."""

    model_config = ConfigDict(from_attributes=True)

    value: float | None
    count: int
    of: int
    lower: float
    upper: float
    confidence: float


class ReviewerFigures(BaseModel):
    """A reviewer's answers. `parts_per_minute` leaves out pauses of over two minutes; null: too few to say."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    answered: int
    parts_per_minute: float | None
    last: datetime
    challenges: AgreementRate
    repeats: AgreementRate


class ReviewSummary(BaseModel):
    """What waits now, without repeats and challenges; `answered` and `reviewers` are of a time."""

    open: int
    claimed: int
    skipped: int
    answered: int
    oldest: datetime | None
    oldest_s: float | None
    claimed_by: dict[str, int]
    reviewers: list[ReviewerFigures] | None = Field(description="for engineers; null for others")


class Note(Form):
    """Why."""

    note: str = Field("", max_length=1000)


@router.get("/reviews")
def reviews(
    site: Here,
    identity: Reading,
    state: Literal["open", "claimed", "answered", "skipped"] | None = None,
    author: str | None = None,
    after: After = None,
    limit: Limit = 50,
) -> Listed[ReviewItem]:
    """Reviews, the newest first."""
    found = site.store.reviews.page(state, author, place(after, int), limit)
    return listed([_shown(one, identity) for one in found], limit, lambda review: review.id)


@router.post("/reviews", status_code=201)
def add_review(form: NewReview, site: Here, identity: Engineering) -> ReviewItem:
    """Ask about a part; a challenge has a known answer, a repeat is shown to the same person again."""
    values = form.model_dump(exclude={"reason"})
    return _shown(site.store.reviews.add(identity.name, form.reason, **values), identity)


@router.post("/reviews/claim")
def claim(form: Claim, site: Here, identity: Labelling) -> list[ReviewItem]:
    """Take the most urgent ones; for ten minutes nobody else gets them."""
    return [_shown(one, identity) for one in site.store.reviews.claim(identity.name, form.count)]


@router.get("/reviews/summary")
def summary(site: Here, identity: Reading, since: Since = None, until: Since = None) -> ReviewSummary:
    """How many wait, who has some, and how reviewers do: of a time, by default the last 30 days. Engineers see each."""
    end = until or now() + timedelta(seconds=1)
    found = work.summary(site.store, since or max(EARLIEST, end) - timedelta(days=30), end)
    states, oldest = found.waiting.states, found.waiting.oldest
    return ReviewSummary(
        **{name: states.get(name, 0) for name in ("open", "claimed", "skipped")},
        answered=found.answered,
        oldest=oldest,
        oldest_s=None if oldest is None else (now() - oldest).total_seconds(),
        claimed_by=dict(found.waiting.claimed_by),
        reviewers=[ReviewerFigures.model_validate(one) for one in found.reviewers] if _sees_all(identity) else None,
    )


@router.get("/reviews/{number}")
def review(number: int, site: Here, identity: Reading) -> ReviewItem:
    """One review."""
    return _shown(site.store.reviews.get(number), identity)


@router.post("/reviews/{number}/answer")
def answer(number: int, form: NewAnswer, site: Here, identity: Labelling) -> ReviewItem:
    """Answer a review that you have taken. The part's pictures, where they are kept, are labelled by it."""
    marks = tuple((str(one.get("view") or ""), region_from_json(one)) for one in form.regions)
    given = store.Answer(label=form.answer, types=tuple(form.types), note=form.note, grade=form.grade, marks=marks)
    mixed = Mixed(site.settings.repeat_every, site.settings.challenge_every)
    return _shown(work.answer(site.store, number, identity.name, given, form.views, mixed), identity)


@router.post("/reviews/{number}/skip")
def skip(number: int, form: Note, site: Here, identity: Labelling) -> ReviewItem:
    """Leave it to others; to nobody where no picture of the part is kept any more."""
    return _shown(work.skip(site.store, number, identity.name, form.note), identity)


@router.post("/reviews/{number}/undo")
def undo(number: int, site: Here, identity: Labelling) -> ReviewItem:
    """Take your answer back, and with it what it said of the part's pictures."""
    return _shown(site.store.reviews.undo(number, identity.name), identity)


@router.post("/reviews/{number}/second-opinion", status_code=201)
def ask_again(number: int, form: Note, site: Here, identity: Labelling) -> ReviewItem:
    """Have another person look at it, too."""
    return _shown(site.store.reviews.ask_again(number, identity.name, form.note or "second opinion"), identity)


def _sees_all(identity: Identity) -> bool:
    return RANK[identity.role] >= RANK[ENGINEER]


def _shown(found: store.Review, identity: Identity) -> ReviewItem:
    values = {name: getattr(found, name) for name in ReviewItem.model_fields}
    if not _sees_all(identity):
        values |= {"purpose": None, "expected": None, "first_id": None}
    return ReviewItem.model_validate(values)
