"""What cameras do to a picture: light, colour, blur, sensor noise and JPEG. Pixels (H, W, 3) float32.

Blur is mild on purpose: one that wipes a small defect out would change the label.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError

Pixels = NDArray[np.float32]

BRIGHTNESS, CONTRAST, GAMMA = 0.25, 0.25, 0.3  # largest change, as a power of e
COLOUR = 0.06  # deviation of the channels' factors
UNEVEN = 0.2  # largest departure from even light
DEFOCUS, DEFOCUS_MIN_PX = 0.003, 1.2  # largest radius: as a share of the shorter side, and at least
MOTION, MOTION_MIN_PX = 0.006, 2.5  # largest length, likewise
FINE = 8  # steps per px that blur kernels are drawn in
READING = 5.0  # largest deviation of the noise, grey values
PHOTONS = 4.0  # largest deviation at white
BEST, WORST = 98, 50  # JPEG quality


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


def defocus(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Every point becomes a disc."""
    radius = strength * rng.random() * max(DEFOCUS_MIN_PX, DEFOCUS * min(pixels.shape[:2]))
    side = 2 * int(np.ceil(max(radius - 0.5, 0))) + 1
    at = (np.arange(side * FINE) + 0.5) / FINE - side / 2
    # A disc of half a px lies within its own pixel and leaves the picture as it is.
    return _filtered(pixels, np.hypot(at[:, None], at[None]) <= max(radius, 0.5), side)


def motion(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Every point becomes a short, thin straight line."""
    length = strength * rng.random() * max(MOTION_MIN_PX, MOTION * min(pixels.shape[:2]))
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


def noise(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Independent in every pixel and channel: reading noise, and photon noise that grows with the light."""
    reading, photons = strength * rng.uniform(0, [READING, PHOTONS])
    deviation = np.sqrt(np.float32(reading**2) + np.float32(photons**2 / 255) * np.clip(pixels, 0, 255))
    return np.asarray(pixels + deviation * rng.standard_normal(pixels.shape, np.float32), np.float32)


def jpeg(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Compressed and read again, at a quality down to `WORST`. Raises InputError where it cannot be encoded."""
    quality = round(BEST - strength * rng.random() * (BEST - WORST))
    picture = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if read is None:
        raise InputError(f"an image {pixels.shape} cannot be compressed as JPEG. Rule out 'jpeg', or shrink the image")
    return np.asarray(read[..., ::-1], np.float32)
