"""Pixel metrics: heat maps and masks at one size, their curves threshold by threshold, and AUPRO.

Images are read one at a time and thresholds are placed where the heat of normal pixels lies, so memory is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.evaluate.inspected import Inspected
from sightline.evaluate.statistics.intervals import Rate, exact_rate
from sightline.imaging.mask import marked_pixels

LONGEST = 1024  # px; heat is coarser than this by far, and pixel metrics stay affordable
Floats = NDArray[np.floating]

TAIL = 0.05  # false-positive rate up to which thresholds are densest

MIN = 16
Pair = tuple[Floats, NDArray[np.bool_]]
Pairs = Callable[[], Iterable[Pair]]

BINS = 4096
AUPRO_LIMIT, AUPRO_STRICT = 0.30, 0.05  # false-positive rates up to which an evaluation integrates the overlap


def heat_and_masks(images: Iterable[Inspected]) -> Iterator[Pair]:
    """(heat (H, W) float32, mask (H, W) bool) at image size, at most `LONGEST` px on the longer side.

    Good images come with an empty mask; defective images without a usable mask are left out.
    """
    for image in images:
        if image.defective and image.mask is None:
            continue
        height, width = _bounded(image.size)
        heat = cv2.resize(image.heat, (width, height), interpolation=cv2.INTER_LINEAR)
        yield np.asarray(heat, np.float32), _mask(image, height, width)


def mask_of(image: Inspected) -> NDArray[np.bool_]:
    """The mask (H, W) at image size, at most `LONGEST` px on the longer side; empty without one."""
    return _mask(image, *_bounded(image.size))


def _mask(image: Inspected, height: int, width: int) -> NDArray[np.bool_]:
    if not image.defective or image.mask is None:
        return np.zeros((height, width), bool)
    mask = marked_pixels(image.mask, image.size)
    if mask.shape == (height, width):
        return mask
    # Any marked pixel marks the smaller one it falls into: a hairline scratch must not vanish.
    covered = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(covered) > 0.0


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    height, width = size
    scale = min(1.0, LONGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


class Thresholds:
    """A sketch of the heat of normal pixels, from which thresholds are placed.

    `add` takes the normal pixels of one image; `edges` returns thresholds. As long as there are at most
    `bins` different values nothing is approximated: every value is a threshold. Beyond that, values are
    thinned to about `bins` quantiles, three quarters of them within the upper 5 % (the false-positive rates
    that matter). Thinning only moves thresholds; what is counted at a threshold later is exact.
    """

    def __init__(self, bins: int) -> None:
        if bins < MIN:
            raise ValueError(f"{bins} bins are too few for a curve. Give at least {MIN}.")
        self._bins = bins
        self._levels = _levels(bins)
        self._values: Floats = np.empty(0, np.float32)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)

    def add(self, heat: Floats) -> None:
        """Add normal pixels, any shape, float, without NaN."""
        values, firsts = _distinct(np.sort(heat, axis=None))
        values, counts = self._thin(values, np.diff(firsts, append=heat.size))
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

        After each retained value comes the next larger float, so that a heap of equal values is a step of its own
        and ties are counted together, as they must be.
        """
        with np.errstate(over="ignore"):
            above = np.nextafter(self._values, np.array(np.inf, self._values.dtype))
        return np.unique(np.concatenate([self._values, above]))

    def _thin(self, values: Floats, counts: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
        """At most `bins` + 2 of the values; a dropped value's count goes to the retained value below it."""
        if values.size <= self._bins:
            return values, counts
        at_least = np.cumsum(counts[::-1])[::-1]
        # `at_least` falls along the values; the first value whose count has dropped to the level is retained.
        picks = np.searchsorted(-at_least, -self._levels * at_least[0], side="left")
        retained = np.unique(np.concatenate([[0, values.size - 1], np.minimum(picks, values.size - 1)]))
        return values[retained], np.add.reduceat(counts, retained)


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


def aupro(curve: PixelCurve, limit: float) -> float | None:
    """AUPRO@limit: the normalised area under a pixel curve's overlap up to `limit`.

    Every region counts the same, however small: a metric of places, not of pixels. The overlap is integrated
    over the pixels' false-positive rate from 0 to `limit`, interpolated at the limit, and divided by it
    (Bergmann et al., IJCV 129, 2021). None where there is no region or no normal pixel. Raises ValueError for a limit
    outside (0, 1].
    """
    if not 0.0 < limit <= 1.0:
        raise ValueError(f"the false-positive limit {limit} is not in (0, 1]. Give for instance 0.3.")
    if not curve.regions or not curve.normal:
        return None
    inside = int(np.searchsorted(curve.fpr, limit, side="right"))
    fpr, pro = curve.fpr[:inside], curve.pro[:inside]
    if inside < curve.fpr.size:
        step = (limit - fpr[-1]) / (curve.fpr[inside] - fpr[-1])
        at_limit = pro[-1] + step * (curve.pro[inside] - pro[-1])
        fpr, pro = np.append(fpr, limit), np.append(pro, at_limit)
    return float(np.clip(np.trapezoid(pro, fpr) / limit, 0.0, 1.0))


def region_weights(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What each marked cell of masks (K, h, w) counts, in their order (P,): regions count the same, the sum is 1."""
    found = []
    for mask in masks:
        regions, labels = cv2.connectedComponents(np.asarray(mask, np.uint8), connectivity=8)
        region = labels[mask]
        found.append(1.0 / np.bincount(region, minlength=regions)[region])
    weights = np.concatenate(found)
    return np.asarray(weights / weights.sum())


def aupro_of_cells(
    normal: NDArray[np.floating], marked: NDArray[np.floating], weights: NDArray[np.float64], limit: float = 0.30
) -> float:
    """AUPRO@limit of normal cells (N,) and marked ones (P,) that fit into memory: `aupro` without thresholds, and fast.

    `pixel_curve` goes through any number of images twice; here selection compares many ways to score the same cells.
    A marked cell adds its weight to the overlap from the false-positive rate on at which its heat is reached; where
    normal cells are as hot as it is, the curve rises straight over them, as it does in `aupro`.
    """
    order = np.sort(normal)
    above = 1.0 - np.searchsorted(order, marked, side="right") / order.size  # share of hotter normal cells
    reached = 1.0 - np.searchsorted(order, marked, side="left") / order.size  # and of equally hot ones
    ramp = np.maximum(reached - above, 1e-12)
    inside = np.clip(limit - above, 0.0, ramp)
    area = inside**2 / (2 * ramp) + np.maximum(limit - reached, 0.0)
    return float(weights @ area / limit)


Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Means over the `defective` images, None without any; `marked_good`: good images on which anything was marked.

    The means count every image the same, however small its defect.
    """

    dice: float | None
    iou: float | None
    defective: int
    marked_good: Rate


def overlap(maps: Iterable[tuple[Flags, Flags]]) -> Overlap:
    """Dice and IoU of (truth (H, W) bool, predicted (H, W) bool) of each image; good images have an empty truth.

    Images are read one by one, so memory is that of one image. Raises ValueError for a pair that is not bool and of
    one size.
    """
    dice, iou, marked, good = [], [], 0, 0
    for truth, predicted in maps:
        if truth.dtype != np.bool_ or predicted.dtype != np.bool_ or truth.shape != predicted.shape:
            given = f"maps are {truth.shape} {truth.dtype} and {predicted.shape} {predicted.dtype}"
            raise ValueError(f"{given}. Bring both to one size, and compare with a threshold to get bool.")
        shared, either = np.count_nonzero(truth & predicted), np.count_nonzero(truth | predicted)
        if truth.any():
            dice.append(2.0 * shared / (shared + either))
            iou.append(shared / either)
        else:
            good += 1
            marked += bool(either)
    return Overlap(
        dice=float(np.mean(dice)) if dice else None,
        iou=float(np.mean(iou)) if iou else None,
        defective=len(dice),
        marked_good=exact_rate(marked, good),
    )
