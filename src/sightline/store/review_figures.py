"""Figures over reviews: how many wait, and what each reviewer answered, and when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from sightline.core.result import SEVERITY, Verdict
from sightline.store.annotations import DEFECTIVE, GOOD
from sightline.store.database import Database
from sightline.store.review_queue import CHALLENGE, OPEN, REPEAT, REVIEW
from sightline.store.reviews import ANSWERED, CLAIMED
from sightline.store.tables.line import InspectionRow, ReviewRow

VERDICTS = (Verdict.OK, Verdict.REVIEW, Verdict.NG)
BATCH = 5000  # rows at once
MAX_READ = 50_000  # answers of a time; the newest


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many reviews are in each state, since when the oldest open one waits, and who has how many."""

    states: Mapping[str, int]
    oldest: datetime | None
    claimed_by: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: by whom, when, and whether it is what was expected, None where nothing was.

    `measures` is "challenge" or "repeat", "" for any other review.
    """

    author: str
    at: datetime
    measures: str
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class Stratum:
    """Parts of one verdict: how many there were, and of those that people were asked about at random, how many they
    called good or defective. Of a recipe in shadow, `active` is what the recipe in use said of them.
    """

    verdict: Verdict
    parts: int
    good: int
    defective: int
    active: Verdict | None = None


class ReviewFigures:
    """Figures over the reviews of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def waiting(self) -> Waiting:
        """What waits now; repeats and challenges, which measure somebody, are left out."""
        row = ReviewRow
        asked = row.purpose.not_in((REPEAT, CHALLENGE))
        with self._database.reading() as session:
            states = session.execute(select(row.state, func.count()).where(asked).group_by(row.state)).all()
            holders = select(row.claimed_by, func.count()).where(asked, row.state == CLAIMED).group_by(row.claimed_by)
            held = session.execute(holders).all()
            oldest = session.scalar(select(func.min(row.created)).where(asked, row.state == OPEN))
        counts = {str(state): int(count) for state, count in states}
        return Waiting(counts, oldest, {str(name): int(count) for name, count in held})

    def strata(self, since: datetime, until: datetime, station: str | None = None) -> tuple[Stratum, ...]:
        """OK, REVIEW and NG parts of the production in since <= triggered < until, judged by their looks, and answers.

        Only what the line itself asked about counts, REVIEW parts and those drawn at random: whatever a person chose to
        have looked at would bend the rates.
        """
        row, review = InspectionRow, ReviewRow
        mine = _production(since, until, station)
        counted = select(row.verdict, func.count()).where(*mine).group_by(row.verdict)
        told = (
            select(row.verdict, review.answer, func.count())
            .join(review, review.inspection_id == row.id)
            .where(*mine, review.state == ANSWERED, review.purpose == REVIEW, review.automatic.is_(True))
            .group_by(row.verdict, review.answer)
        )
        with self._database.reading() as session:
            parts = {verdict: int(count) for verdict, count in session.execute(counted)}
            answers = {(verdict, answer): int(count) for verdict, answer, count in session.execute(told)}
        return tuple(
            Stratum(one, parts.get(one, 0), answers.get((one, GOOD), 0), answers.get((one, DEFECTIVE), 0))
            for one in VERDICTS
        )

    def shadow_strata(self, moments: Sequence[datetime], station: str, recipe: str) -> tuple[tuple[Stratum, ...], ...]:
        """What a recipe in shadow said of the station's production from each of the moments to the next, and answers.

        People are asked by the verdict of the recipe in use, at random within each: so parts are counted by both
        verdicts, and within each pair those who were looked at are a random sample again. The shadow's verdict of
        a part is the gravest of its views'; parts that it has not judged in every view are left out.
        """
        row, review, first, last = InspectionRow, ReviewRow, moments[0], moments[-1]
        judged = select(row.key, row.verdict).where(
            row.station == station, row.shadow.is_(True), row.recipe_hash == recipe, row.triggered >= first,
            row.triggered < last,
        )  # fmt: skip
        looked = (review.state == ANSWERED) & (review.purpose == REVIEW) & review.automatic.is_(True)
        told = select(row.key, row.verdict, row.triggered, review.answer).where(*_production(first, last, station))
        told = told.outerjoin(review, (review.inspection_id == row.id) & looked)
        said: dict[str, list[Verdict]] = {}
        spans = [{(one, other): [0, 0, 0] for one in VERDICTS for other in VERDICTS} for _ in moments[1:]]
        with self._database.reading() as session:
            for key, verdict in session.execute(judged).yield_per(BATCH):
                said.setdefault(str(key).rpartition("-shadow-")[0], []).append(Verdict(verdict))
            views = max(map(len, said.values()), default=0)
            for key, active, triggered, answer in session.execute(told).yield_per(BATCH):
                own = said.get(str(key), [])
                if own and len(own) == views:
                    span = spans[bisect_right(moments, triggered) - 1]
                    cell = span[max(own, key=SEVERITY.__getitem__), Verdict(active)]
                    cell[0] += 1
                    cell[1] += answer == GOOD
                    cell[2] += answer == DEFECTIVE
        return tuple(
            tuple(Stratum(one, parts, good, bad, active) for (one, active), (parts, good, bad) in span.items())
            for span in spans
        )

    def answers(self, since: datetime, until: datetime) -> tuple[Answered, ...]:
        """Answers in since <= answered < until, the newest 50,000, the oldest first."""
        row, first = ReviewRow, aliased(ReviewRow)
        query = (
            select(row.author, row.answered, row.purpose, row.answer, row.expected, first.answer)
            .outerjoin(first, first.id == row.first_id)
            .where(row.state == ANSWERED, row.answered >= since, row.answered < until)
            .order_by(row.answered.desc())
            .limit(MAX_READ)
        )
        with self._database.reading() as session:
            found = session.execute(query).all()
        told = []
        for author, at, purpose, answer, expected, before in reversed(found):
            assert author is not None and at is not None  # of every answered one
            right = {CHALLENGE: expected, REPEAT: before}.get(purpose)
            told.append(Answered(author, at, purpose if right else "", None if right is None else answer == right))
        return tuple(told)


def _production(since: datetime, until: datetime, station: str | None) -> list[ColumnElement[bool]]:
    """Parts of the production, judged by their looks by the recipe in use."""
    row = InspectionRow
    purpose = func.coalesce(row.details["purpose"].as_string(), "production")
    mine = [row.triggered >= since, row.triggered < until, row.score.is_not(None), row.shadow.is_(False)]
    return [*mine, purpose == "production", *([] if station is None else [row.station == station])]
