"""Perlin's gradient noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def perlin(shape: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise (H, W) float32 in -1..1, zero at the corners of a grid of `cells` (rows, columns) over the picture.

    A random unit gradient at every corner, their ramps blended by 6t^5 - 15t^4 + 10t^3 (Perlin, Improving Noise,
    SIGGRAPH 2002), times the square root of 2, which is the inverse of the largest value.
    """
    angles = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1)).astype(np.float32)
    gradients = np.stack([np.sin(angles), np.cos(angles)])
    y, x = (np.arange(side, dtype=np.float32) / np.float32(side) * n for side, n in zip(shape, cells, strict=True))
    row, column = y.astype(int), x.astype(int)
    v, u = (y - row)[:, None], (x - column)[None]
    blend_v, blend_u = v**3 * (v * (6 * v - 15) + 10), u**3 * (u * (6 * u - 15) + 10)

    def ramp(down: int, right: int) -> NDArray[np.float32]:
        rise_y, rise_x = gradients[:, row[:, None] + down, column[None] + right]
        return np.asarray(rise_y * (v - down) + rise_x * (u - right), np.float32)

    upper = ramp(0, 0) + blend_u * (ramp(0, 1) - ramp(0, 0))
    lower = ramp(1, 0) + blend_u * (ramp(1, 1) - ramp(1, 0))
    return np.asarray(np.sqrt(2) * (upper + blend_v * (lower - upper)), np.float32)
