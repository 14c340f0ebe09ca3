"""Planes: the arrays the renderer paints on, and the unit coordinates it paints in.

A scene is three separate colour planes, not interleaved pixels: every step is then one contiguous
pass of numpy or OpenCV, which is where the speed comes from. Values are linear light, 0 = black and
1 = the white of the sensor; lengths are fractions of the image side, so that a drawing has no size.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""One channel, (H, W) float32."""
Planes = NDArray[np.float32]
"""Three channels, (3, H, W) float32, linear RGB."""
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
"""(n, 2) float64: x, y as fractions of the image side."""
Colour = tuple[float, float, float]
"""Linear RGB reflectance."""


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
