"""Noise of a sensor: reading noise, and photon noise that grows with the light. Pixels (H, W, 3) float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

READING = 5.0  # largest spread, grey values
PHOTONS = 4.0  # largest spread at white


def noise(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Independent in every pixel and channel."""
    reading, photons = strength * rng.uniform(0, [READING, PHOTONS])
    spread = np.sqrt(np.float32(reading**2) + np.float32(photons**2 / 255) * np.clip(pixels, 0, 255))
    return np.asarray(pixels + spread * rng.standard_normal(pixels.shape, np.float32), np.float32)
