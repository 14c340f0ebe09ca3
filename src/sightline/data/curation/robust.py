"""How far a value lies from the others of its set, so that a fifth of strangers does not hide itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FAR = 4.5  # robust standard deviations from the median
MIN_IMAGES = 10  # fewer do not tell the spread


def robust_z(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Robust spreads of each value (N,) above the median; all 0 where fewer than ten are given.

    Median and median absolute deviation (Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993, who take
    3.5 for single outliers; measures of images have longer tails). Where more than half are the same value, the mean
    absolute deviation stands in for the median one.
    """
    given = np.asarray(values, np.float64)
    if len(given) < MIN_IMAGES:
        return np.zeros(len(given))
    away = given - np.median(given)
    std = 1.4826 * np.median(np.abs(away))
    if std <= 1e-9:
        std = 1.2533 * np.mean(np.abs(away))
    return np.asarray(away / max(float(std), 1e-9), np.float64)
