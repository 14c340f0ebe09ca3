"""Where a part lies in a picture that a person takes by hand: what differs from the plain ground around it.

The threshold is Otsu's (N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on
Systems, Man, and Cybernetics 9 (1979) 62-66), on the distance from the ground's colour.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.imaging.image import Image

LONG_SIDE_PX = 320  # of the picture that is looked at
RING = 0.05  # of the sides: what lies so near to the picture's border is the ground
LIGHTNESS = 0.6  # weight of a difference in lightness beside one in colour: shadows are dark, and no part
LEAST_DISTANCE = 10.0  # of 8-bit CIELAB: less is noise and uneven light
NOISE = 1.3  # times the distance that 95 of 100 pixels of the ground stay below; of the four sides', the median
LEAST_AREA = 0.003  # of the picture: less is a crumb
SPAN = 0.98  # of a side of the picture: what is as long is no part
ALIKE = 0.3  # of the largest part's area: from here on, something else in the picture is a part of its own


@dataclass(frozen=True)
class PartOutline:
    """A part in a picture: `contour` (K, 2) int32 px, `box` (x, y, width, height) px, and whether the picture's border
    cuts it off.
    """

    contour: NDArray[np.int32] = field(repr=False)
    box: tuple[int, int, int, int]
    is_cut: bool


def find_parts(image: Image) -> tuple[PartOutline, ...]:
    """Parts on a plain ground in an image (H, W, 3) uint8 RGB, the largest first; what is much smaller is left out."""
    high, wide = image.shape[:2]
    shrink = min(1.0, LONG_SIDE_PX / max(high, wide))
    size = max(8, round(wide * shrink)), max(8, round(high * shrink))
    distance = _from_ground(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8))
    parts: tuple[PartOutline, ...] = ()
    # Light along a side, or a tray's rim, may join a part to what spans the picture: then the part is looked for by the
    # higher limit. Not so where a part alone is cut off: that limit may miss its paler half, and the rest seem whole.
    for limit in _limits(distance):
        parts = _beyond(distance, limit, (wide, high))
        if not any(part.is_cut and (part.box[2] > SPAN * wide or part.box[3] > SPAN * high) for part in parts):
            break
    return parts


def _beyond(distance: NDArray[np.float32], limit: float, whole: tuple[int, int]) -> tuple[PartOutline, ...]:
    """What is further from the ground than a limit, in px of the `whole` picture (w, h)."""
    round_3, round_9 = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (px, px)) for px in (3, 9))
    mask = cv2.morphologyEx((distance > limit).astype(np.uint8), cv2.MORPH_OPEN, round_3)
    found, _ = cv2.findContours(
        cv2.morphologyEx(mask, cv2.MORPH_CLOSE, round_9), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    areas = [cv2.contourArea(contour) for contour in found]
    least = max(ALIKE * max(areas, default=0.0), LEAST_AREA * distance.size)
    order = sorted((index for index, area in enumerate(areas) if area >= least), key=lambda index: -areas[index])
    size = distance.shape[1], distance.shape[0]
    return tuple(_part(np.asarray(found[index], np.int32), size, whole) for index in order)


def _from_ground(small: Image) -> NDArray[np.float32]:
    """Distance (h, w) of each pixel's colour from the colour of the ground, in units of 8-bit CIELAB."""
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (3, 3), 0), cv2.COLOR_RGB2LAB).astype(np.float32)
    steps = lab - np.median(lab[_ring(lab.shape[:2])], axis=0)
    steps[..., 0] *= LIGHTNESS
    return np.asarray(np.sqrt((steps**2).sum(axis=2)), np.float32)


def _margins(size: tuple[int, ...]) -> tuple[int, int]:
    return max(2, round(RING * size[0])), max(2, round(RING * size[1]))


def _ring(size: tuple[int, ...]) -> NDArray[np.bool_]:
    ring = np.ones(size[:2], np.bool_)
    high, wide = _margins(size)
    ring[high:-high, wide:-wide] = False
    return ring


def _limits(distance: NDArray[np.float32]) -> tuple[float, float]:
    """Distances from the ground beyond which a part is: the lower one for all of it, and the surer one."""
    levels = np.clip(np.rint(distance), 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    high, wide = _margins(distance.shape)
    sides = distance[:high], distance[-high:], distance[:, :wide], distance[:, -wide:]
    noise = NOISE * float(np.median([np.percentile(side, 95) for side in sides]))
    # A part that covers some of the ring does not raise the limit above the parts themselves.
    least = max(LEAST_DISTANCE, min(noise, 2 * otsu))
    return max(least, 0.5 * otsu), max(least, otsu)


def _part(contour: NDArray[np.int32], size: tuple[int, int], whole: tuple[int, int]) -> PartOutline:
    x, y, w, h = cv2.boundingRect(contour)
    is_cut = x <= 1 or y <= 1 or x + w >= size[0] - 1 or y + h >= size[1] - 1
    across, down = whole[0] / size[0], whole[1] / size[1]
    slim = cv2.approxPolyDP(contour, 0.6, True).reshape(-1, 2)
    large = np.rint((slim + 0.5) * (across, down) - 0.5).astype(np.int32)  # a pixel's place is that of its centre
    return PartOutline(large, (round(x * across), round(y * down), round(w * across), round(h * down)), is_cut)
