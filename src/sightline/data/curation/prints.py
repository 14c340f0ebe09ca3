"""What is kept of a picture to find it again: a perceptual hash and a small grey copy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.runtime.image import Image

THUMB_PX = 64
HASH_SIDE = 8  # signs of the grey gradients of an 8 x 8 grid in both directions: 128 bits


def thumb(image: Image, side: int = THUMB_PX) -> NDArray[np.uint8]:
    """The grey copy (side, side) uint8 of an RGB image, stretched to a square."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    way = cv2.INTER_AREA if min(grey.shape) >= side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (side, side), interpolation=way), np.uint8)


def difference_hash(small: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The dHash (2,) uint64 of a grey copy: one bit for each horizontal and each vertical step up.

    After N. Krawetz, "Kind of Like That", 2013. Light and JPEG move few bits, a crop moves many.
    """
    side = HASH_SIDE + 1
    grid = cv2.resize(small, (side, side), interpolation=cv2.INTER_AREA).astype(np.int16)
    signs = np.stack([np.diff(grid[:-1], axis=1) > 0, np.diff(grid[:, :-1], axis=0) > 0]).reshape(2, -1)
    return np.packbits(signs, axis=1).view(np.uint64).ravel()
