"""JPEG: what a camera or an archive leaves of a picture. Pixels (H, W, 3) float32."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError

Pixels = NDArray[np.float32]

BEST, WORST = 98, 50  # quality


def jpeg(pixels: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Compressed and read again, at a quality down to `WORST`. Raises InputError where it cannot be encoded."""
    quality = round(BEST - strength * rng.random() * (BEST - WORST))
    picture = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    if read is None:
        raise InputError(f"an image {pixels.shape} cannot be compressed as JPEG. Rule out 'jpeg', or shrink the image")
    return np.asarray(read[..., ::-1], np.float32)
