"""Studies of measured values: repeatability of score and place, process capability, and limit samples.

Sources: AIAG, "Measurement Systems Analysis", 2010 (the grey zone of an attribute gauge, chapter III section C;
repeatability as the pooled deviation within parts); D. C. Montgomery, "Introduction to Statistical Quality Control",
2013, sections 8.3 and 8.4; intervals of Cp and Pp by chi-square, of Cpk and Ppk by A. F. Bissell, "How reliable is your
capability index?", Applied Statistics 39 (1990) 331-340.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.errors import InputError, MissingExtraError
from sightline.core.figures import Figures
from sightline.evaluate.statistics.intervals import CONFIDENCE, Interval

D2_OF_TWO = 1.128379167095513  # mean range of two values, in standard deviations: 2 / sqrt(pi)
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Repeatability(Figures):
    """`within`: standard deviation over re-presentations of a part on one day, with its interval; `days`: what days
    add to it; `parts`: standard deviation of the parts' means. `flips` names parts whose verdict
    changes.
    """

    readings: int
    within: Interval
    days: float | None
    parts: float | None
    flips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Capability(Figures):
    """Cp and Cpk from the deviation within subgroups, Pp and Ppk from the overall one; None without both limits, or
    for a deviation of zero. `outside` counts values beyond the limits.
    """

    values: int
    mean: float
    within: float
    overall: float
    cp: Interval | None
    cpk: Interval | None
    pp: Interval | None
    ppk: Interval | None
    outside: int


@dataclass(frozen=True, slots=True)
class GreyZone(Figures):
    """Up to `accepted` everybody accepts every part in every trial, from `rejected` on everybody rejects; None where no
    part is so clear. `limit_sample` is the part nearest to one half, with the share that reject it.
    """

    accepted: float | None
    rejected: float | None
    limit_sample: str
    limit_size: float
    limit_share: float

    @property
    def width(self) -> float | None:
        """How wide the grey zone is."""
        return None if self.accepted is None or self.rejected is None else self.rejected - self.accepted


def repeatability(
    values: ArrayLike, parts: Sequence[str], days: Sequence[Hashable], verdicts: Sequence[str] | None = None
) -> Repeatability:
    """Analyse (N,) values, or (N, 2) places in px, of parts presented again and again, on one day or several.

    For places, deviations are those of the distance: both directions added. Raises InputError where no part was
    presented twice on a day.
    """
    found = np.asarray(values, float).reshape(len(parts), -1)
    cells: dict[tuple[str, Hashable], list[int]] = {}
    for number, key in enumerate(zip(parts, days, strict=True)):
        cells.setdefault(key, []).append(number)
    freedom = sum(len(rows) - 1 for rows in cells.values()) * found.shape[1]
    if not freedom:
        raise InputError("no part was presented twice on the same day. Present each part several times")
    means = {key: found[rows].mean(axis=0) for key, rows in cells.items()}
    squares = sum(float(((found[rows] - means[key]) ** 2).sum()) for key, rows in cells.items())
    variance = squares / freedom
    each = len(parts) / len(cells)
    by_part: dict[str, list[Values]] = {}
    for (part, _), mean in means.items():
        by_part.setdefault(part, []).append(mean)
    day_freedom = sum(len(one) - 1 for one in by_part.values()) * found.shape[1]
    spread = sum(float(((np.array(one) - np.mean(one, axis=0)) ** 2).sum()) for one in by_part.values())
    scale = math.sqrt(found.shape[1])
    added = math.sqrt(max(0.0, spread / day_freedom - variance / each)) * scale if day_freedom else None
    centers = np.array([np.mean(one, axis=0) for one in by_part.values()])
    between = float(np.sqrt(centers.var(axis=0, ddof=1).sum())) if len(centers) > 1 and found.shape[1] == 1 else None
    flips: tuple[str, ...] = ()
    if verdicts is not None:
        said: dict[str, set[str]] = {}
        for part, verdict in zip(parts, verdicts, strict=True):
            said.setdefault(part, set()).add(verdict)
        flips = tuple(part for part, words in said.items() if len(words) > 1)
    return Repeatability(len(parts), deviation(math.sqrt(variance) * scale, freedom), added, between, flips)


def deviation(value: float, freedom: int, confidence: float = CONFIDENCE) -> Interval:
    """A standard deviation of normal values with its chi-square interval; `of` is its degrees of freedom."""
    low, high = (math.sqrt(freedom / chi_square(share, freedom)) for share in _tails(confidence)[::-1])
    return Interval(value, value * low, value * high, freedom, confidence)


def capability(
    values: ArrayLike,
    lower: float | None,
    upper: float | None,
    *,
    subgroup: int = 1,
    confidence: float = CONFIDENCE,
) -> Capability:
    """Capability of (N,) values in the order of production; single values take the mean moving range, subgroups of
    `subgroup` values their pooled deviation.

    Raises InputError for fewer than ten values, no limit, or limits in the wrong order.
    """
    x = np.asarray(values, float).ravel()
    if len(x) < 10 or not np.isfinite(x).all():
        raise InputError(f"{len(x)} values are too few, or not all are numbers. Give ten at least; 50 are usual")
    if (lower is None and upper is None) or (lower is not None and upper is not None and lower >= upper):
        raise InputError("capability needs a lower or an upper limit, the lower one below the upper. Correct them")
    overall = float(x.std(ddof=1))
    if subgroup > 1:
        groups = x[: len(x) // subgroup * subgroup].reshape(-1, subgroup)
        within, freedom = float(np.sqrt(groups.var(axis=1, ddof=1).mean())), groups.size - len(groups)
    else:  # about 0.62 degrees of freedom for each moving range of two overlapping values
        within, freedom = float(np.abs(np.diff(x)).mean() / D2_OF_TWO), max(1, int(0.62 * (len(x) - 1)))
    outside = int(((x < lower) if lower is not None else np.zeros(len(x), bool)).sum())
    outside += int(((x > upper) if upper is not None else np.zeros(len(x), bool)).sum())
    two_sided = lower is not None and upper is not None
    mean = float(x.mean())

    def pair(spread: float, of: int) -> tuple[Interval | None, Interval | None]:
        if spread == 0:
            return None, None
        sides = [(mean - lower)] if lower is not None else []
        sides += [(upper - mean)] if upper is not None else []
        nearest = centred(min(sides) / (3 * spread), len(x), of, confidence)
        if not two_sided:
            return None, nearest
        assert lower is not None and upper is not None
        return spread_index((upper - lower) / (6 * spread), of, confidence), nearest

    cp, cpk = pair(within, freedom)
    pp, ppk = pair(overall, len(x) - 1)
    return Capability(len(x), mean, within, overall, cp, cpk, pp, ppk, outside)


def spread_index(value: float, freedom: int, confidence: float = CONFIDENCE) -> Interval:
    """Cp or Pp with its interval: exact for normal values."""
    low, high = (math.sqrt(chi_square(share, freedom) / freedom) for share in _tails(confidence))
    return Interval(value, value * low, value * high, freedom + 1, confidence)


def centred(value: float, values: int, freedom: int, confidence: float = CONFIDENCE) -> Interval:
    """Cpk or Ppk with Bissell's interval, an approximation for normal values; it is not symmetric for negative ones."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    half = z * math.sqrt(1 / (9 * values) + value**2 / (2 * freedom))
    return Interval(value, value - half, value + half, values, confidence)


