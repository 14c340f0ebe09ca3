"""Whether a stated probability can be taken at its word.

Sources: G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950);
M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015 (expected calibration
error); C. Guo et al., "On calibration of modern neural networks", ICML 2017 (temperature scaling).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.evaluate.statistics.intervals import Rate, exact_rate

Floats = NDArray[np.float64]

BINS = 10
TEMPERATURES = (0.01, 100.0)
STEPS = 100  # of the search for a temperature: halving alone reaches the last digit in fewer
CLOSE = 1e-12  # relative step at which the search ends


@dataclass(frozen=True, slots=True)
class Bin(Figures):
    """Parts of like confidence, `lowest` to `highest`, `mean` on average: what was stated, and what share was right."""

    lowest: float
    highest: float
    mean: float
    right: Rate


@dataclass(frozen=True, slots=True)
class Reliability(Figures):
    """The reliability table and what follows from it: `ece`, 0..1, the mean gap between stated and observed.

    None without parts. The gap of few parts per bin is above 0 by chance alone.
    """

    ece: float | None
    bins: tuple[Bin, ...]
    parts: int


@dataclass(frozen=True, slots=True)
class Temperature(Figures):
    """`value` > 0 divides the logits; mean negative log-likelihood in nats `before` and `after`.

    `bounded`: the likelihood still rises at the end of the range searched, which happens where every part is
    right (or wrong): such a sample does not determine a temperature.
    """

    value: float
    before: float
    after: float
    bounded: bool
    parts: int


def reliability(stated: ArrayLike, right: ArrayLike, bins: int = BINS) -> Reliability:
    """The table of `stated` (N,) confidences 0..1 against whether each was `right` (N,) bool.

    Bins hold equally many parts as far as possible; equal confidences are never torn apart. Raises InputError
    for a confidence outside 0..1, ValueError for unequal lengths or no bins.
    """
    values, labels = np.asarray(stated, np.float64).ravel(), np.asarray(right, bool).ravel()
    if values.size != labels.size:
        raise ValueError(f"{values.size} confidences and {labels.size} outcomes do not match. Give one of each.")
    if bins < 1:
        raise ValueError(f"{bins} bins are too few. Give at least 1.")
    if not ((values >= 0.0) & (values <= 1.0 + 1e-6)).all():
        raise InputError("a probability is not between 0 and 1. Apply the softmax to the logits first.")
    if not values.size:
        return Reliability(None, (), 0)
    order = np.argsort(values, kind="stable")
    ranked, outcome = values[order], labels[order]
    cuts = np.linspace(0, ranked.size, min(bins, ranked.size) + 1).round().astype(np.int64)[:-1]
    starts = np.unique(np.searchsorted(ranked, ranked[cuts], side="left"))
    ends = np.append(starts[1:], ranked.size)
    rows = tuple(
        Bin(
            lowest=float(ranked[start]),
            highest=float(ranked[end - 1]),
            mean=float(ranked[start:end].mean()),
            right=exact_rate(int(outcome[start:end].sum()), int(end - start)),
        )
        for start, end in zip(starts, ends, strict=True)
    )
    gap = sum(abs(row.mean * row.right.of - row.right.count) for row in rows) / ranked.size
    return Reliability(float(gap), rows, ranked.size)


def fit_temperature(logits: ArrayLike, truth: ArrayLike) -> Temperature:
    """The temperature that makes `truth` (N,) int most likely under softmax(logits / T), `logits` (N, K) float.

    The likelihood is concave in 1 / T, so its derivative is followed to 0 by Newton's steps, each kept inside
    a bracket that halves where a step would leave it. Fit on parts the recipe was not trained on. Raises
    InputError without parts, for logits that are not finite or a type outside 0..K-1.
    """
    values = np.asarray(logits, np.float64)
    kinds = np.asarray(truth).ravel().astype(np.int64)
    if values.ndim != 2 or values.shape[0] != kinds.size:
        raise ValueError(f"{values.shape} values and {kinds.size} types do not match. Give (N, K) values and N types.")
    if kinds.size and not 0 <= kinds.min() <= kinds.max() < values.shape[1]:
        raise InputError(f"a type is outside 0..{values.shape[1] - 1}. Number the types as the recipe's columns.")
    if not kinds.size:
        raise InputError("no parts to fit a temperature on. Hold some labelled parts out of training.")
    if not np.isfinite(values).all():
        raise InputError("a logit is not a finite number. Leave its part out, or check the recipe.")
    values = values - values.max(axis=1, keepdims=True)
    low, high = 1.0 / TEMPERATURES[1], 1.0 / TEMPERATURES[0]
    slopes = _slope(values, kinds, low)[0], _slope(values, kinds, high)[0]
    if slopes[0] == slopes[1]:  # all logits of each part are alike: any temperature says the same
        inverse, bounded = 1.0, True
    elif slopes[0] >= 0 or slopes[1] <= 0:
        inverse, bounded = (low if slopes[0] >= 0 else high), True
    else:
        inverse, bounded = _root(values, kinds, low, high), False
    return Temperature(1.0 / inverse, _loss(values, kinds, 1.0), _loss(values, kinds, inverse), bounded, kinds.size)


def softmax(logits: ArrayLike) -> Floats:
    """Probabilities (N, K) float64 of `logits` (N, K)."""
    values = np.asarray(logits, np.float64)
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _root(values: Floats, kinds: NDArray[np.int64], low: float, high: float) -> float:
    here = float(np.clip(1.0, low, high))
    for _ in range(STEPS):
        slope, bend = _slope(values, kinds, here)
        low, high = (here, high) if slope < 0 else (low, here)
        newton = here - slope / bend if bend > 0 else low
        # In 1 / T the range spans four decades, so the bracket halves in its logarithm.
        there = newton if low < newton < high else float(np.sqrt(low * high))
        if abs(there - here) <= CLOSE * here:
            return there
        here = there
    return here


def _slope(values: Floats, kinds: NDArray[np.int64], inverse: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log-likelihood by 1 / T."""
    chance = softmax(values * inverse)
    expected = (chance * values).sum(axis=1)
    variance = (chance * (values - expected[:, None]) ** 2).sum(axis=1)
    return float((expected - values[np.arange(kinds.size), kinds]).mean()), float(variance.mean())


def _loss(values: Floats, kinds: NDArray[np.int64], inverse: float) -> float:
    scaled = values * inverse
    return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(kinds.size), kinds]).mean())
