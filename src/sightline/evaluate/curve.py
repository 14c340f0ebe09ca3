"""Pixel curves: false-positive rate, true-positive rate and region overlap, threshold by threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.evaluate.thresholds import Floats, Thresholds

Pair = tuple[Floats, NDArray[np.bool_]]
Pairs = Callable[[], Iterable[Pair]]

BINS = 4096


@dataclass(frozen=True, slots=True)
class PixelCurve:
    """Curves over falling thresholds, a pixel being called defective where heat >= threshold.

    `fpr`, `tpr`, `pro` are (T,) float64, rising from 0 to 1: the share of normal pixels called defective, of
    defective pixels called defective, and the mean over regions of the share of a region called defective
    (per-region overlap: Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 129, 2021, section 5.2).
    `normal` and `defective` count pixels, `regions` counts 8-connected regions. A curve that does not exist
    (no normal pixels, no regions) is empty.
    """

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    pro: NDArray[np.float64]
    normal: int
    defective: int
    regions: int


def pixel_curve(pairs: Pairs, bins: int = BINS) -> PixelCurve:
    """The curves of all pairs together.

    `pairs()` is called twice and must yield the same (heat (H, W) float, mask (H, W) bool) pairs each time;
    good images have an empty mask. A NaN in a heat map counts as the hottest value (fail closed). Memory: the
    largest single image and a few times `bins` numbers, whatever the number of images and regions.
    """
    sketch = Thresholds(bins)
    for heat, mask in pairs():
        sketch.add(_clean(heat)[~mask])
    tally = _Tally(sketch.edges())
    for heat, mask in pairs():
        tally.add(_clean(heat), mask)
    return tally.curve()


class _Tally:
    """Counts at or above each threshold, summed over images."""

    def __init__(self, edges: Floats) -> None:
        self._edges = edges
        self._false = np.zeros(edges.size, np.int64)
        self._true = np.zeros(edges.size, np.int64)
        self._overlap = np.zeros(edges.size, np.float64)
        self._normal = self._defective = self._regions = 0

    def add(self, heat: Floats, mask: NDArray[np.bool_]) -> None:
        normal = np.sort(heat[~mask])
        self._normal += normal.size
        self._false += normal.size - np.searchsorted(normal, self._edges, side="left")
        if mask.any():
            self._add_regions(heat, mask)

    def _add_regions(self, heat: Floats, mask: NDArray[np.bool_]) -> None:
        found, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        region = labels[mask]
        # A pixel weighs one over its region's size, so the weights above a threshold sum to the overlaps.
        weight = 1.0 / np.bincount(region, minlength=found)[region]
        order = np.argsort(heat[mask], kind="stable")
        below = np.searchsorted(heat[mask][order], self._edges, side="left")
        weights_below = np.concatenate([[0.0], np.cumsum(weight[order])])
        regions = found - 1
        self._defective += region.size
        self._regions += regions
        self._true += region.size - below
        self._overlap += regions * (1.0 - weights_below[below] / weights_below[-1])

    def curve(self) -> PixelCurve:
        if not self._normal:
            empty = np.empty(0)
            return PixelCurve(empty, empty, empty, 0, self._defective, self._regions)
        return PixelCurve(
            fpr=_rising(self._false, self._normal),
            tpr=_rising(self._true, self._defective),
            pro=_rising(self._overlap, self._regions),
            normal=self._normal,
            defective=self._defective,
            regions=self._regions,
        )


def _rising(counts: NDArray[np.int64] | NDArray[np.float64], of: int) -> NDArray[np.float64]:
    """Counts over ascending thresholds as shares over falling ones, with the end points 0 and 1."""
    if not of:
        return np.empty(0)
    return np.concatenate([[0.0], counts[::-1] / of, [1.0]])


def _clean(heat: Floats) -> Floats:
    values = np.asarray(heat)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float32)
    return np.where(np.isnan(values), np.array(np.inf, values.dtype), values)
