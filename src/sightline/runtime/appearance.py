"""How a picture looks, whatever it shows: light, colour, sharpness, and where things lie; a few numbers for each part.

The line measures every part, and `sightline.improve` judges the stream: a drift of these numbers names its cause. The
measures are of the recipe's input before the graph sees it; borders do not count. They cost less than a millisecond.

Sources: noise, J. Immerkaer, "Fast Noise Variance Estimation", Computer Vision and Image Understanding 64 (1996)
300-302; geometry, the inverse compositional form of Lucas and Kanade's registration (S. Baker and I. Matthews,
"Lucas-Kanade 20 Years On", International Journal of Computer Vision 56 (2004) 221-255), whose matrix is made once.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import MEASURES, PLACES, REFERENCE_PX
from sightline.imaging.image import Image

Small = NDArray[np.float32]

FINE_PX = 512  # of the middle of a large picture: what is fine is measured there, the rest on the whole
ROUNDS = 4  # of the registration; each brings the small picture nearer to the reference
FARTHEST = 0.25  # of the longest side, of a full turn's radian and of the scale: beyond, nothing was registered
RIDGE = 1e-4  # of the largest entry: a picture without structure in some direction says nothing about it
LEAST = 0.05  # grey levels: finer differences are rounding
LEVEL = 100.0  # a place as bright as the whole picture
DIGITS = 4
SECOND = np.array([1, -2, 1], np.float32)  # difference; across and then down, blind to straight edges


@dataclass(frozen=True)
class Look:
    """What is measured without a reference: `photometry` are the first six of `MEASURES`; `small` (h, w) uint8 is the
    picture in grey, its longest side 64 px.
    """

    photometry: tuple[float, ...]
    small: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True)
class Appearance:
    """A picture's measures, in the order of `core.card.MEASURES`, and how bright each place of a 10 x 10 grid is.

    `places` (10, 10) uint8 are 100 where a place is as bright as the whole picture; row by row from the top left.
    """

    measures: tuple[float, ...]
    places: NDArray[np.uint8] = field(repr=False)

    def to_json(self) -> dict[str, object]:
        """As it is recorded."""
        return {
            "measures": [round(value, DIGITS) for value in self.measures],
            "places": base64.b64encode(self.places.tobytes()).decode(),
        }


class Reference:
    """The small picture (h, w) that others are registered to: the mean of the good parts of the training."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        high, wide = picture.shape
        self._size = (wide, high)
        self._picture = _smooth(picture.astype(np.float32))
        self._inverse = _registration(self._picture)

    @classmethod
    def of(cls, png: str) -> Reference:
        """From a card's picture: PNG in base64. Raises ValueError where it is none."""
        data = np.frombuffer(base64.b64decode(png, validate=True), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise ValueError("the reference picture of the appearance cannot be decoded")
        return cls(np.asarray(picture, np.uint8))

    def pose(self, small: NDArray[np.uint8]) -> tuple[float, float, float, float]:
        """How a small picture lies beside the reference: shift to the right and down in % of the longest side, turn in
        degrees (clockwise as it is seen), and how much larger it is, in %.
        """
        wide, high = self._size
        seen = _smooth(np.asarray(cv2.resize(small, self._size, interpolation=cv2.INTER_AREA), np.float32))
        centre, motion = np.array([(wide - 1) / 2, (high - 1) / 2]), np.zeros(4)
        for number in range(ROUNDS):
            moved = seen if number == 0 else _moved(seen, motion, centre)
            motion = motion + (self._inverse @ (moved - self._picture).ravel())[:4]
            if not np.all(np.isfinite(motion)) or np.abs(motion / [wide, high, 1, 1]).max() > FARTHEST:
                motion = np.clip(np.nan_to_num(motion), *_bounds(wide, high))
                break
        x, y, turn, scale = motion.tolist()
        side = max(wide, high) / 100
        return x / side, y / side, math.degrees(turn), 100 * scale


def look(picture: Image, inner: tuple[int, int, int, int] | None = None) -> Look:
    """Look at a recipe's input (H, W, 3) uint8 RGB; `inner` (x, y, width, height) px is where the image lies in it."""
    if inner is not None:
        x, y, w, h = inner
        picture = picture[y : y + h, x : x + w]
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    means, deviations = cv2.meanStdDev(grey)
    red, green, blue, _ = cv2.mean(picture)
    mean = float(means[0, 0]) + 1.0
    fine = _middle(grey)
    energy, coarse = _gradient(fine), _gradient(_reduced(fine, 4))
    rough = cv2.norm(cv2.sepFilter2D(fine, cv2.CV_16S, SECOND, SECOND), cv2.NORM_L1)
    noise = math.sqrt(math.pi / 2) / 6 * rough / fine.size
    photometry = (
        math.log(mean),
        float(deviations[0, 0]) / mean,
        math.log((energy + LEAST) / (coarse + LEAST)),
        math.log((noise + LEAST) / mean),
        math.log((red + 1) / (green + 1)),
        math.log((blue + 1) / (green + 1)),
    )
    side = max(grey.shape)
    size = tuple(max(4, round(length * REFERENCE_PX / side)) for length in grey.shape[::-1])
    return Look(photometry, np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8))


