"""Figures with what the sample promises: exact intervals of rates, bootstrap intervals of everything else."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.evaluate.bounds import CONFIDENCE, clopper_pearson

ROUNDS = 1000
FEWEST_ROUNDS = 100
LEAST_DEFINED = 0.99  # share of the resamples in which a figure must exist: about five parts of the rarest class

Weights = NDArray[np.int64]
Statistic = Callable[[Weights], float | None]


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` events among `of` parts, with the two-sided exact interval (`lower`, `upper`) at `confidence`.

    Holds for parts that are independent of each other; parts of one lot are often not.
    """

    count: int
    of: int
    lower: float
    upper: float
    confidence: float

    @property
    def value(self) -> float | None:
        """`count / of`; None where no part was looked at."""
        return self.count / self.of if self.of else None

    def to_json(self) -> dict[str, Any]:
        """The rate as one flat JSON object."""
        return {
            "count": self.count,
            "of": self.of,
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "confidence": self.confidence,
        }


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure resting on `of` parts, with its interval; None where the sample gives no figure or no interval.

    A bootstrap whose resamples all agree (every part right, say) gives no interval: zero width would promise
    what no finite sample can.
    """

    value: float | None
    lower: float | None
    upper: float | None
    of: int
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """The figure as one flat JSON object."""
        return {
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "of": self.of,
            "confidence": self.confidence,
        }


def exact_rate(count: int, of: int, confidence: float = CONFIDENCE) -> Rate:
    """A rate with its Clopper-Pearson interval. Raises ValueError for counts that cannot be."""
    lower, upper = clopper_pearson(count, of, confidence)
    return Rate(count=count, of=of, lower=lower, upper=upper, confidence=confidence)


def bootstrap(
    statistic: Statistic,
    parts: int,
    *,
    groups: Sequence[Hashable] | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """The percentile interval of `statistic` over resamples of `parts` parts, drawn with replacement.

    `statistic` takes how often each part was drawn, (parts,) int64, and returns the figure, or None where it
    does not exist. With `groups` (parts,), for instance lots, a group is drawn whole, because its parts
    resemble each other. No interval where fewer than two groups exist, where the figure is missing from more
    than a hundredth of the resamples, or where all resamples agree. The same seed gives the same interval.
    Raises ValueError for unequal lengths, too few rounds, or a confidence outside (0, 1).

    Source: B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; groups:
    A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.
    """
    if rounds < FEWEST_ROUNDS:
        raise ValueError(f"{rounds} rounds are too few for an interval. Give at least {FEWEST_ROUNDS}.")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"the confidence {confidence} is not between 0 and 1. Give for instance 0.95.")
    group, count = _numbered(groups, parts)
    value = statistic(np.ones(parts, np.int64)) if parts else None
    nothing = Interval(value=value, lower=None, upper=None, of=parts, confidence=confidence)
    if value is None or count < 2:
        return nothing
    random = np.random.default_rng(seed)
    even = np.full(count, 1.0 / count)
    # One resample at a time: memory stays at a few numbers per part, whatever the number of rounds.
    drawn = (statistic(random.multinomial(count, even)[group]) for _ in range(rounds))
    found = np.array([figure for figure in drawn if figure is not None])
    if found.size < LEAST_DEFINED * rounds or found.min() == found.max():
        return nothing
    lower, upper = np.quantile(found, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return Interval(value=value, lower=float(lower), upper=float(upper), of=parts, confidence=confidence)


def auroc_statistic(scores: ArrayLike, defective: ArrayLike) -> Statistic:
    """The AUROC of resamples, as `bootstrap` wants it; None for a resample without one of the two classes.

    `scores` (N,) float, higher = more defective, NaN counts as the highest; `defective` (N,) bool. Ties count
    half. With every part drawn once it equals `metrics.image_auroc`. Raises ValueError for unequal lengths.
    """
    given = np.asarray(scores, np.float64).ravel()
    labels = np.asarray(defective, bool).ravel()
    if given.size != labels.size:
        raise ValueError(f"{given.size} scores and {labels.size} labels do not match. Give one label per score.")
    ranks = np.unique(np.where(np.isnan(given), np.inf, given), return_inverse=True)[1]

    def auroc(weights: Weights) -> float | None:
        bad = np.bincount(ranks, weights=weights * labels)
        good = np.bincount(ranks, weights=weights * ~labels)
        pairs = bad.sum() * good.sum()
        below = np.cumsum(good) - good
        return float((bad * (below + good / 2.0)).sum() / pairs) if pairs else None

    return auroc


def _numbered(groups: Sequence[Hashable] | None, parts: int) -> tuple[NDArray[np.int64], int]:
    """The number of each part's group (parts,) and how many groups there are."""
    if groups is None:
        return np.arange(parts), parts
    if len(groups) != parts:
        raise ValueError(f"{len(groups)} groups and {parts} parts do not match. Give one group per part.")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.int64), len(numbers)
