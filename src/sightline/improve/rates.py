"""What the line lets escape and rejects, estimated from random samples of its own verdicts.

Every REVIEW part is looked at by people, and a random share of the OK and NG parts. Within each verdict that is a
simple random sample, so the estimator is the stratified one (Horvitz and Thompson, 1952, with equal probabilities
within each verdict; Cochran, Sampling Techniques, 1977, chapter 5): a verdict's defective share times its number of
parts. The bounds are Clopper-Pearson's for each verdict, at a confidence that all of them hold together (Bonferroni):
exact or conservative, however few were looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core.result import Verdict
from sightline.evaluate.statistics.intervals import CONFIDENCE, clopper_pearson
from sightline.store.review_figures import Stratum


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rate 0..1 with its interval; `value` is None where a verdict with parts has no answer yet."""

    value: float | None
    lower: float
    upper: float

    def to_json(self) -> dict[str, float | None]:
        """Plain JSON values."""
        return {"value": self.value, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True)
class LiveRates:
    """Rates of a time: `escape` of the defective parts judged OK, `overkill` of the good parts judged NG, and
    `shipped`, the defective share of all OK parts. `strata` are what they rest on.
    """

    escape: Estimate
    overkill: Estimate
    shipped: Estimate
    strata: tuple[Stratum, ...]
    confidence: float = CONFIDENCE

    @property
    def spot_checked(self) -> int:
        """How many OK parts people have answered for."""
        return sum(one.good + one.defective for one in self.strata if one.verdict is Verdict.OK)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        named = {name: getattr(self, name).to_json() for name in ("escape", "overkill", "shipped")}
        strata = [
            {"verdict": str(one.verdict), "parts": one.parts, "good": one.good, "defective": one.defective}
            | ({} if one.active is None else {"active": str(one.active)})
            for one in self.strata
        ]
        return {**named, "confidence": self.confidence, "strata": strata}


def live_rates(strata: Sequence[Stratum], confidence: float = CONFIDENCE) -> LiveRates:
    """The rates of OK, REVIEW and NG strata, each at least once and in any order.

    Raises ValueError for a confidence outside (0, 1).
    """
    share = _together(confidence, strata)
    defective = {one.verdict: [0.0, 0.0, 0.0] for one in strata}
    good, known = {verdict: [0.0, 0.0, 0.0] for verdict in defective}, True
    for one in strata:
        answered = one.good + one.defective
        low, high = clopper_pearson(one.defective, answered, share)
        rate = one.defective / answered if answered else 0.0
        known = known and (answered > 0 or one.parts == 0)
        _add(defective[one.verdict], one.parts, (rate, low, high))
        _add(good[one.verdict], one.parts, (1 - rate, 1 - high, 1 - low))
    return LiveRates(
        _share(defective, Verdict.OK, known), _share(good, Verdict.NG, known), _shipped(strata, confidence),
        tuple(strata), confidence,
    )  # fmt: skip


def _together(confidence: float, strata: Sequence[Stratum]) -> float:
    """The confidence of each stratum's bounds with which all hold together."""
    return 1 - (1 - confidence) / max(1, sum(one.parts > 0 for one in strata))


def _add(numbers: list[float], parts: int, rates: tuple[float, float, float]) -> None:
    for which, rate in enumerate(rates):
        numbers[which] += parts * rate


def _shipped(strata: Sequence[Stratum], confidence: float) -> Estimate:
    ok = [one for one in strata if one.verdict is Verdict.OK]
    level, whole, numbers = _together(confidence, ok), sum(one.parts for one in ok), [0.0, 0.0, 0.0]
    for one in ok:
        answered = one.good + one.defective
        # Where there are no parts, one stratum says what is known of none: anything.
        weight = one.parts if whole else int(one is ok[0])
        rate = one.defective / answered if answered else 0.0
        _add(numbers, weight, (rate, *clopper_pearson(one.defective, answered, level)))
    known = any(one.good + one.defective for one in ok) and all(one.good + one.defective or not one.parts for one in ok)
    value, low, high = (number / (whole or 1) for number in numbers)
    return Estimate(value if known else None, low, high)


def _share(numbers: dict[Verdict, list[float]], of: Verdict, known: bool) -> Estimate:
    """The share of one verdict in all; its bounds take the others at their other end."""
    others = [sum(numbers[one][which] for one in numbers if one is not of) for which in (0, 1, 2)]
    value, low, high = numbers[of]
    whole = value + others[0]
    return Estimate(
        value / whole if known and whole > 0 else None,
        low / (low + others[2]) if low + others[2] > 0 else 0.0,
        high / (high + others[1]) if high + others[1] > 0 else 1.0,
    )
