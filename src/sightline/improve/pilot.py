"""A pilot: what has to be so before it begins, what it has to reach, and how it stands after so many parts, in words.

The figures are those of `improve.rates`: everybody looks at REVIEW parts and at a random share of the others, and the
bounds hold together however few were looked at. A goal is reached where its upper bound lies within it, missed where
the lower bound lies beyond it, and open between; how many more parts decide is estimated from what was seen so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.core.result import Verdict
from sightline.evaluate.prices import PER, Prices
from sightline.evaluate.statistics.intervals import clopper_pearson
from sightline.improve.rates import Estimate, LiveRates, live_rates

Answer = Literal["reached", "missed", "open"]
Exit = Literal["scale", "redesign", "stop", "go on"]
Reason = Literal["missed", "missed and dear", "too few parts", "open", "dear", "reached"]
MAX_FACTOR = 1000  # of the parts so far; beyond, nothing useful can be said about when it is decided


@dataclass(frozen=True, slots=True)
class Targets(Figures):
    """What a pilot has to reach: the largest rates of escape and overkill, the largest share of REVIEW parts, the
    fewest parts, and the prices that say whether it is worth it.
    """

    escape: float
    overkill: float
    review: float
    parts: int
    prices: Prices

    def __post_init__(self) -> None:
        for name in ("escape", "overkill", "review"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"the goal for {name} is a share between 0 and 1. Give for instance 0.01")
        if self.parts < 1:
            raise InputError(f"{self.parts} parts are no pilot. Give the fewest that have to run through")


@dataclass(frozen=True, slots=True)
class Criterion(Figures):
    """One thing that has to be so before a pilot begins. `why` says it in English; `code` and its `values` let a page
    say it in the reader's language.
    """

    name: str
    met: bool
    why: str
    code: str
    values: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Goal(Figures):
    """One goal: `estimate` against `limit`. `more` is how many further parts should decide, None where they do not."""

    name: str
    limit: float
    estimate: Estimate
    answer: Answer
    more: int | None

    def sentence(self) -> str:
        """The goal in words."""
        seen, limit = self.estimate, f"goal {percent(self.limit)}"
        if self.answer == "reached":
            return f"{self.name} at most {percent(seen.upper)}, {limit}: reached"
        value = "unknown" if seen.value is None else percent(seen.value)
        span = f"{self.name} {value} ({percent(seen.lower)} to {percent(seen.upper)}), {limit}"
        if self.answer == "missed":
            return f"{span}: not"
        later = "" if self.more is None else f"; about {self.more:,} more parts decide"
        return f"{span}: open{later}"


@dataclass(frozen=True, slots=True)
class Standing(Figures):
    """How a pilot stands: `advice` to scale, redesign, stop, or go on, and why; `cost` per 1,000 parts at the estimates
    and the less of what judging every part OK, or every part NG, would cost; None where the estimates are unknown.
    `reason` is the code of `why`, for pages in other languages.
    """

    parts: int
    looked_at: int
    goals: tuple[Goal, ...]
    cost: float | None
    cost_without: float
    advice: Exit
    reason: Reason
    why: str

    def sentence(self) -> str:
        """The running verdict in words."""
        return f"After {self.parts:,} parts: " + "; ".join(goal.sentence() for goal in self.goals) + "."


def standing(targets: Targets, rates: LiveRates, stops: int = 0) -> Standing:
    """How a pilot stands by the rates so far, and by how often the line was stopped: its alarms."""
    parts = sum(one.parts for one in rates.strata)
    looked_at = sum(one.good + one.defective for one in rates.strata)
    review = sum(one.parts for one in rates.strata if one.verdict is Verdict.REVIEW)
    goals = (
        _goal("escapes", "escape", targets.escape, rates),
        _goal("overkill", "overkill", targets.overkill, rates),
        _counted("review", targets.review, review, parts),
    )
    cost = _cost(targets.prices, rates, review / max(1, parts), stops / max(1, parts))
    without = min(targets.prices.all_ok, targets.prices.all_ng)
    return Standing(parts, looked_at, goals, cost, without, *_advice(targets, parts, goals, cost, without))


def percent(share: float) -> str:
    """A share in words: two digits that count."""
    value = 100 * share
    return f"{value:.3g} %" if value < 1 else f"{value:.1f} %"


def _judge(limit: float, seen: Estimate) -> Answer:
    return "reached" if seen.upper <= limit else "missed" if seen.lower > limit else "open"


def _goal(name: str, rate: str, limit: float, rates: LiveRates) -> Goal:
    seen: Estimate = getattr(rates, rate)
    answer = _judge(limit, seen)
    if answer != "open" or seen.value is None:
        return Goal(name, limit, seen, answer, None)

    def decided(factor: float) -> bool:
        grown = [
            replace(
                one,
                parts=round(one.parts * factor),
                good=round(one.good * factor),
                defective=round(one.defective * factor),
            )
            for one in rates.strata
        ]
        return _judge(limit, getattr(live_rates(grown, rates.confidence), rate)) != "open"

    parts = sum(one.parts for one in rates.strata)
    return Goal(name, limit, seen, answer, _more(parts, decided))


def _more(parts: int, decided: Callable[[float], bool]) -> int | None:
    """How many more parts decide, were they like those so far; None where even a thousand times as many do not."""
    low, high = 1.0, 2.0
    while not decided(high):
        low, high = high, high * 2
        if high > MAX_FACTOR:
            return None
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    more = parts * (high - 1)
    digits = max(0, math.floor(math.log10(max(1.0, more))) - 1)
    step = int(10**digits)
    return math.ceil(more / step) * step


def _counted(name: str, limit: float, count: int, parts: int) -> Goal:
    """A share that is counted, not estimated from a sample: only chance is between it and the goal."""
    low, high = clopper_pearson(count, parts)
    seen = Estimate(count / parts if parts else None, low, high)
    return Goal(name, limit, seen, _judge(limit, seen), None)


def _cost(prices: Prices, rates: LiveRates, review: float, stops: float) -> float | None:
    """Per 1,000 parts at the estimates, with the defect rate of the prices."""
    if rates.escape.value is None or rates.overkill.value is None:
        return None
    errors = prices.defect_rate * rates.escape.value * prices.escape
    errors += (1 - prices.defect_rate) * rates.overkill.value * prices.overkill
    return PER * (errors + review * (prices.review or 0.0) + stops * prices.stop)


def _advice(
    targets: Targets, parts: int, goals: Sequence[Goal], cost: float | None, without: float
) -> tuple[Exit, Reason, str]:
    missed = [goal.name for goal in goals if goal.answer == "missed"]
    still = [goal.name for goal in goals if goal.answer == "open"]
    if missed and cost is not None and cost >= without:
        why = f"{', '.join(missed)}: not reached, and it costs no less than doing without it"
        return "stop", "missed and dear", why
    if missed:
        return "redesign", "missed", f"{', '.join(missed)}: not reached, and chance does not explain it"
    if parts < targets.parts:
        return "go on", "too few parts", f"{parts:,} of {targets.parts:,} parts have run through"
    if still:
        return "go on", "open", f"{', '.join(still)}: not decided yet"
    if cost is not None and cost >= without:
        why = "every goal is reached, and it costs no less than doing without it: the prices do not carry it"
        return "stop", "dear", why
    return "scale", "reached", "every goal is reached"
