"""Where a quality becomes the next grade: cut points for the highest kappa on parts that were held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CANDIDATES = 48  # places of each cut
ROUNDS = 3
LEAST_PARTS = 40  # held-out graded parts: with fewer, cuts would be noise
LEAST_SHARE = 0.02  # of the qualities' range between two cuts


def grade_cuts(quality: NDArray[np.float64], grades: NDArray[np.int64], count: int) -> NDArray[np.float64] | None:
    """Cuts (count - 1,) in order, by coordinate ascent from equal shares; None where too few parts say.

    `quality` (N,) rises with the grade; `grades` (N,) are 0..count-1. Kappa is weighted by squared differences (Cohen,
    Psychological Bulletin 70, 1968).
    """
    shown = np.bincount(grades, minlength=count)
    if len(grades) < LEAST_PARTS or not shown.all():
        return None
    least = LEAST_SHARE * float(np.ptp(quality))
    cuts = np.quantile(quality, np.cumsum(shown)[:-1] / len(grades))
    for index in range(1, count - 1):
        cuts[index] = max(cuts[index], cuts[index - 1] + least)
    places = np.quantile(quality, np.linspace(0.01, 0.99, CANDIDATES))
    best = weighted_kappa(np.searchsorted(cuts, quality), grades, count)
    for _ in range(ROUNDS):
        for index in range(count - 1):
            for place in places:
                tried = cuts.copy()
                tried[index] = place
                if (np.diff(tried) < least).any():
                    continue
                found = weighted_kappa(np.searchsorted(tried, quality), grades, count)
                if found > best + 1e-9:
                    best, cuts = found, tried
    return cuts


def weighted_kappa(said: NDArray[np.int64], true: NDArray[np.int64], count: int) -> float:
    """Quadratic-weighted kappa; 0 where all are of one grade."""
    table = np.zeros((count, count))
    np.add.at(table, (true, said), 1)
    weights = np.subtract.outer(np.arange(count), np.arange(count)) ** 2
    expected = np.outer(table.sum(1), table.sum(0)) / max(1, len(true))
    spread = float((weights * expected).sum())
    return 1 - float((weights * table).sum()) / spread if spread else 0.0
