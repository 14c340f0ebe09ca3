"""How reviewers do: what waits, what each has answered, how fast, and how often rightly or the same again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sightline.evaluate.statistics.intervals import Rate, exact_rate
from sightline.store.review_figures import Answered, Waiting
from sightline.store.review_queue import CHALLENGE, REPEAT
from sightline.store.store import Store

PAUSE = timedelta(minutes=2)  # longer ones between two answers are no work
MIN_GAPS = 3  # below, a pace would say nothing


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One reviewer's answers of a time: how many, how many a minute while at work, and the two measures."""

    name: str
    answered: int
    parts_per_minute: float | None
    last: datetime
    challenges: Rate
    repeats: Rate


@dataclass(frozen=True, slots=True)
class Summary:
    """What waits now, and who answered what in a time."""

    waiting: Waiting
    answered: int
    reviewers: tuple[Reviewer, ...]


def summary(store: Store, since: datetime, until: datetime) -> Summary:
    """What waits, and the answers of since <= answered < until by reviewer, by name."""
    answers = store.review_figures.answers(since, until)
    by_name: dict[str, list[Answered]] = {}
    for one in answers:
        by_name.setdefault(one.author, []).append(one)
    reviewers = tuple(_reviewer(name, mine) for name, mine in sorted(by_name.items()))
    return Summary(store.review_figures.waiting(), len(answers), reviewers)


def _reviewer(name: str, mine: Sequence[Answered]) -> Reviewer:
    gaps = [gap for first, then in pairwise(mine) if timedelta() < (gap := then.at - first.at) <= PAUSE]
    worked = sum(gaps, timedelta()).total_seconds()
    pace = 60 * len(gaps) / worked if len(gaps) >= MIN_GAPS else None
    return Reviewer(name, len(mine), pace, mine[-1].at, _agreement(mine, CHALLENGE), _agreement(mine, REPEAT))


def _agreement(mine: Sequence[Answered], measures: str) -> Rate:
    told = [one.agrees for one in mine if one.measures == measures and one.agrees is not None]
    return exact_rate(sum(told), len(told))
