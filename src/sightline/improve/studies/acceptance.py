"""Acceptance of a classifying machine: how many parts a claim needs, what a plan lets through, and the result.

Sources: exact sample sizes and bounds, Clopper-Pearson (the same as ASTM E2334 without a failure); double sampling,
D. C. Montgomery, "Introduction to Statistical Quality Control", section 15.3; the rule of three, J. A. Hanley and
A. Lippman-Hand, JAMA 249 (1983) 1743-1745; VDI/VDE/VDMA 2632-3: characteristic numbers are agreed for each type of
defect before the acceptance, and each is judged by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.evaluate.statistics.intervals import CONFIDENCE, Rate, clopper_pearson, upper_bound

MAX_PARTS = 10_000_000
Answer = Literal["reached", "not reached", "undecided"]


@dataclass(frozen=True, slots=True)
class Claim(Figures):
    """One agreed characteristic number: at most `limit` of the parts, `rate` as seen with its one-sided bounds.

    `more` is how many further parts without an event would reach it; None where it is decided.
    """

    name: str
    limit: float
    rate: Rate
    answer: Answer
    more: int | None


@dataclass(frozen=True, slots=True)
class Acceptance(Figures):
    """The result: "reached" where every claim is, "not reached" where one is refuted, else "undecided"."""

    claims: tuple[Claim, ...]
    answer: Answer
    confidence: float


@dataclass(frozen=True, slots=True)
class DoubleSampling(Figures):
    """Accept with at most `accept_1` NG in `first` parts, reject with more than `accept_2`; otherwise look at `second`
    more, and accept with at most `accept_2` NG in both.
    """

    first: int
    accept_1: int
    second: int
    accept_2: int

    def accepts(self, rate: float) -> float:
        """The probability that a rate of NG parts is accepted."""
        found = sum(_exactly(count, self.first, rate) for count in range(self.accept_1 + 1))
        for count in range(self.accept_1 + 1, self.accept_2 + 1):
            rest = sum(_exactly(more, self.second, rate) for more in range(self.accept_2 - count + 1))
            found += _exactly(count, self.first, rate) * rest
        return found

    def expected_parts(self, rate: float) -> float:
        """How many parts are looked at in the mean, each sample to its end."""
        again = sum(_exactly(count, self.first, rate) for count in range(self.accept_1 + 1, self.accept_2 + 1))
        return self.first + again * self.second


def parts_needed(limit: float, allowed: int = 0, confidence: float = CONFIDENCE) -> int:
    """The fewest parts among which `allowed` events still bound their rate by `limit`.

    Raises InputError for a limit outside (0, 1), or one that needs more than ten million parts.
    """
    if not 0 < limit < 1 or allowed < 0 or not 0 < confidence < 1:
        raise InputError("a claim needs a limit and a confidence between 0 and 1. Give for instance 0.01 and 0.95")
    low, high = allowed, max(1, allowed + 1)
    while upper_bound(allowed, high, confidence) > limit:
        low, high = high, high * 2
        if high > MAX_PARTS:
            raise InputError(f"a limit of {limit:g} needs more than {MAX_PARTS:,} parts. Claim less")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(allowed, middle, confidence) > limit else (low, middle)
    return high


def rule_of_three(parts: int) -> float:
    """What no event among `parts` parts bounds the rate by, at 95 %, by head: 3 / parts. Raises InputError for none."""
    if parts < 1:
        raise InputError("the rule of three needs a part at least")
    return min(1.0, 3 / parts)


def double_sampling(
    good: float, bad: float, confidence: float = CONFIDENCE, accept_good: float = 0.9
) -> DoubleSampling:
    """The smallest plan with two equal samples, none allowed in the first, that refuses the rate `bad` with
    `confidence` and accepts the rate `good` with `accept_good`. Raises InputError where the two are too near.
    """
    if not 0 < good < bad < 1:
        raise InputError(
            "a plan needs a good rate below the bad one, both between 0 and 1. Give for instance 0.001, 0.02"
        )
    for allowed in range(1, 30):
        low, high = 1, parts_needed(bad, allowed, confidence)
        while high - low > 1:
            middle = (low + high) // 2
            fine = DoubleSampling(middle, 0, middle, allowed).accepts(bad) <= 1 - confidence
            low, high = (low, middle) if fine else (middle, high)
        plan = DoubleSampling(high, 0, high, allowed)
        if plan.accepts(good) >= accept_good:
            return plan
    raise InputError(f"{good:g} and {bad:g} are too near for two samples. Take them further apart, or a single sample")


def claim(name: str, limit: float, count: int, of: int, confidence: float = CONFIDENCE) -> Claim:
    """One characteristic number against what was agreed; both bounds are one-sided at `confidence`.

    Reached where the upper bound is within the limit, not reached where the lower bound is above it.
    """
    low, high = clopper_pearson(count, of, 2 * confidence - 1)
    rate = Rate(count=count, of=of, lower=low, upper=high, confidence=confidence)
    answer: Answer = "reached" if high <= limit else "not reached" if low > limit else "undecided"
    more = parts_needed(limit, count, confidence) - of if answer == "undecided" else None
    return Claim(name, limit, rate, answer, more)


def acceptance(
    seen: Mapping[str, tuple[int, int]], limits: Mapping[str, float], confidence: float = CONFIDENCE
) -> Acceptance:
    """(events, parts) by the name of each agreed number: defect types that escaped, good parts that were rejected.

    Raises InputError where an agreed number was not measured, or no number was agreed.
    """
    if missing := [name for name in limits if name not in seen]:
        raise InputError(f"{', '.join(missing)}: agreed, but no such part was judged. Add parts, or leave it out")
    if not limits:
        raise InputError("no characteristic number was agreed. Give a limit for each type of defect and for overkill")
    claims = tuple(claim(name, limit, *seen[name], confidence) for name, limit in limits.items())
    answers = {one.answer for one in claims}
    whole: Answer = "not reached" if "not reached" in answers else "undecided" if "undecided" in answers else "reached"
    return Acceptance(claims, whole, confidence)


def _exactly(count: int, of: int, rate: float) -> float:
    return 0.0 if count > of else math.comb(of, count) * rate**count * (1 - rate) ** (of - count)
