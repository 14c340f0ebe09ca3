"""Exact binomial bounds: what a sample of this size can and cannot promise.

Source: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of
the binomial", Biometrika 26 (1934) 404-413, in the form of quantiles of the beta distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sightline.core.card import Bounded
from sightline.evaluate.extra import require

CONFIDENCE = 0.95


def clopper_pearson(count: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided exact interval (lower, upper) of a rate seen as `count` events among `of` parts.

    No parts seen: (0.0, 1.0). Raises ValueError for counts that cannot be or a confidence outside (0, 1).
    """
    _check(count, of, confidence)
    tail = (1.0 - confidence) / 2.0
    return _lower(count, of, tail), _upper(count, of, tail)


def upper_bound(count: int, of: int, confidence: float = CONFIDENCE) -> float:
    """One-sided exact upper bound of a rate seen as `count` events among `of` parts; no parts seen: 1.0.

    Raises ValueError as `clopper_pearson` does.
    """
    _check(count, of, confidence)
    return _upper(count, of, 1.0 - confidence)


def rate(count: int, of: int, confidence: float = CONFIDENCE) -> Bounded:
    """A rate as the card writes it: events, parts, and the one-sided exact upper bound."""
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
    seen = [count for count in ordered if count]  # a rate that was never tried may be 0
    tail, r = math.log((1.0 - confidence) / 2.0), 0.0
    for most in range(1, len(seen) + 1):
        giving = seen[:most]
        r = math.exp((tail - sum(n * math.log(n) for n in giving)) / sum(giving))
        if most < len(seen) and r * seen[most] >= 1.0:
            break
    return sum(min(1.0, r * n) for n in seen) / max(1, len(ordered))


def share(bounded: Bounded) -> float | None:
    """The rate itself, `count / of`; None where no part was looked at."""
    return bounded.count / bounded.of if bounded.of else None


def _lower(count: int, of: int, tail: float) -> float:
    return 0.0 if count == 0 else _beta_quantile(tail, count, of - count + 1)


def _upper(count: int, of: int, tail: float) -> float:
    return 1.0 if count == of else _beta_quantile(1.0 - tail, count + 1, of - count)


def _beta_quantile(probability: float, a: int, b: int) -> float:
    # `betaincinv(a, b, p)` is `scipy.stats.beta.ppf(p, a, b)`; scipy.special imports ten times faster.
    return float(require("scipy.special", "scipy").betaincinv(a, b, probability))


def _check(count: int, of: int, confidence: float) -> None:
    if not 0 <= count <= of:
        raise ValueError(f"{count} events among {of} parts cannot be. Give 0 <= count <= of.")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"the confidence {confidence} is not between 0 and 1. Give for instance 0.95.")
