"""From the box head's answers to boxes on the image: the surest of each place and type."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.result import Box
from sightline.runtime.placement import Placement

LEAST_SCORE = 0.05
MOST_CELLS, MOST_BOXES = 200, 100  # of a type that are looked at, and of an image that are kept
SAME = 0.5  # IoU from which the less sure of two boxes of one type is the same place (greedy suppression)

Floats = NDArray[np.float32]


def read_boxes(scores: Floats, corners: Floats, names: Sequence[str], placement: Placement) -> tuple[Box, ...]:
    """Scores (K, cells) and corners (4, cells) in px of the input -> boxes on the image, the surest first.

    A cell whose numbers are not finite is passed over.
    """
    ends = _on_image(corners, placement)
    sized = np.concatenate([ends[:2], ends[2:] - ends[:2]])
    fine = np.isfinite(sized).all(0) & (sized[2:] > 0).all(0)
    found = []
    for name, share in zip(names, scores, strict=True):
        sure = np.flatnonzero(fine & (share > LEAST_SCORE))
        sure = sure[np.argsort(-share[sure], kind="stable")][:MOST_CELLS]
        if not len(sure):
            continue
        boxes = sized[:, sure].T.astype(float).tolist()
        kept = cv2.dnn.NMSBoxes(boxes, share[sure].astype(float).tolist(), LEAST_SCORE, SAME)
        found += [Box(name, float(share[sure[i]]), tuple(boxes[i])) for i in np.asarray(kept, int).ravel()]
    return tuple(sorted(found, key=lambda box: -box.score)[:MOST_BOXES])


def back(boxes: tuple[Box, ...], warp: NDArray[np.float64]) -> tuple[Box, ...]:
    """Boxes on an aligned image -> the upright boxes around them on the image that came, `warp` (2, 3) between them."""
    if np.array_equal(warp, np.eye(2, 3)):
        return boxes
    found = []
    for box in boxes:
        x, y, w, h = box.xywh
        points = warp @ np.array([[x, x + w, x + w, x], [y, y, y + h, y + h], [1, 1, 1, 1]])
        (left, top), (right, bottom) = points.min(1).tolist(), points.max(1).tolist()
        found.append(Box(box.type, box.score, (left, top, right - left, bottom - top)))
    return tuple(found)


def _on_image(corners: Floats, placement: Placement) -> NDArray[np.float64]:
    """Corners (4, cells) in px of the image, cut to its region of interest."""
    left, top, wide, high = placement.inner
    x, y, w, h = placement.crop
    across = np.clip((corners[[0, 2]] - left) * (w / wide), 0, w) + x
    down = np.clip((corners[[1, 3]] - top) * (h / high), 0, h) + y
    return np.stack([across[0], down[0], across[1], down[1]])
