"""What comes into the review queue by itself: REVIEW parts, a share of NG parts, and what measures the reviewers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from sightline.core.result import Verdict
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow, SampleRow
from sightline.store.tables.line import InspectionRow, ReviewRow, UserRow

REVIEW, CHALLENGE, REPEAT = "review", "challenge", "repeat"
OPEN = "open"
REASONS = {
    Verdict.REVIEW: "REVIEW at the station",
    Verdict.NG: "NG at the station: is that right?",
    Verdict.OK: "OK at the station, drawn at random: is that right?",
}
KNOWS = ("engineer", "administrator")  # whose word alone makes a challenge's answer known
MAX_CANDIDATES = 200


@dataclass(frozen=True, slots=True)
class Mixed:
    """Of how many answers one brings a blind repeat, and one a challenge; 0: none does."""

    repeat_every: int
    challenge_every: int


NOTHING = Mixed(0, 0)
FIRST, FIRST_EVERY = 100, 8  # of a person's first answers, so many bring one: who answers at random is found by then


def sampled(name: str, share: float) -> bool:
    """Whether the draw of that name is among a share 0..1 of all: the same name is drawn alike for ever."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]) < share * 2**64


def question(
    inspection: int,
    verdict: Verdict,
    details: Mapping[str, Any],
    name: str,
    judged: bool,
    shares: Mapping[Verdict, float],
) -> dict[str, Any] | None:
    """The columns of a review about a part of the production, None where nothing is to be asked.

    Every REVIEW part is asked about, and `shares` of the OK and NG parts that were `judged` by their looks, sampled by
    `name`: what people say of them measures the line (`improve.rates`).
    """
    asked = verdict is Verdict.REVIEW or (judged and sampled(name, shares.get(verdict, 0.0)))
    if not asked:
        return None
    pilot = details.get("mode") == "pilot"
    return {
        **{"inspection_id": inspection, "reason": REASONS[verdict], "priority": 0.0, "state": OPEN, "types": []},
        **{"note": "", "created": now(), "purpose": REVIEW, "automatic": True, "pilot": pilot},
        **{"regions": [], "annotations": []},
    }


def mix_in(session: Session, answered: ReviewRow, author: str, mixed: Mixed) -> None:
    """After an answer to an ordinary review, put a repeat or a challenge for the same person at the queue's end.

    Whether this answer brings one is drawn by the review's number, so that an answer that is taken back and given again
    brings no second one.
    """
    if answered.purpose != REVIEW or answered.inspection_id is None:
        return
    number = answered.id
    mine = select(func.count()).where(ReviewRow.author == author, ReviewRow.purpose == REVIEW)
    if (session.scalar(mine) or 0) <= FIRST:
        mixed = Mixed(*(min(every, FIRST_EVERY) for every in (mixed.repeat_every, mixed.challenge_every)))
    if mixed.repeat_every and sampled(f"repeat {number}", 1 / mixed.repeat_every):
        there = select(ReviewRow.id).where(ReviewRow.first_id == number, ReviewRow.purpose == REPEAT)
        if session.scalar(there) is None:
            session.add(_for(author, REPEAT, answered.inspection_id, answered.pilot, answered.reason, number))
    if mixed.challenge_every and sampled(f"challenge {number}", 1 / mixed.challenge_every):
        there = select(ReviewRow.id).where(ReviewRow.first_id == number, ReviewRow.purpose == CHALLENGE)
        found = None if session.scalar(there) is not None else _answered_part(session, answered, author)
        if found is not None:
            part, expected = found
            pilot = part.details.get("mode") == "pilot"
            row = _for(author, CHALLENGE, part.id, pilot, REASONS[Verdict.REVIEW], number)
            row.expected = expected
            session.add(row)


def take_out(session: Session, answered: ReviewRow) -> None:
    """Remove what an answer brought, as far as nobody has answered it: the answer is taken back."""
    mine = select(ReviewRow).where(ReviewRow.first_id == answered.id, ReviewRow.addressee == answered.author)
    for row in session.scalars(mine.where(ReviewRow.answer.is_(None), ReviewRow.purpose.in_((REPEAT, CHALLENGE)))):
        session.delete(row)


def _for(author: str, purpose: str, inspection: int, pilot: bool, reason: str, first: int) -> ReviewRow:
    row = ReviewRow(inspection_id=inspection, purpose=purpose, pilot=pilot, reason=reason, first_id=first)
    row.addressee, row.automatic, row.state, row.priority, row.created = author, True, OPEN, 0.0, now()
    row.types, row.regions, row.annotations, row.note = [], [], [], ""
    return row


def _answered_part(session: Session, like: ReviewRow, author: str) -> tuple[InspectionRow, str] | None:
    """A REVIEW part of the same product with its picture, whose answer others know, and that `author` has not seen.

    Known is what an engineer said, or two people who did not see each other's label.
    """
    part, label, second, shown = InspectionRow, AnnotationRow, aliased(AnnotationRow), aliased(ReviewRow)
    newer = aliased(AnnotationRow)
    product = session.scalar(select(part.product).where(part.id == like.inspection_id))
    if product is None:
        return None
    confirmed = exists().where(
        second.sample_id == label.sample_id, second.author != label.author, second.author != author,
        second.blind.is_(True), second.label == label.label,
    )  # fmt: skip
    expert = exists().where(UserRow.name == label.author, UserRow.role.in_(KNOWS))
    query = (
        select(part, label.label)
        .join(SampleRow, SampleRow.hash == part.image_hash)
        .join(label, label.sample_id == SampleRow.id)
        .where(
            SampleRow.product == product, SampleRow.deleted_at.is_(None), part.verdict == str(Verdict.REVIEW),
            label.blind.is_(False), label.label.in_(("good", "defective")), label.author != author,
            ~exists().where(newer.sample_id == label.sample_id, newer.blind.is_(False), newer.id > label.id),
            ~exists().where(shown.inspection_id == part.id, (shown.author == author) | (shown.addressee == author)),
            expert | confirmed,
        )
        .order_by(part.id.desc())
        .limit(MAX_CANDIDATES)
    )  # fmt: skip
    found = [(row, label) for row, label in session.execute(query)]
    # As many good as defective ones, where there are both: whoever always answers the same is found out.
    wanted = "good" if sampled(f"kind {like.id}", 0.5) else "defective"
    some = [one for one in found if one[1] == wanted] or found
    return some[like.id % len(some)] if some else None
