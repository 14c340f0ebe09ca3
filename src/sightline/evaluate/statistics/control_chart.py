"""The p-chart: the share of NG parts by subgroup, its limits, and the runs that chance does not explain.

Sources: limits, D. C. Montgomery, "Introduction to Statistical Quality Control", 2013, section 7.2, for each size of a
subgroup; rules, L. S. Nelson, "The Shewhart Control Chart - Tests for Special Causes", Journal of Quality
Technology 16 (1984) 237-239, tests 1 to 6, of which 1, 5 and 6 are those of the Western Electric handbook (1956).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SOURCE = "limits: Montgomery 2013, section 7.2, for each subgroup's own size; rules: Nelson 1984, tests 1 to 6"
RULES = {
    1: "a point beyond 3 sigma",
    2: "nine points in a row on one side of the mean",
    3: "six points in a row that rise, or fall",
    4: "fourteen points in a row that alternate up and down",
    5: "two of three points beyond 2 sigma on one side",
    6: "four of five points beyond 1 sigma on one side",
}
SIGMAS = 3.0


@dataclass(frozen=True, slots=True)
class Point:
    """A subgroup: `ng` of `n` parts, their share, its control limits, and the rules that end at it."""

    label: str
    n: int
    ng: int
    p: float
    lower: float
    upper: float
    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A p-chart; `center` is the mean share over all parts, None where there are none."""

    center: float | None
    parts: int
    ng: int
    points: tuple[Point, ...]


def p_chart(subgroups: Sequence[tuple[str, int, int]]) -> Chart:
    """The chart of subgroups (label, parts, NG parts) in the order of time; those without parts are left out."""
    some = [(label, n, ng) for label, n, ng in subgroups if n > 0]
    sizes = np.array([n for _, n, _ in some], np.float64)
    bad = np.array([ng for _, _, ng in some], np.float64)
    if not some:
        return Chart(None, 0, 0, ())
    center = float(bad.sum() / sizes.sum())
    sigma = np.sqrt(center * (1 - center) / sizes)
    shares = bad / sizes
    z = np.divide(shares - center, sigma, out=np.zeros_like(shares), where=sigma > 0)
    broken = broken_rules(z)
    points = tuple(
        Point(label, n, ng, float(p), max(0.0, center - SIGMAS * s), min(1.0, center + SIGMAS * s), rules)
        for (label, n, ng), p, s, rules in zip(some, shares, sigma.tolist(), broken, strict=True)
    )
    return Chart(center, int(sizes.sum()), int(bad.sum()), points)


def broken_rules(z: NDArray[np.float64]) -> list[tuple[int, ...]]:
    """For each of the points (n,), in sigma from the mean: numbers of the rules (`RULES`) whose pattern ends there."""
    found: list[tuple[int, ...]] = []
    for end in range(1, len(z) + 1):
        observed = z[:end]
        told = [
            abs(observed[-1]) > 3,
            _one_side(observed, 9, 9, 0.0),
            _steps(observed, 6, alternating=False),
            _steps(observed, 14, alternating=True),
            _one_side(observed, 3, 2, 2.0),
            _one_side(observed, 5, 4, 1.0),
        ]
        found.append(tuple(number for number, broken in enumerate(told, start=1) if broken))
    return found


def _one_side(observed: NDArray[np.float64], among: int, least: int, beyond: float) -> bool:
    """Whether at least so many of the last points, the very last one among them, lie beyond on the same side."""
    last = observed[-among:]
    return len(last) >= least and any(
        side * last[-1] > beyond and np.count_nonzero(side * last > beyond) >= least for side in (1.0, -1.0)
    )


def _steps(observed: NDArray[np.float64], points: int, alternating: bool) -> bool:
    if len(observed) < points:
        return False
    steps = np.sign(np.diff(observed[-points:]))
    if alternating:
        return bool(np.all(steps != 0) and np.all(steps[1:] == -steps[:-1]))
    return bool(np.all(steps > 0) or np.all(steps < 0))
