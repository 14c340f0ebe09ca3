"""Parts that a person shall look at: taken a few at a time, answered, skipped, undone, and asked about once more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.core.region import Region
from sightline.store.annotations import LABELS, Annotation, region_to_json, take_back, write_annotation
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.inspections import Record, record_of
from sightline.store.review_queue import CHALLENGE, NOTHING, OPEN, REPEAT, REVIEW, Mixed, mix_in, take_out
from sightline.store.tables.base import now
from sightline.store.tables.labels import SampleRow
from sightline.store.tables.line import InspectionRow, ReviewRow

CLAIMED, ANSWERED, SKIPPED = "claimed", "answered", "skipped"
SECOND = "second"
PURPOSES = (REVIEW, CHALLENGE, REPEAT, SECOND)
HELD_S = 600.0  # so long a claimed one waits for its answer; then anybody may have it
MAX_CLAIMED = 50
MAX_SIMILAR = 1000  # answers, among which similar parts are looked for


@dataclass(frozen=True, slots=True)
class Review:
    """A part, why a person shall look at it, and the answer.

    `purpose` is what it is there for beside the answer: a challenge has an `expected` one, a repeat is shown to the
    same person again, a second to another one; both name the `first_id`. `automatic`: the line's record or an answer
    brought it, nobody asked. `pilot`: its station told its machine no verdicts. `annotations` are ids of what the
    answer has written.
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
    types: tuple[str, ...]
    note: str
    author: str | None
    created: datetime
    answered: datetime | None
    purpose: str
    expected: str | None
    first_id: int | None
    automatic: bool
    pilot: bool
    addressee: str | None
    grade: int | None
    regions: tuple[Mapping[str, Any], ...]
    annotations: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a person says of a part, as `Annotation` has it; `marks` are regions with the name of the view that they are
    in, "" where the part has but one.
    """

    label: str
    types: tuple[str, ...] = ()
    note: str = ""
    grade: int | None = None
    marks: tuple[tuple[str, Region], ...] = ()

    def __post_init__(self) -> None:
        """Raises InputError where it contradicts itself."""
        if self.label not in LABELS:
            raise InputError(f"'{self.label}' is not an answer. Use one of: {', '.join(LABELS)}")
        if self.label == "good" and (self.types or self.marks):
            raise InputError("a good part has no defect types and no marks. Leave them out, or call it defective")


LISTS = ("types", "regions", "annotations")
FIELDS = tuple(name for name in Review.__dataclass_fields__ if name not in LISTS)


class Reviews:
    """The reviews of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        author: str,
        reason: str,
        *,
        inspection_id: int | None = None,
        sample_id: int | None = None,
        priority: float = 0.0,
        purpose: str = REVIEW,
        expected: str | None = None,
        first_id: int | None = None,
    ) -> Review:
        """Ask about an inspection or a sample. Raises InputError, NotFoundError where it is not there."""
        if (inspection_id is None) == (sample_id is None):
            raise InputError("a review is about one inspection or one sample. Name one of the two")
        if purpose not in PURPOSES or (purpose == CHALLENGE) != (expected in LABELS):
            raise InputError(
                f"purpose is one of {', '.join(PURPOSES)}; a challenge, and nothing else, expects an answer"
            )
        with self._database.writing() as session:
            for kind, number in ((InspectionRow, inspection_id), (SampleRow, sample_id)):
                if number is not None and session.get(kind, number) is None:
                    raise NotFoundError(f"there is no inspection or sample {number}. Look it up again")
            if first_id is not None:
                _find(session, first_id)
            row = ReviewRow(inspection_id=inspection_id, sample_id=sample_id, reason=reason, priority=priority)
            row.purpose, row.expected, row.first_id, row.state = purpose, expected, first_id, OPEN
            row.types, row.note, row.created, row.regions, row.annotations = [], "", now(), [], []
            row.automatic = False
            row.pilot = _is_pilot(session, inspection_id)
            session.add(row)
            session.flush()
            audit(session, author, "ask for review", f"review {row.id}", reason)
            return review_of(row)

    def get(self, id: int) -> Review:
        """One review. Raises NotFoundError."""
        with self._database.reading() as session:
            return review_of(_find(session, id))

    def page(
        self, state: str | None = None, author: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[Review, ...]:
        """The newest reviews, in one state, answered by one author, or older than the id `before`."""
        query = select(ReviewRow).order_by(ReviewRow.id.desc()).limit(limit)
        for column, value in ((ReviewRow.state, state), (ReviewRow.author, author)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(ReviewRow.id < before)
        with self._database.reading() as session:
            return tuple(review_of(row) for row in session.scalars(query))

    def claim(self, author: str, count: int = 1, held_s: float = HELD_S) -> tuple[Review, ...]:
        """Up to `count` reviews that are this author's to answer: those it has, then the most urgent open ones.

        Nobody else gets them for `held_s`. A second opinion never goes to whoever gave the first, and what is meant for
        one person to no other one.
        """
        if not 1 <= count <= MAX_CLAIMED:
            raise InputError(f"{count} reviews at once are not possible. Take 1 to {MAX_CLAIMED}")
        row, first = ReviewRow, aliased(ReviewRow)
        over = now() - timedelta(seconds=held_s)
        mine = select(row).where(row.state == CLAIMED, row.claimed_by == author)
        order = row.priority.desc(), row.id
        given = select(first.id).where(first.id == row.first_id, first.author == author)
        free = select(row).where(
            or_(row.state == OPEN, (row.state == CLAIMED) & (row.claimed_at < over)),
            or_(row.purpose != SECOND, ~given.exists()),
            or_(row.addressee.is_(None), row.addressee == author),
        )
        with self._database.writing() as session:
            found = list(session.scalars(mine.order_by(*order).limit(count)))
            if len(found) < count:
                more = free.where(row.id.not_in([one.id for one in found])).order_by(*order)
                found += session.scalars(more.limit(count - len(found)).with_for_update(skip_locked=True))
            for one in found:
                one.state, one.claimed_by, one.claimed_at = CLAIMED, author, now()
            session.flush()
            return tuple(review_of(one) for one in found)

    def answer(
        self,
        id: int,
        author: str,
        answer: Answer,
        words: Sequence[tuple[int, Annotation]] = (),
        mixed: Mixed = NOTHING,
    ) -> Review:
        """Answer a review that is claimed, and keep what that says of samples, (id, annotation) each: all or nothing.

        `mixed` says how often an answer brings a repeat or a challenge. Raises ConflictError where the review is
        another one's or answered, NotFoundError where a sample is gone.
        """
        with self._database.writing() as session:
            row = _claimed(session, id, author)
            row.state, row.answer, row.types, row.note = ANSWERED, answer.label, list(answer.types), answer.note
            row.grade, row.regions = answer.grade, [_mark(*mark) for mark in answer.marks]
            row.author, row.answered = author, now()
            for number, _ in words:
                if session.get(SampleRow, number, with_for_update=True) is None:
                    raise NotFoundError(f"the picture of review {id} was removed just now. Look at the part again")
            row.annotations = [write_annotation(session, number, word).id for number, word in words]
            mix_in(session, row, author, mixed)
            told = {"answer": answer.label, "types": list(answer.types), "annotations": row.annotations}
            audit(session, author, "answer review", f"review {id}", answer.note, **told)
            session.flush()
            return review_of(row)

    def similar(self, part: Record, most: int = 5) -> tuple[tuple[Review, Record], ...]:
        """Up to `most` answered reviews of other parts of its product: those of its type first, then near scores.

        They are looked for among the newest thousand answers.
        """
        row, other = ReviewRow, InspectionRow
        query = (
            select(row, other)
            .join(other, other.id == row.inspection_id)
            .where(row.state == ANSWERED, row.purpose == REVIEW, row.inspection_id != part.id)
            .order_by(row.id.desc())
            .limit(MAX_SIMILAR)
        )
        if part.product is not None:
            query = query.where(other.product == part.product)
        with self._database.reading() as session:
            found = [(review_of(review), record_of(inspection)) for review, inspection in session.execute(query)]
        kind, score = _main_type(part), part.score
        return tuple(
            sorted(
                found,
                key=lambda pair: (
                    _main_type(pair[1]) != kind,
                    math.inf if pair[1].score is None or score is None else abs(pair[1].score - score),
                ),
            )[:most]
        )

    def skip(self, id: int, author: str, note: str = "", closed: bool = False) -> Review:
        """Leave a review to others: it is open again, less urgent than all others that are. `closed`: to nobody."""
        with self._database.writing() as session:
            row = _claimed(session, id, author)
            row.state, row.claimed_by, row.claimed_at = SKIPPED if closed else OPEN, None, None
            row.priority -= 1.0
            audit(session, author, "skip review", f"review {id}", note)
            session.flush()
            return review_of(row)

    def undo(self, id: int, author: str) -> Review:
        """Take the own answer back, and what it said of samples; the audit keeps it. The review is this author's to
        answer again.
        """
        with self._database.writing() as session:
            row = _find(session, id, lock=True)
            if row.state != ANSWERED or row.author != author:
                raise ConflictError(f"review {id} has no answer of {author}. You can take back only your own answer")
            audit(session, author, "undo review", f"review {id}", answer=row.answer, types=list(row.types))
            for number in row.annotations:
                take_back(session, number, author, f"review {id} was taken back")
            take_out(session, row)
            row.state, row.claimed_by, row.claimed_at = CLAIMED, author, now()
            row.answer, row.types, row.note, row.author, row.answered = None, [], "", None, None
            row.grade, row.regions, row.annotations = None, [], []
            session.flush()
            return review_of(row)

    def ask_again(self, id: int, author: str, reason: str) -> Review:
        """Ask another person about an answered review. Raises ConflictError where it is not answered."""
        first = self.get(id)
        if first.state != ANSWERED:
            raise ConflictError(f"review {id} is {first.state}. A second opinion is possible once it is answered")
        return self.add(
            author,
            reason,
            inspection_id=first.inspection_id,
            sample_id=first.sample_id,
            priority=first.priority + 1.0,
            purpose=SECOND,
            first_id=id,
        )


def _claimed(session: Session, id: int, author: str) -> ReviewRow:
    row = _find(session, id, lock=True)
    if row.state == ANSWERED:
        raise ConflictError(f"review {id} was answered by {row.author} already: {row.answer}. Ask for a second opinion")
    if row.state != CLAIMED or row.claimed_by != author:
        holder = f"{row.claimed_by} has it" if row.claimed_by else "nobody has it"
        raise ConflictError(f"review {id} is not yours to answer ({holder}). Take the next one")
    return row


def _mark(view: str, region: Region) -> dict[str, Any]:
    return {**region_to_json(region), **({"view": view} if view else {})}


def _main_type(part: Record) -> str | None:
    return max(part.types, key=lambda name: part.types[name] or 0.0) if part.types else None


def _is_pilot(session: Session, inspection_id: int | None) -> bool:
    part = None if inspection_id is None else session.get(InspectionRow, inspection_id)
    return part is not None and part.details.get("mode") == "pilot"


def _find(session: Session, id: int, lock: bool = False) -> ReviewRow:
    row = session.get(ReviewRow, id, with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"there is no review {id}. Look it up again")
    return row


def review_of(row: ReviewRow) -> Review:
    """A row as a value."""
    lists: dict[str, Any] = {name: tuple(getattr(row, name)) for name in LISTS}
    return Review(**lists, **{name: getattr(row, name) for name in FIELDS})
