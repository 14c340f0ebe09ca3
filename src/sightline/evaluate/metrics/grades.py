"""Grades: how far the predicted grade lies from the true one.

Sources: J. Cohen, "Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial credit",
Psychological Bulletin 70 (1968) 213-220.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.evaluate.statistics.intervals import (
    Interval,
    Rate,
    Statistic,
    Weights,
    bootstrap,
    exact_rate,
)

Grades = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GradeScores(Figures):
    """How well grades are told. Intervals are bootstrapped; rates have exact ones.

    `kappa`: quadratic-weighted, 1 = as the truth, 0 = as by chance, None where all parts have one grade;
    `error`: mean absolute difference in grades; `adjacent`: share at most one grade off, `exact`: share right.
    `adjacent_rate` is the same share with its exact interval, for parts independent of each other.
    """

    kappa: Interval
    error: Interval
    adjacent: Interval
    adjacent_rate: Rate
    exact: Rate


def grade_scores(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
) -> GradeScores:
    """Figures of N parts from their true and predicted grades, (N,) whole numbers in order, such as 0, 1, 2.

    `groups` (N,), such as lots, are resampled whole. No parts: every figure is None. Raises InputError for a
    grade that is not a whole number, ValueError for unequal lengths.
    """
    true, given = _whole(truth), _whole(predicted)
    if true.size != given.size:
        raise ValueError(f"{true.size} true and {given.size} predicted grades do not match. Give one of each per part.")
    off = np.abs(true - given)

    def interval(statistic: Statistic) -> Interval:
        return bootstrap(statistic, true.size, groups=groups)

    return GradeScores(
        kappa=interval(lambda weights: _kappa(true, given, weights)),
        error=interval(lambda weights: float(np.average(off, weights=weights))),
        adjacent=interval(lambda weights: float(np.average(off <= 1, weights=weights))),
        adjacent_rate=exact_rate(int((off <= 1).sum()), true.size),
        exact=exact_rate(int((off == 0).sum()), true.size),
    )


def _kappa(true: Grades, given: Grades, weights: Weights) -> float | None:
    # With squared distances both sums follow from moments, so there is no table of grades by grades:
    # observed E[(t - g)^2], by chance E[t^2] - 2 E[t] E[g] + E[g^2].
    mean_true, mean_given = np.average(true, weights=weights), np.average(given, weights=weights)
    variance = np.average((true - mean_true) ** 2 + (given - mean_given) ** 2, weights=weights)
    by_chance = variance + (mean_true - mean_given) ** 2
    observed = np.average((true - given) ** 2, weights=weights)
    return float(1.0 - observed / by_chance) if by_chance > 0 else None


def _whole(grades: ArrayLike) -> Grades:
    values = np.asarray(grades, np.float64).ravel()
    if not np.isfinite(values).all() or (values != np.round(values)).any():
        raise InputError("a grade is not a whole number. Number the grades 0, 1, 2, ... in their order.")
    return values.astype(np.int64)
