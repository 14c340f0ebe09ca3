"""Natural irregularity: clouds (slow), grain (fine), and tiles that make them cheap per part.

Drawing fresh normals for each image costs more than everything else together; a part therefore looks
through a randomly placed window at a tile drawn once.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from sightline.data.sample.plane import Plane, softened


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
