"""Where the part is on its picture, and how deep inside it a place lies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.synthetic.painters import PART_SHARES, RIM_DEVIATIONS, VISIBLE, Synthetic
from sightline.imaging.image import Image

SIDE_PX = 256  # the longer side that is looked at
RIM_SHARE = 0.04  # of the shorter side
STEADY = 24.0  # grey values: a rim that spreads more is no even background


@dataclass(frozen=True)
class Ground:
    """The part (H, W) bool; depth (H, W) float32, 0 at its edge to 1 at its deepest; whether it has a background.

    Where nothing stands out from the picture's rim, the part fills the picture, and the picture's border is its edge.
    """

    part: NDArray[np.bool_]
    depth: NDArray[np.float32]
    stands_out: bool

    @classmethod
    def of(cls, part: NDArray[np.bool_], stands_out: bool) -> Ground:
        """The ground of a known part (H, W) bool; without a background, its edge is the picture's border."""
        # A part that reaches beyond the picture has no edge there; one that fills it has its edge there.
        padded = np.pad(part.astype(np.uint8), 1, mode="edge") if stands_out else np.pad(part.astype(np.uint8), 1)
        depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3), np.float32)[1:-1, 1:-1]
        return cls(part, depth / max(float(depth.max()), 1e-6), stands_out)

    def outward(self, x: float, y: float) -> float:
        """The direction to the nearest edge at a place in px, radians: where depth falls fastest."""
        reach = max(2, min(self.depth.shape) // 32)
        rows = np.clip([round(y) - reach, round(y) + reach], 0, self.depth.shape[0] - 1)
        columns = np.clip([round(x) - reach, round(x) + reach], 0, self.depth.shape[1] - 1)
        middle = int(np.clip(round(y), *rows)), int(np.clip(round(x), *columns))
        fall_y = float(self.depth[rows[0], middle[1]] - self.depth[rows[1], middle[1]])
        fall_x = float(self.depth[middle[0], columns[0]] - self.depth[middle[0], columns[1]])
        return float(np.arctan2(fall_y, fall_x))


def survey(image: Image) -> Ground:
    """The ground of an image (H, W, 3) uint8."""
    high, wide = image.shape[:2]
    factor = min(1.0, SIDE_PX / max(high, wide))
    size = (max(8, round(wide * factor)), max(8, round(high * factor)))
    found = _standing_out(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
    if found is None:
        return Ground.of(np.ones((high, wide), bool), False)
    return Ground.of(np.asarray(cv2.resize(found.astype(np.float32), (wide, high))) > 0.5, True)


def _standing_out(small: Image) -> NDArray[np.uint8] | None:
    """What differs from an even rim, without holes and specks (h, w); None where no part stands out."""
    width = max(2, round(RIM_SHARE * min(small.shape[:2])))
    inner = np.zeros(small.shape[:2], bool)
    inner[width:-width, width:-width] = True
    rim = small[~inner].astype(np.float32)
    centre = np.median(rim, axis=0)
    std = 1.4826 * np.median(np.abs(rim - centre), axis=0)
    if std.max() > STEADY:
        return None
    far = (np.abs(small.astype(np.float32) - centre) / np.maximum(std, 4.0)).max(axis=2)
    specks = cv2.morphologyEx((far > RIM_DEVIATIONS).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.asarray(specks, np.uint8), connectivity=8)
    if count < 2:
        return None
    largest = int(stats[1:, cv2.CC_STAT_AREA].max())
    large = np.isin(labels, [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] > 0.1 * largest])
    outlines, _ = cv2.findContours(large.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    part = np.zeros(small.shape[:2], np.uint8)
    cv2.drawContours(part, outlines, -1, 1, -1)
    return part if PART_SHARES[0] < float(part.mean()) < PART_SHARES[1] else None


def marked(before: Image, after: Image, where: NDArray[np.bool_], kind: str) -> Synthetic | None:
    """The changed image with its mask: what was meant (H, W) bool and visibly changed; None where hardly any did."""
    changed = np.abs(after.astype(np.int16) - before).max(axis=2) > VISIBLE
    closed = cv2.morphologyEx((changed & where).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    mask = np.asarray(closed > 0) & where
    return Synthetic(after, mask, kind) if mask.sum() >= max(4, 0.3 * where.sum()) else None
