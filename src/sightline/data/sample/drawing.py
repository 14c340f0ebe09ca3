"""What sample parts are drawn with: planes to paint on, anti-aliased shapes, and natural irregularity.

A scene is three separate colour planes, not interleaved pixels: every step is then one contiguous pass of numpy or
OpenCV, which is where the speed comes from. Values are linear light, 0 = black and 1 = the white of the sensor; lengths
are fractions of the image side, so that a drawing has no size.

Shapes are drawn four times too large with fractional coordinates and averaged down, so that a hair of half a pixel
comes out as a faint line instead of a jagged one. Fresh noise for each image would cost more than everything else
together; a part therefore looks through a randomly placed window at a tile drawn once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

_OVER = 4
_FRACTION_BITS = 4

Plane = NDArray[np.float32]
"""One channel, (H, W) float32."""
Planes = NDArray[np.float32]
"""Three channels, (3, H, W) float32, linear RGB."""
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
"""(n, 2) float64: x, y as fractions of the image side."""
Colour = tuple[float, float, float]
"""Linear RGB reflectance."""


@dataclass(frozen=True)
class Patch:
    """Coverage 0..1 of a shape; it lies wholly on the image."""

    top: int
    left: int
    alpha: Plane
    """(h, w) float32; h or w is 0 for a shape off the image."""

    def on(self, planes: Planes) -> Planes:
        """The view of `planes` (..., H, W) under this patch."""
        height, width = self.alpha.shape
        return planes[..., self.top : self.top + height, self.left : self.left + width]

    def paint(self, planes: Planes, colour: Colour, opacity: float = 1.0) -> None:
        """Cover the planes with a colour, in place."""
        under = self.on(planes)
        under += (opacity * self.alpha) * (column(colour) - under)

    def shade(self, planes: Planes, factor: float | Colour) -> None:
        """Multiply the light under the shape by `factor` (one number, or one per channel), in place."""
        gain = column((factor,) * 3 if isinstance(factor, float) else factor)
        under = self.on(planes)
        under *= 1.0 + self.alpha * (gain - 1.0)

    def faded(self, gain: Plane) -> Patch:
        """The same patch with its coverage multiplied by the part of `gain` (H, W) under it."""
        return Patch(self.top, self.left, self.alpha * self.on(gain))


def curve(size: int, points: Points, widths: float | Points, soft: float = 0.0, move: float = 0.0) -> Patch:
    """A line through `points`; `widths` in fractions of the side, one or one per point.

    `soft`: deviation of a blur of its edge; `move`: shift down-right, for shadows (both fractions).
    """
    thick = np.broadcast_to(np.asarray(widths, dtype=np.float64), (len(points),))
    frame = _Frame(size, points + move, float(thick.max()) + 3 * soft)
    dots = frame.fixed(points + move)
    for start, end, width in zip(dots[:-1], dots[1:], thick[:-1], strict=True):
        thickness, level = _pen(float(width) * size * _OVER)
        cv2.line(frame.paper, start.tolist(), end.tolist(), level, thickness, cv2.LINE_AA, _FRACTION_BITS)
    return frame.patch(soft)


def polygon(size: int, points: Points, soft: float = 0.0, move: float = 0.0) -> Patch:
    """A filled outline; `soft` and `move` as for `curve`."""
    frame = _Frame(size, points + move, 3 * soft)
    cv2.fillPoly(frame.paper, [frame.fixed(points + move)], 255.0, cv2.LINE_AA, _FRACTION_BITS)
    return frame.patch(soft)


def blob_outline(centre: Points, radius: float, rng: Generator, rough: float = 0.25, stretch: float = 1.0) -> Points:
    """An irregular closed outline: a circle with random harmonics, stretched in a random direction."""
    angle = np.linspace(0.0, 2 * math.pi, 72, endpoint=False)
    reach = np.ones_like(angle)
    for order in range(2, 9):
        reach += rough / order * rng.standard_normal() * np.cos(order * angle + rng.uniform(0, 2 * math.pi))
    reach = radius * np.maximum(reach, 0.25)
    long, turn = math.sqrt(stretch), rng.uniform(0, math.pi)
    x, y = reach * np.cos(angle) * long, reach * np.sin(angle) / long
    return np.stack(
        [
            centre[0] + x * math.cos(turn) - y * math.sin(turn),
            centre[1] + x * math.sin(turn) + y * math.cos(turn),
        ],
        1,
    )


def wander(start: Points, heading: float, length: float, rng: Generator, bend: float = 1.0) -> Points:
    """A smooth random path from `start`; `bend`: how many radians it typically turns on its way."""
    steps = 32
    turns = np.cumsum(rng.standard_normal(steps)) * bend / math.sqrt(steps)
    drift = rng.standard_normal() * bend * np.linspace(0, 1, steps)
    angle = heading + turns + drift
    stride = length / steps * np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.asarray(np.concatenate([start[None], start + np.cumsum(stride, 0)]), dtype=np.float64)


def between(chance: Generator, low: float, high: float) -> float:
    """A size between two bounds, small ones as likely as large ones on a scale of ratios (log-uniform)."""
    return float(math.exp(chance.uniform(math.log(low), math.log(high))))


def _pen(px: float) -> tuple[int, float]:
    """Thickness to ask OpenCV for, and grey level, that together lay down a line of this width.

    Measured: an anti-aliased line asked for at 1 px covers 1.36, at any even t it covers t + 1.41, and odd
    ones jump to the next even. The next wider pen, made fainter, then covers the right area exactly.
    """
    thickness = 1 if px <= 1.36 else 2 * math.ceil(max(px - 1.41, 1.0) / 2)
    covers = 1.36 if thickness == 1 else thickness + 1.41
    return thickness, 255.0 * px / covers


class _Frame:
    """The oversampled paper under one shape, clipped to the image."""

    def __init__(self, size: int, points: Points, margin: float) -> None:
        reach = margin * size + 2
        low = np.clip(np.floor(points.min(0) * size - reach), 0, size).astype(int)
        high = np.clip(np.ceil(points.max(0) * size + reach), 0, size).astype(int)
        self._size = size
        self._left, self._top = int(low[0]), int(low[1])
        self._width, self._height = (int(side) for side in np.maximum(high - low, 0))
        self.paper = np.zeros((max(1, self._height) * _OVER, max(1, self._width) * _OVER), np.uint8)

    def fixed(self, points: Points) -> NDArray[np.int32]:
        """Fractions of the image -> fixed-point coordinates on the paper, (n, 2) int32."""
        origin = np.array([self._left, self._top])
        paper = (points * self._size - origin) * _OVER - 0.5
        fixed: NDArray[np.int32] = np.round(paper * (1 << _FRACTION_BITS)).astype(np.int32)
        return fixed

    def patch(self, soft: float) -> Patch:
        if self._width == 0 or self._height == 0:
            return Patch(self._top, self._left, np.zeros((self._height, self._width), np.float32))
        small = cv2.resize(self.paper, (self._width, self._height), interpolation=cv2.INTER_AREA)
        alpha = coverage(np.asarray(small, dtype=np.uint8))
        if soft * self._size > 0.2:
            alpha = softened(alpha, soft * self._size)
        return Patch(self._top, self._left, alpha)


def cloud(height: int, width: int, cells: int, rng: Generator) -> Plane:
    """Smooth noise of unit deviation, `cells` bumps across the shorter side; (height, width)."""
    scale = max(1, cells) / min(height, width)
    rows, columns = (max(2, round(side * scale)) + 1 for side in (height, width))
    seeds = rng.standard_normal((rows, columns)).astype(np.float32)
    smooth = cv2.resize(seeds, (width, height), interpolation=cv2.INTER_CUBIC)
    return _unit(np.asarray(smooth, dtype=np.float32))


def grain(height: int, width: int, sigma_px: float, rng: Generator) -> Plane:
    """Blurred white noise of unit deviation; (height, width)."""
    noise = rng.standard_normal((height, width)).astype(np.float32)
    if sigma_px > 0.2:
        noise = softened(noise, sigma_px)
    return _unit(noise)


class Tile:
    """A texture larger than the image, seen through a window placed at random."""

    def __init__(self, texture: Plane, size: int) -> None:
        """`texture`: (size + room, size + room), any room >= 0."""
        self._texture = np.ascontiguousarray(texture, dtype=np.float32)
        self._room = texture.shape[0] - size
        self._size = size

    def window(self, rng: Generator) -> Plane:
        """A (size, size) view; do not write to it."""
        y, x = rng.integers(0, self._room + 1, 2)
        return self._texture[y : y + self._size, x : x + self._size]


def room(size: int) -> int:
    """Side of a tile for images of `size`: half as much again leaves windows plenty of choice."""
    return size + size // 2


def _unit(noise: Plane) -> Plane:
    noise = noise - noise.mean()
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


def unit_grid(side: int) -> tuple[Plane, Plane]:
    """x and y of the pixel centres as fractions of the side: shapes (1, side) and (side, 1)."""
    centres = ((np.arange(side) + 0.5) / side).astype(np.float32)
    return centres[None, :], centres[:, None]


def smoothstep(low: float, high: float, value: Plane) -> Plane:
    """0 below `low`, 1 above `high`, a smooth ramp between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def column(colour: Colour | Sequence[float]) -> NDArray[np.float32]:
    """A colour shaped (3, 1, 1), ready to multiply planes."""
    return np.asarray(colour, dtype=np.float32)[:, None, None]


def averaged(plane: Plane, size: int) -> Plane:
    """A square plane drawn large, averaged down to (size, size): what anti-aliases every still layer."""
    small = cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32)


def softened(plane: Plane, sigma_px: float) -> Plane:
    """Blurred by a Gaussian of this deviation."""
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_px), dtype=np.float32)


def coverage(paper: NDArray[np.uint8]) -> Plane:
    """8-bit drawing paper, 255 = covered -> 0..1."""
    return np.asarray(paper * np.float32(1 / 255), dtype=np.float32)