def measure(seen: Look, reference: Reference | None) -> Appearance:
    """All measures; without a reference, the picture is said to lie where it should."""
    pose = (0.0, 0.0, 0.0, 0.0) if reference is None else reference.pose(seen.small)
    cells = cv2.resize(seen.small.astype(np.float32), (PLACES, PLACES), interpolation=cv2.INTER_AREA)
    levels = np.rint((cells + 1) * LEVEL / (float(seen.small.mean()) + 1))
    found = (*seen.photometry, *pose)
    assert len(found) == len(MEASURES)
    return Appearance(found, np.clip(levels, 0, 255).astype(np.uint8))


def mean_picture(looks: Sequence[Look]) -> str:
    """The reference of several looks (at least one): the mean of their small pictures, as PNG in base64."""
    size = looks[0].small.shape[::-1]
    total = np.zeros(size[::-1])
    for one in looks:
        total += cv2.resize(one.small.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".png", np.clip(np.rint(total / len(looks)), 0, 255).astype(np.uint8))
    return base64.b64encode(data.tobytes()).decode()


def _middle(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    high, wide = grey.shape
    top, left = max(0, high - FINE_PX) // 2, max(0, wide - FINE_PX) // 2
    return grey[top : top + FINE_PX, left : left + FINE_PX]


def _reduced(grey: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    size = tuple(max(2, length // factor) for length in grey.shape[::-1])
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _gradient(grey: NDArray[np.uint8]) -> float:
    """Mean squared difference of neighbours."""
    across = cv2.norm(grey[:, 1:], grey[:, :-1], cv2.NORM_L2SQR)
    down = cv2.norm(grey[1:], grey[:-1], cv2.NORM_L2SQR)
    return (across + down) / (2 * grey.size)


def _smooth(small: Small) -> Small:
    return np.asarray(cv2.GaussianBlur(small, (5, 5), 1.2), np.float32)


def _registration(picture: Small) -> NDArray[np.float32]:
    """The matrix (6, pixels) that turns a difference from the picture into shift, turn, scale, gain and offset.

    Gain and offset are solved for so that another light is not taken for a motion.
    """
    high, wide = picture.shape
    dx = cv2.Sobel(picture, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
    dy = cv2.Sobel(picture, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
    y, x = np.mgrid[:high, :wide].astype(np.float32)
    x, y = x - (wide - 1) / 2, y - (high - 1) / 2
    # What is seen at a place was, before a motion by (a, b), at the place less (a, b): hence the signs.
    steps = [-dx, -dy, y * dx - x * dy, -(x * dx + y * dy), picture - picture.mean(), np.ones_like(picture)]
    columns = np.stack([step.ravel() for step in steps], axis=1).astype(np.float64)
    lengths = np.maximum(np.linalg.norm(columns, axis=0), 1e-6)
    unit = columns / lengths
    inverse = np.linalg.solve(unit.T @ unit + RIDGE * np.eye(6), unit.T) / lengths[:, None]
    return np.asarray(inverse, np.float32)


def _moved(seen: Small, motion: NDArray[np.float64], centre: NDArray[np.float64]) -> Small:
    """The picture with a motion (x, y, turn, scale) taken out."""
    x, y, turn, scale = motion
    cos, sin = (1 + scale) * math.cos(turn), (1 + scale) * math.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]])
    warp = np.column_stack([linear, centre + np.array([x, y]) - linear @ centre])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(seen, warp, seen.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _bounds(wide: int, high: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    most = FARTHEST * np.array([wide, high, 1, 1])
    return -most, most