def grey_zone(sizes: ArrayLike, rejected: ArrayLike, names: Sequence[str]) -> GreyZone:
    """The grey zone of (P,) sizes, larger being worse, of which (P,) shares of the readings reject.

    Raises InputError for no part.
    """
    size, share = np.asarray(sizes, float).ravel(), np.asarray(rejected, float).ravel()
    if not len(size) or len(size) != len(share):
        raise InputError("a limit-sample study needs the size of every part. Give them")
    order = np.argsort(size, kind="stable")
    clear = np.cumprod(share[order] == 0), np.cumprod(share[order][::-1] == 1)
    below, above = int(clear[0].sum()), int(clear[1].sum())
    accepted = float(size[order[below - 1]]) if below else None
    rejects = float(size[order[len(order) - above]]) if above else None
    nearest = int(np.argmin(np.abs(share - 0.5)))
    return GreyZone(accepted, rejects, names[nearest], float(size[nearest]), float(share[nearest]))


def chi_square(share: float, freedom: int) -> float:
    """The value below which `share` of a chi-square distribution lies."""
    try:
        from scipy.special import gammaincinv
    except ModuleNotFoundError as error:
        raise MissingExtraError("scipy", "studies") from error
    return 2 * float(gammaincinv(freedom / 2, share))


def _tails(confidence: float) -> tuple[float, float]:
    return (1 - confidence) / 2, (1 + confidence) / 2
