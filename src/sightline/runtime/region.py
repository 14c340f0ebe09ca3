"""From a heat map to outlined defects in image pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.result import Defect

MAX_REGIONS = 20  # of the hottest: an all-hot image must not turn into thousands of outlines
CELL_SHARE = 0.5  # a pixel belongs to a region if half of its interpolated surroundings do
HALO_SHARE = 0.25  # cells below this share of their region's peak are its halo, not the defect
PEAK_SHARE = 0.7  # where no cell passes the threshold, outline what is this close to the peak


def find_defects(
    heat: NDArray[np.float32],
    image_size: tuple[int, int],
    threshold: float,
    mm_per_px: float | None = None,
    type_name: str = "anomaly",
) -> tuple[Defect, ...]:
    """Regions of a heat grid (h, w) above `threshold`, hottest first, in pixels of an image (H, W).

    Call it for parts that are not OK: when nothing passes the threshold, the surroundings of the peak are
    outlined, so that a person always sees where to look.
    """
    peak = float(heat.max())
    if not np.isfinite(peak):
        return ()
    floor = threshold if peak > threshold else float(heat.mean()) + PEAK_SHARE * (peak - float(heat.mean()))
    labels, stats, peaks = _regions(heat, heat >= min(floor, peak))
    # Around what is very hot, the trunk's wide view warms its surroundings above the threshold, too.
    labels, stats, peaks = _regions(heat, (labels > 0) & (heat >= HALO_SHARE * peaks[labels]))
    count = len(peaks)
    order = np.argsort(-peaks)[: min(count - 1, MAX_REGIONS)]
    return tuple(
        _outline(labels, stats, int(index), float(peaks[index]), image_size, mm_per_px, type_name) for index in order
    )


def _regions(
    heat: NDArray[np.float32], hot: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Connected regions of the hot cells: label of each cell (0: none), their boxes, and their hottest cells."""
    count, found, boxes, _ = cv2.connectedComponentsWithStats(hot.astype(np.uint8), connectivity=8)
    labels = np.asarray(found, np.int32)
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, labels.ravel(), heat.ravel())
    peaks[0] = -np.inf
    return labels, np.asarray(boxes, np.int32), peaks


def _outline(
    labels: NDArray[np.int32],
    stats: NDArray[np.int32],
    index: int,
    score: float,
    image_size: tuple[int, int],
    mm_per_px: float | None,
    type_name: str,
) -> Defect:
    x, y, w, h = (int(value) for value in stats[index, :4])
    high, wide = image_size
    scale_x, scale_y = wide / labels.shape[1], high / labels.shape[0]
    cell = (labels[y : y + h, x : x + w] == index).astype(np.float32)
    left, top = min(round(x * scale_x), wide - 1), min(round(y * scale_y), high - 1)
    size = (max(1, round((x + w) * scale_x) - left), max(1, round((y + h) * scale_y) - top))
    # Enlarged to image pixels before outlining: smooth outlines, and at least the cells' centres inside.
    large = np.asarray(cv2.resize(cell, size, interpolation=cv2.INTER_LINEAR) >= CELL_SHARE)
    if not large.any():  # cells that are finer than the image's pixels may vanish between them
        large[:] = True
    padded = cv2.copyMakeBorder(large.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    contours, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_KCOS)
    contour = max(contours, key=len).reshape(-1, 2) + np.array([left - 1, top - 1])
    area = float(np.count_nonzero(padded))
    return Defect(
        type=type_name,
        score=score,
        box=(left, top, *size),
        contour=contour.astype(np.int32),
        area_px=area,
        area_mm2=None if mm_per_px is None else area * mm_per_px**2,
    )
