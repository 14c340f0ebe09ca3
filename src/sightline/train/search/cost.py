"""What errors cost: the cheapest thresholds, and what the sample can promise about them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.card import Bounded
from sightline.evaluate.prices import PER, Prices
from sightline.evaluate.statistics.intervals import rate

Floats = NDArray[np.float64]

CONFIDENCE = 0.95  # of the bound of a cost; each of its two rates is bounded at half the risk
ROUNDS = 1000  # of the bootstrap


@dataclass(frozen=True)
class Cost:
    """The expected cost of errors per 1,000 parts under the cheapest thresholds, and what it rests on.

    OK up to `low`, NG above `high`, REVIEW between them. `upper` bounds the cost at 95 % for thresholds fixed
    beforehand (Clopper-Pearson for escape and overkill, each at 97.5 %; reviews as seen).
    """

    value: float
    upper: float
    low: float
    high: float
    escapes: Bounded
    overkills: Bounded
    reviews: int

    def to_json(self) -> dict[str, Any]:
        """The cost as plain JSON values."""
        return {
            "cost": self.value,
            "cost_upper": self.upper,
            "escapes": self.escapes.count,
            "defective": self.escapes.of,
            "overkills": self.overkills.count,
            "good": self.overkills.of,
            "reviews": self.reviews,
        }


def cheapest(scores: ArrayLike, defective: ArrayLike, prices: Prices) -> Cost:
    """The cheapest thresholds for scores (N,) of good and defective parts, and their cost; needs both kinds.

    cost = 1000 * (defect_rate * escape_rate * escape + (1 - defect_rate) * overkill_rate * overkill), and the price of
    a review for the share of parts that are reviewed, where it is given.
    """
    values, bad = _clean(scores), np.asarray(defective, bool)
    per_good, per_bad = _weights(bad, prices)
    steps = np.unique(values[np.isfinite(values)])
    # At a step, parts up to it are below the threshold; before the first step none is.
    good_below = np.append(0, np.searchsorted(np.sort(values[~bad]), steps, side="right")) * per_good
    bad_below = np.append(0, np.searchsorted(np.sort(values[bad]), steps, side="right")) * per_bad
    overkill = prices.overkill * ((~bad).sum() * per_good - good_below)
    escape = prices.escape * bad_below
    if prices.review is None:
        low = high = _widest(escape + overkill, steps)
    else:
        reviews = prices.review * (good_below + bad_below)
        high = _widest(np.minimum.accumulate(escape - reviews) + overkill + reviews, steps)
        low = _widest((escape - reviews)[: high + 1], steps)
    return _cost(values, bad, (_threshold(steps, low), _threshold(steps, high)), prices)


def losses(scores: ArrayLike, defective: ArrayLike, cost: Cost, prices: Prices) -> Floats:
    """What each part (N,) costs under the thresholds of `cost`, in money."""
    values, bad = _clean(scores), np.asarray(defective, bool)
    reviewed = (values > cost.low) & (values <= cost.high)
    price = np.where(bad & (values <= cost.low), prices.escape, 0.0)
    price += np.where(~bad & (values > cost.high), prices.overkill, 0.0)
    return np.asarray(price + np.where(reviewed, prices.review or 0.0, 0.0), np.float64)


def noise(loss: ArrayLike, defective: ArrayLike, units: Sequence[int], prices: Prices, seed: int = 0) -> float:
    """Standard error of a cost, or of a difference of costs, per 1,000 parts: a bootstrap over whole units.

    `loss` (N,) is in money per part. Resamples without good or without defective parts are left out. Source: Davison
    and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8.
    """
    lost, bad = np.asarray(loss, np.float64), np.asarray(defective, bool)
    names, unit = np.unique(np.asarray(units), return_inverse=True)
    if len(names) < 2 or not np.any(lost):
        return 0.0
    resampled = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), ROUNDS)
    total = np.zeros(ROUNDS)
    usable = np.ones(ROUNDS, bool)
    for kind, share in ((bad, prices.defect_rate), (~bad, 1 - prices.defect_rate)):
        count = resampled @ np.bincount(unit, weights=kind, minlength=len(names))
        money = resampled @ np.bincount(unit, weights=kind * lost, minlength=len(names))
        usable &= count > 0
        total += PER * share * money / np.maximum(count, 1)
    return float(total[usable].std()) if usable.any() else 0.0


def _clean(scores: ArrayLike) -> Floats:
    """A part that could not be scored counts as the worst there is: it is never OK."""
    values = np.asarray(scores, np.float64)
    return np.where(np.isnan(values), np.inf, values)


def _weights(bad: NDArray[np.bool_], prices: Prices) -> tuple[float, float]:
    """Parts in 1,000 that a good and a defective part of the sample stand for."""
    good = PER * (1 - prices.defect_rate) / max(1, int((~bad).sum()))
    return good, PER * prices.defect_rate / max(1, int(bad.sum()))


def _widest(costs: Floats, steps: Floats) -> int:
    """The cheapest place; of equally cheap ones that with the widest gap between scores, for it is the safest."""
    gaps = np.concatenate([[0.0], np.diff(steps), [0.0]])[: len(costs)]
    least = costs <= costs.min() + 1e-9 * max(1.0, float(np.abs(costs).max()))
    return int(np.argmax(np.where(least, gaps, -1.0)))


def _threshold(steps: Floats, index: int) -> float:
    """A threshold in the middle of the gap above step `index` - 1."""
    if index == 0:
        return -math.inf
    below = float(steps[index - 1])
    return below if index == len(steps) else below + (float(steps[index]) - below) / 2


def _cost(values: Floats, bad: NDArray[np.bool_], limits: tuple[float, float], prices: Prices) -> Cost:
    low, high = limits
    each = 1 - (1 - CONFIDENCE) / 2
    escapes = rate(int((bad & (values <= low)).sum()), int(bad.sum()), each)
    overkills = rate(int((~bad & (values > high)).sum()), int((~bad).sum()), each)
    reviewed = (values > low) & (values <= high)
    per_good, per_bad = _weights(bad, prices)
    review = (prices.review or 0.0) * float((reviewed & ~bad).sum() * per_good + (reviewed & bad).sum() * per_bad)
    observed = prices.escape * per_bad * escapes.count + prices.overkill * per_good * overkills.count + review
    wrong = prices.defect_rate * escapes.upper * prices.escape
    wrong += (1 - prices.defect_rate) * overkills.upper * prices.overkill
    return Cost(float(observed), float(PER * wrong + review), low, high, escapes, overkills, int(reviewed.sum()))
