"""Blur: out of focus, or moved during the exposure. Pixels (H, W, 3) float32.

Mild on purpose: a blur that wipes a small defect out would change the label.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

DEFOCUS, DEFOCUS_LEAST_PX = 0.003, 1.2  # largest radius: as a share of the shorter side, and at least
MOTION, MOTION_LEAST_PX = 0.006, 2.5  # largest way
FINE = 8  # steps per px that kernels are drawn in


def defocus(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Every point becomes a disc."""
    radius = strength * rng.random() * max(DEFOCUS_LEAST_PX, DEFOCUS * min(pixels.shape[:2]))
    side = 2 * int(np.ceil(max(radius - 0.5, 0))) + 1
    at = (np.arange(side * FINE) + 0.5) / FINE - side / 2
    # A disc of half a px lies within its own pixel and leaves the picture as it is.
    return _filtered(pixels, np.hypot(at[:, None], at[None]) <= max(radius, 0.5), side)


def motion(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Every point becomes a short, thin straight line."""
    length = strength * rng.random() * max(MOTION_LEAST_PX, MOTION * min(pixels.shape[:2]))
    side, angle = 2 * int(np.ceil((length + 1) / 2)) + 1, rng.uniform(0, np.pi)
    at = (np.arange(side * FINE) + 0.5) / FINE - side / 2
    y, x = at[:, None], at[None]
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    # A line shorter than a px lies within its own pixel and leaves the picture as it is.
    return _filtered(pixels, (np.abs(along) <= length / 2 + 1 / FINE) & (np.abs(across) <= 1 / FINE), side)


def _filtered(pixels: Pixels, fine: NDArray[np.bool_], side: int) -> Pixels:
    """Pixels filtered by a kernel (side, side) that is drawn `FINE` times finer."""
    kernel = fine.reshape(side, FINE, side, FINE).mean(axis=(1, 3))
    weights = (kernel / kernel.sum()).astype(np.float32)
    return np.asarray(cv2.filter2D(pixels, -1, weights, borderType=cv2.BORDER_REFLECT_101), np.float32)
