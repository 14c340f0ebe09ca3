"""Reviews: taken a few at a time, answered, skipped, undone, and asked about once more."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from sightline.operations.people import Identity
from sightline.store import reviews as store
from sightline.store.users import ENGINEER, RANK
from sightline.web.api.identity import Engineering, Labelling, Reading
from sightline.web.api.paging import After, Limit, Listed, listed, place
from sightline.web.api.problems import responses
from sightline.web.api.replies import Route
from sightline.web.api.session import Form
from sightline.web.api.site import Here

router = APIRouter(tags=["reviews"], route_class=Route, responses=responses(401, 403, 404, 409, 422))
Answer = Literal["good", "defective", "unknown"]


class Review(BaseModel):
    """A part that a person shall look at, and the answer.

    `purpose`, `expected` and `first_id` are for engineers: to whoever answers, a challenge or a repeat looks like any
    other, afterwards too, since an answer can be taken back.
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


class NewReview(Form):
    """A question about one inspection or one sample."""

    reason: str = Field(min_length=1, max_length=1000, examples=["score near the threshold"])
    inspection_id: int | None = None
    sample_id: int | None = None
    priority: float = Field(0.0, ge=-1e6, le=1e6)
    purpose: Literal["review", "challenge", "repeat"] = "review"
    expected: Answer | None = Field(None, description="of a challenge: the right answer")
    first_id: int | None = Field(None, description="of a repeat: the review that it repeats")


class Claim(Form):
    """How many to take: one to look at, the others to have their pictures loaded meanwhile."""

    count: Annotated[int, Field(ge=1, le=50)] = 5


class NewAnswer(Form):
    """An answer."""

    answer: Answer
    types: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field([], max_length=50)
    note: str = Field("", max_length=4000)


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
) -> Listed[Review]:
    """Reviews, the newest first."""
    found = site.store.reviews.page(state, author, place(after, int), limit)
    return listed([_shown(one, identity) for one in found], limit, lambda review: review.id)


@router.post("/reviews", status_code=201)
def add_review(form: NewReview, site: Here, identity: Engineering) -> Review:
    """Ask about a part; a challenge has a known answer, a repeat is shown to the same person again."""
    values = form.model_dump(exclude={"reason"})
    return _shown(site.store.reviews.add(identity.name, form.reason, **values), identity)


@router.post("/reviews/claim")
def claim(form: Claim, site: Here, identity: Labelling) -> list[Review]:
    """Take the most urgent ones; for ten minutes nobody else gets them."""
    return [_shown(one, identity) for one in site.store.reviews.claim(identity.name, form.count)]


@router.get("/reviews/{number}")
def review(number: int, site: Here, identity: Reading) -> Review:
    """One review."""
    return _shown(site.store.reviews.get(number), identity)


@router.post("/reviews/{number}/answer")
def answer(number: int, form: NewAnswer, site: Here, identity: Labelling) -> Review:
    """Answer a review that you have taken."""
    found = site.store.reviews.answer(number, identity.name, form.answer, tuple(form.types), form.note)
    return _shown(found, identity)


@router.post("/reviews/{number}/skip")
def skip(number: int, form: Note, site: Here, identity: Labelling) -> Review:
    """Leave it to others."""
    return _shown(site.store.reviews.skip(number, identity.name, form.note), identity)


@router.post("/reviews/{number}/undo")
def undo(number: int, site: Here, identity: Labelling) -> Review:
    """Take your answer back."""
    return _shown(site.store.reviews.undo(number, identity.name), identity)


@router.post("/reviews/{number}/second-opinion", status_code=201)
def ask_again(number: int, form: Note, site: Here, identity: Labelling) -> Review:
    """Have another person look at it, too."""
    return _shown(site.store.reviews.ask_again(number, identity.name, form.note or "second opinion"), identity)


def _shown(found: store.Review, identity: Identity) -> Review:
    values = {name: getattr(found, name) for name in Review.model_fields if name != "types"}
    if RANK[identity.role] < RANK[ENGINEER]:
        values |= {"purpose": None, "expected": None, "first_id": None}
    return Review(types=list(found.types), **values)
