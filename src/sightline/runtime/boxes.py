"""From the box head's answers to boxes on the image: the surest of each place and type.

Suppression is soft (N. Bodla et al., "Soft-NMS: Improving object detection with one line of code", ICCV 2017): the more
a box lies under surer ones, the less it counts, instead of being kept whole below one overlap and dropped above it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.result import Box
from sightline.runtime.placement import Placement

LEAST_SCORE = 0.05
MOST_CELLS, MOST_BOXES = 200, 100  # of a type that are looked at, and of an image that are kept
FADE = 0.5  # a box's score falls by exp(-IoU^2 / FADE) for each surer one of its type (soft suppression)
FINE = 2**14  # whole steps along an image's side in which boxes are compared: areas stay within 31 bits

Floats = NDArray[np.float32]


def read_boxes(scores: Floats, corners: Floats, names: Sequence[str], placement: Placement) -> tuple[Box, ...]:
    """Scores (K, cells) and corners (4, cells) in px of the input -> boxes on the image, the surest first.

    A cell whose numbers are not finite is passed over. The score is what is left of a cell's once surer boxes of its
    type that overlap have taken their share.
    """
    ends = _on_image(corners, placement)
    sized = np.concatenate([ends[:2], ends[2:] - ends[:2]])
    fine = np.isfinite(sized).all(0) & (sized[2:] > 0).all(0)
    steps, found = FINE / max(placement.image_size), []
    for name, share in zip(names, scores, strict=True):
        sure = np.flatnonzero(fine & (share > LEAST_SCORE))
        sure = sure[np.argsort(-share[sure], kind="stable")][:MOST_CELLS]
        if not len(sure):
            continue
        boxes = sized[:, sure].T
        whole = np.rint(boxes * steps).astype(int).tolist()
        left, kept = cv2.dnn.softNMSBoxes(whole, share[sure].astype(float).tolist(), LEAST_SCORE, 0.0, sigma=FADE)
        found += [
            Box(name, float(score), tuple(boxes[index].tolist()))
            for score, index in zip(np.ravel(left), np.ravel(kept), strict=True)
        ]
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
