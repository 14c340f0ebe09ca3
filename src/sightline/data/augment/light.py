"""Light: exposure, contrast, the curve, the tint, and light that is stronger on one side. Pixels (H, W, 3) float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

BRIGHTNESS, CONTRAST, GAMMA = 0.25, 0.25, 0.3  # largest change, as a power of e
COLOUR = 0.06  # spread of the channels' factors
UNEVEN = 0.2  # largest departure from even light


def brightness(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """More or less light: all values times one factor."""
    return np.asarray(pixels * _factor(BRIGHTNESS, strength, rng), np.float32)


def contrast(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Differences from the mean times one factor."""
    mean = pixels.mean(dtype=np.float32)
    return np.asarray(mean + (pixels - mean) * _factor(CONTRAST, strength, rng), np.float32)


def gamma(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Another curve: 255 * (value / 255) ** power."""
    power = _factor(GAMMA, strength, rng)
    return np.asarray(255 * np.power(np.clip(pixels, 0, 255) / 255, power), np.float32)


def colour(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """A cast: one factor per channel, their product 1, so that the brightness stays."""
    logs = strength * rng.normal(0, COLOUR, 3)
    return np.asarray(pixels * np.exp(logs - logs.mean()), np.float32)


def uneven(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Light that falls off to one side and from a bright spot: a smooth factor around 1."""
    high, wide = pixels.shape[:2]
    y, x = np.linspace(-1, 1, high, dtype=np.float32)[:, None], np.linspace(-1, 1, wide, dtype=np.float32)[None]
    angle, (at_x, at_y) = rng.uniform(0, 2 * np.pi), rng.uniform(-0.7, 0.7, 2).astype(np.float32)
    slope = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    spot = (x - at_x) ** 2 + (y - at_y) ** 2
    field = np.float32(rng.uniform(-1, 1)) * slope + np.float32(rng.uniform(-0.5, 0.5)) * spot
    field = field - field.mean()
    field = field / max(float(np.abs(field).max()), 1e-6)
    amount = np.float32(strength * UNEVEN * rng.uniform(0, 1))
    return np.asarray(pixels * (1 + amount * field)[..., None], np.float32)


def _factor(most: float, strength: float, rng: np.random.Generator) -> np.float32:
    return np.float32(np.exp(strength * rng.uniform(-most, most)))
