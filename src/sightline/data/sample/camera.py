"""The industrial camera: light field, lens, gamma and sensor noise, from planes to an 8-bit image.

Gamma is a square root: it is close to what machine-vision cameras deliver, and it turns shot noise,
whose variance grows with the light, into noise of constant deviation (Anscombe, Biometrika 1948). One
pregenerated noise tile therefore serves bright and dark areas alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sightline.data.sample.lot import Lot
from sightline.data.sample.plane import Planes, unit_grid
from sightline.data.sample.texture import Tile, grain, room

NOISE_LEVELS = 1.3
"""Deviation of the sensor noise in grey levels of 255."""


@dataclass(frozen=True)
class Light:
    """The light on one part."""

    level: float
    slope: tuple[float, float]
    """Relative change across the image, left to right and top to bottom."""
    warmth: float
    blur: float
    """Deviation of the lens blur as a fraction of the image side."""


def draw_light(rng: Generator, lot: Lot, drift: float) -> Light:
    """Light of one part: its lot's lamps, a little flicker, and the slow `drift` (0 = none)."""
    across, down = 0.035 * rng.standard_normal(2)
    return Light(
        level=lot.level * (1.0 + 0.015 * float(rng.standard_normal())) * (1.0 + drift),
        slope=(float(across), float(down)),
        warmth=lot.warmth + 0.006 * float(rng.standard_normal()),
        blur=float(rng.uniform(0.0009, 0.0016)),
    )


class Camera:
    """Turns scenes of one size into images."""

    def __init__(self, size: int) -> None:
        self._x, self._y = (axis - 0.5 for axis in unit_grid(size))
        self._vignette = 1.0 - 0.16 * (self._x**2 + self._y**2)
        self._size = size
        side = room(size)
        # A colour sensor interpolates its mosaic, so its noise is slightly soft, not white.
        noise = grain(side, side, 0.45, np.random.default_rng(20_240))
        self._noise = Tile(noise * NOISE_LEVELS, size)

    def expose(self, scene: Planes, light: Light, rng: Generator) -> NDArray[np.uint8]:
        """(3, size, size) linear scene -> (size, size, 3) uint8 RGB."""
        across, down = light.slope
        field = self._vignette * ((1.0 + across * self._x) * (1.0 + down * self._y))
        field *= light.level * 255.0**2  # the square of the white level: the root comes after
        gains = (1.0 + light.warmth, 1.0, 1.0 - light.warmth)
        sigma = light.blur * self._size
        channels = []
        for plane, gain in zip(scene, gains, strict=True):
            lit = plane * field
            lit *= gain
            if sigma > 0.2:
                lit = cv2.GaussianBlur(lit, _kernel(sigma), sigma)
            np.sqrt(np.maximum(lit, 0.0, out=lit), out=lit)
            channels.append(cv2.add(lit, self._noise.window(rng), dtype=cv2.CV_8U))
        return np.asarray(cv2.merge(channels), dtype=np.uint8)


def _kernel(sigma: float) -> tuple[int, int]:
    side = 2 * max(1, round(2.5 * sigma)) + 1
    return side, side
