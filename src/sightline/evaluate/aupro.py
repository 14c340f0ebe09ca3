"""AUPRO: the area under the per-region-overlap curve, up to a false-positive rate."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.evaluate.curve import BINS, Pairs, PixelCurve, pixel_curve


def aupro(pairs: Pairs, limit: float = 0.30, bins: int = BINS) -> float | None:
    """AUPRO@limit of (heat (H, W) float, mask (H, W) bool) pairs; `pairs()` is called twice.

    Every region counts the same, however small: a metric of places, not of pixels. The overlap is integrated
    over the pixels' false-positive rate from 0 to `limit`, interpolated at the limit, and divided by it
    (Bergmann et al., IJCV 129, 2021). Good images take part with an empty mask; leave defective images
    without a mask out. None where there is no region or no normal pixel. Raises ValueError for a limit
    outside (0, 1].
    """
    return area(pixel_curve(pairs, bins), limit)


def area(curve: PixelCurve, limit: float) -> float | None:
    """The normalised area under a pixel curve's overlap up to `limit`; see `aupro`."""
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
    """AUPRO@limit of heat that fits into memory, without thresholds: of normal cells (N,) and marked ones (P,).

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
