"""Thresholds for pixel curves, placed where the heat of normal pixels lies; memory is bounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

TAIL = 0.05  # false-positive rate up to which thresholds are densest

FEWEST = 16


class Thresholds:
    """A sketch of the heat of normal pixels, from which thresholds are placed.

    `add` takes the normal pixels of one image; `edges` returns thresholds. As long as there are at most
    `bins` different values nothing is approximated: every value is a threshold. Beyond that, values are
    thinned to about `bins` quantiles, three quarters of them within the upper 5 % (the false-positive rates
    that matter). Thinning only moves thresholds; what is counted at a threshold later is exact.
    """

    def __init__(self, bins: int) -> None:
        if bins < FEWEST:
            raise ValueError(f"{bins} bins are too few for a curve. Give at least {FEWEST}.")
        self._bins = bins
        self._levels = _levels(bins)
        self._values: Floats = np.empty(0, np.float32)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, heat: Floats) -> None:
        """Add normal pixels, any shape, float, without NaN."""
        values, counts = self._thin(*_tally(np.sort(heat, axis=None)))
        both = np.concatenate([self._values, values])
        order = np.argsort(both, kind="stable")
        merged, firsts = _distinct(both[order])
        if not merged.size:
            return
        weights = np.concatenate([self._counts, counts])[order]
        # Two full sketches hold at most twice `bins` entries, so this stays bounded for any number of images.
        self._values, self._counts = self._thin(merged, np.add.reduceat(weights, firsts))

    def edges(self) -> Floats:
        """Thresholds (T,), ascending and distinct, T <= 2 * (bins + 2); empty where no pixel was added.

        After each kept value comes the next larger float, so that a heap of equal values is a step of its own
        and ties are counted together, as they must be.
        """
        with np.errstate(over="ignore"):
            above = np.nextafter(self._values, np.array(np.inf, self._values.dtype))
        return np.unique(np.concatenate([self._values, above]))

    def _thin(self, values: Floats, counts: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
        """At most `bins` + 2 of the values; a dropped value's count goes to the kept value below it."""
        if values.size <= self._bins:
            return values, counts
        at_least = np.cumsum(counts[::-1])[::-1]
        # `at_least` falls along the values; the first value whose count has dropped to the level is kept.
        picks = np.searchsorted(-at_least, -self._levels * at_least[0], side="left")
        kept = np.unique(np.concatenate([[0, values.size - 1], np.minimum(picks, values.size - 1)]))
        return values[kept], np.add.reduceat(counts, kept)


def _levels(bins: int) -> NDArray[np.float64]:
    """Shares of normal pixels at or above a threshold, at most `bins` of them."""
    quarter = bins // 4
    tail = [np.geomspace(1e-8, TAIL, quarter), np.linspace(0.0, TAIL, 2 * quarter + 1)[1:]]
    return np.unique(np.concatenate([*tail, np.linspace(TAIL, 1.0, quarter)]))


def _distinct(ascending: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct values of sorted ones and where each begins."""
    begins = np.ones(ascending.size, bool)
    begins[1:] = ascending[1:] != ascending[:-1]
    firsts = np.flatnonzero(begins)
    return ascending[firsts], firsts


def _tally(ascending: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The distinct values of sorted ones and how often each occurs."""
    values, firsts = _distinct(ascending)
    return values, np.diff(firsts, append=ascending.size)
