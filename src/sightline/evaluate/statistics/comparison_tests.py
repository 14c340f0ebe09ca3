"""Two recipes on the same parts: is one better, or may that be chance?

Sources: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12 (1947), in its exact binomial form; B. Efron and R. J. Tibshirani, "An Introduction to the
Bootstrap", 1993.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sightline.core.figures import Figures
from sightline.evaluate.statistics.intervals import CONFIDENCE, Weights, auroc_statistic, bootstrap

MIN_GROUPS = 10  # with fewer, intervals from resampled groups are known to be too narrow


@dataclass(frozen=True, slots=True)
class McNemar(Figures):
    """Parts on which two recipes are right: `both`, one alone, or `neither`.

    `p_value`: how likely so uneven a split of the parts on which one alone is right would be if the recipes were
    equally good; 1 where there is no such part. Holds for parts independent of each other.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float

    @property
    def parts(self) -> int:
        """How many parts were compared."""
        return self.both + self.only_first + self.only_second + self.neither


@dataclass(frozen=True, slots=True)
class Difference(Figures):
    """A figure of two recipes on the same parts, and second - first with its interval; None where none exists."""

    metric: str
    first: float | None
    second: float | None
    value: float | None
    lower: float | None
    upper: float | None
    parts: int
    groups: int
    grouped: bool
    confidence: float


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """The exact two-sided test of (N,) bool each: was the recipe right on the part?

    Raises ValueError for unequal lengths.
    """
    one, two = np.asarray(first_right, bool).ravel(), np.asarray(second_right, bool).ravel()
    if one.size != two.size:
        raise ValueError(f"{one.size} and {two.size} parts do not match. Judge the same parts with both recipes.")
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    return McNemar(
        both=int((one & two).sum()),
        only_first=only_first,
        only_second=only_second,
        neither=int((~one & ~two).sum()),
        p_value=_two_sided(only_first, only_second),
    )


def auroc_difference(
    first: ArrayLike,
    second: ArrayLike,
    defective: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Difference:
    """AUROC of the scores `second` (N,) less that of `first` (N,), on the same parts, `defective` (N,) bool.

    Both recipes see the same resamples; with `groups` (N,), such as lots, a group is drawn whole. A NaN counts
    as the highest score. Raises ValueError for unequal lengths.
    """
    auroc_1, auroc_2 = auroc_statistic(first, defective), auroc_statistic(second, defective)
    parts = np.size(np.asarray(defective))

    def second_less_first(weights: Weights) -> float | None:
        one, two = auroc_1(weights), auroc_2(weights)
        return None if one is None or two is None else two - one

    found = bootstrap(second_less_first, parts, groups=groups, seed=seed)
    once = np.ones(parts, np.int64)
    return Difference(
        metric="AUROC",
        first=auroc_1(once) if parts else None,
        second=auroc_2(once) if parts else None,
        value=found.value,
        lower=found.lower,
        upper=found.upper,
        parts=parts,
        groups=parts if groups is None else len(set(groups)),
        grouped=groups is not None,
        confidence=found.confidence,
    )


def conclude(outcome: Difference | McNemar, first: str = "Recipe 1", second: str = "Recipe 2") -> str:
    """One sentence: what may be concluded from the outcome, and how many parts it rests on."""
    return _of_test(outcome, first, second) if isinstance(outcome, McNemar) else _of_difference(outcome, first, second)


def _of_test(test: McNemar, first: str, second: str) -> str:
    split = test.only_first + test.only_second
    counts = f"on {test.parts:,} parts, {first} alone is right on {test.only_first:,} and {second} alone on "
    counts = f"{counts}{test.only_second:,}"
    if not test.parts:
        return "Nothing may be concluded: no part was compared."
    if test.p_value >= 1.0 - CONFIDENCE:
        why = "" if split > 5 else f", and with {split} such parts no split could show a difference"
        return f"No difference may be concluded: {counts} (p = {_p(test.p_value)}){why}."
    better = first if test.only_first > test.only_second else second
    return f"{better} is right more often: {counts} (p = {_p(test.p_value)})."


def _of_difference(found: Difference, first: str, second: str) -> str:
    parts = f"{found.parts:,} parts" + (f" in {found.groups:,} groups" if found.grouped else "")
    if found.first is None or found.second is None or found.value is None:
        return f"Nothing may be concluded: {parts} do not hold every class, so there is no {found.metric}."
    figures = f"{found.metric} {found.first:.3f} with {first}, {found.second:.3f} with {second}, on {parts}"
    if found.groups < MIN_GROUPS:
        what = "groups" if found.grouped else "parts"
        return f"Nothing may be concluded: {figures}; fewer than {MIN_GROUPS} {what} give no trustworthy interval."
    if found.lower is None or found.upper is None:
        return f"Nothing may be concluded: {figures}; resampling these parts gives no interval for the difference."
    span = f"difference {found.value:+.3f}, {found.lower:+.3f} to {found.upper:+.3f} at {100 * found.confidence:g} %"
    if found.lower <= 0.0 <= found.upper:
        return f"No difference may be concluded: {figures} ({span})."
    better = second if found.value > 0 else first
    return f"{better} is better on parts like these: {figures} ({span})."


def _two_sided(one: int, two: int) -> float:
    """The exact binomial test at 1/2; whole numbers, so that no part is lost in rounding."""
    total = one + two
    tail = sum(math.comb(total, count) for count in range(min(one, two) + 1))
    return min(1.0, float(2 * tail / 2**total))


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
