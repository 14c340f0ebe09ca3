"""Figures with what the sample promises: exact intervals of rates (Clopper-Pearson), bootstrap ones of all else."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.card import Bounded
from sightline.core.figures import Figures
from sightline.evaluate.statistics import binomial

CONFIDENCE = 0.95
ROUNDS = 1000
MIN_ROUNDS = 100
MIN_DEFINED = 0.99  # share of the resamples in which a figure must exist: about five parts of the rarest class

Weights = NDArray[np.int64]
Statistic = Callable[[Weights], float | None]


def clopper_pearson(count: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided exact interval (lower, upper) of a rate seen as `count` events among `of` parts.

    No parts seen: (0.0, 1.0). Raises ValueError for counts that cannot be or a confidence outside (0, 1).
    """
    _check(count, of, confidence)
    tail = (1.0 - confidence) / 2.0
    return binomial.lower(count, of, tail), binomial.upper(count, of, tail)


def upper_bound(count: int, of: int, confidence: float = CONFIDENCE) -> float:
    """One-sided exact upper bound of a rate seen as `count` events among `of` parts; no parts seen: 1.0.

    Raises ValueError as `clopper_pearson` does.
    """
    _check(count, of, confidence)
    return binomial.upper(count, of, 1.0 - confidence)


def rate(count: int, of: int, confidence: float = CONFIDENCE) -> Bounded:
    """A rate as the card writes it: events, parts, and the one-sided exact upper bound.

    A promise is one-sided: its bound is lower than the upper end of a `Rate`, which is two-sided.
    """
    return Bounded(count=count, of=of, upper=upper_bound(count, of, confidence), confidence=confidence)


def mean_of_all_right(tried: Sequence[int], confidence: float = CONFIDENCE) -> float:
    """Lower end of the two-sided interval of the mean of K rates where all of `tried` (K,) trials of each succeeded.

    The least mean among rates p under which so many successes are seen in (1 - confidence) / 2 of all samples. That
    share is the product of p_k ** n_k, so at the least mean p_k is min(1, r n_k): the rates tried least give way. With
    one rate it is the Clopper-Pearson bound. Nothing tried: 0.0. Raises ValueError for a negative number of trials or
    a confidence outside (0, 1).
    """
    ordered = sorted(tried)
    for count in ordered:
        _check(count, count, confidence)
    attempted = [count for count in ordered if count]  # a rate that was never tried may be 0
    tail, r = math.log((1.0 - confidence) / 2.0), 0.0
    for most in range(1, len(attempted) + 1):
        giving = attempted[:most]
        r = math.exp((tail - sum(n * math.log(n) for n in giving)) / sum(giving))
        if most < len(attempted) and r * attempted[most] >= 1.0:
            break
    return sum(min(1.0, r * n) for n in attempted) / max(1, len(ordered))


def _check(count: int, of: int, confidence: float) -> None:
    if not 0 <= count <= of:
        raise ValueError(f"{count} events among {of} parts cannot be. Give 0 <= count <= of.")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"the confidence {confidence} is not between 0 and 1. Give for instance 0.95.")


@dataclass(frozen=True, slots=True)
class Rate(Figures):
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
        return {"value": self.value, **Figures.to_json(self)}


@dataclass(frozen=True, slots=True)
class Interval(Figures):
    """A figure resting on `of` parts, with its interval; None where the sample gives no figure or no interval.

    A bootstrap whose resamples all agree (every part right, say) gives no interval: zero width would promise
    what no finite sample can.
    """

    value: float | None
    lower: float | None
    upper: float | None
    of: int
    confidence: float


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
    if rounds < MIN_ROUNDS:
        raise ValueError(f"{rounds} rounds are too few for an interval. Give at least {MIN_ROUNDS}.")
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
    resampled = (statistic(random.multinomial(count, even)[group]) for _ in range(rounds))
    found = np.array([figure for figure in resampled if figure is not None])
    if found.size < MIN_DEFINED * rounds or found.min() == found.max():
        return nothing
    lower, upper = np.quantile(found, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return Interval(value=value, lower=float(lower), upper=float(upper), of=parts, confidence=confidence)


def auroc_statistic(scores: ArrayLike, defective: ArrayLike) -> Statistic:
    """The AUROC of resamples, as `bootstrap` wants it; None for a resample without one of the two classes.

    `scores` (N,) float, higher = more defective, NaN counts as the highest; `defective` (N,) bool. Ties count
    half. With every part drawn once it equals `metrics.image_auroc`. Raises ValueError for unequal lengths.
    """
    _, ranks, labels = ranked(scores, defective)

    def auroc(weights: Weights) -> float | None:
        bad = np.bincount(ranks, weights=weights * labels)
        good = np.bincount(ranks, weights=weights * ~labels)
        pairs = bad.sum() * good.sum()
        below = np.cumsum(good) - good
        return float((bad * (below + good / 2.0)).sum() / pairs) if pairs else None

    return auroc


def ranked(scores: ArrayLike, defective: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """The distinct scores, ascending, the rank of each part's among them (N,), and labels (N,); NaN ranks highest.

    Raises ValueError for unequal lengths.
    """
    given = np.asarray(scores, np.float64).ravel()
    labels = np.asarray(defective, bool).ravel()
    if given.size != labels.size:
        raise ValueError(f"{given.size} scores and {labels.size} labels do not match. Give one label per score.")
    values, ranks = np.unique(np.where(np.isnan(given), np.inf, given), return_inverse=True)
    return values, ranks.astype(np.int64), labels


def _numbered(groups: Sequence[Hashable] | None, parts: int) -> tuple[NDArray[np.int64], int]:
    """The number of each part's group (parts,) and how many groups there are."""
    if groups is None:
        return np.arange(parts), parts
    if len(groups) != parts:
        raise ValueError(f"{len(groups)} groups and {parts} parts do not match. Give one group per part.")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.int64), len(numbers)
