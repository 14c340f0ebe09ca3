"""Boxes that people drew, as the box head learns them: in px of the recipe's input."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.region import Rectangle
from sightline.core.sample import Sample
from sightline.runtime.alignment import Warp
from sightline.runtime.placement import Placement
from sightline.train.labels import Vocabulary

SEEN = 0.4  # of a box that must still be in the picture after a move, else it is nobody's


@dataclass(frozen=True)
class DrawnBoxes:
    """`corners` (n, 4) float32: left, top, right, bottom in px of the input; `types` (n,) int64: their numbers."""

    corners: NDArray[np.float32]
    types: NDArray[np.int64]

    def mirrored(self, width: int) -> DrawnBoxes:
        """The same on the mirror image of an input so many px wide."""
        left, top, right, bottom = self.corners.T
        return DrawnBoxes(np.stack([width - right, top, width - left, bottom], 1), self.types)

    def moved(self, matrix: NDArray[np.float64], size: tuple[int, int]) -> DrawnBoxes:
        """The same after a move, `matrix` (3, 3) over pixels' middles, cut to the picture's `size` (H, W)."""
        ends = _ends(self.corners.astype(np.float64)) - 0.5
        hulls = _hulls(ends @ matrix[:2, :2].T + matrix[:2, 2] + 0.5)
        cut = np.clip(hulls, 0, np.array([size[1], size[0], size[1], size[0]]))
        some = _areas(cut) >= SEEN * _areas(hulls)
        return DrawnBoxes(cut[some].astype(np.float32), self.types[some])


def boxes_on_input(
    sample: Sample, placement: Placement, words: Vocabulary, warp: Warp | None = None
) -> DrawnBoxes | None:
    """The sample's boxes; of a good part none, wherever it lies; None where nobody has drawn all of a defect's.

    `warp` (2, 3) takes px of the aligned image to those that people marked, where there is one.
    """
    drawn = [region for region in sample.regions if region.type in words.types]
    if sample.defective is None or (
        sample.defective and not (drawn and all(isinstance(region.shape, Rectangle) for region in drawn))
    ):
        return None
    drawn = drawn if sample.defective else []
    types = np.array([words.types.index(region.type) for region in drawn], np.int64)
    boxes = np.array([region.box for region in drawn], np.float64).reshape(-1, 4)
    return DrawnBoxes(input_corners(boxes, placement, warp).astype(np.float32), types)


def input_corners(boxes: NDArray[np.float64], placement: Placement, warp: Warp | None = None) -> NDArray[np.float64]:
    """Boxes (n, 4) x, y, width, height in px of the file -> left, top, right, bottom in px of the input."""
    ends = _ends(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]))
    if warp is not None:
        back = cv2.invertAffineTransform(warp)
        ends = ends @ back[:, :2].T + back[:, 2]
    left, top, inner_w, inner_h = placement.inner
    crop_x, crop_y, crop_w, crop_h = placement.crop
    return _hulls((ends - (crop_x, crop_y)) * (inner_w / crop_w, inner_h / crop_h) + (left, top))


def _ends(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Left, top, right, bottom (n, 4) -> the four ends (n, 4, 2) of each box."""
    left, top, right, bottom = corners.T
    return np.stack([np.stack([x, y], 1) for x in (left, right) for y in (top, bottom)], 1)


def _hulls(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hstack([ends.min(1), ends.max(1)])


def _areas(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.prod(corners[:, 2:] - corners[:, :2], axis=1))
