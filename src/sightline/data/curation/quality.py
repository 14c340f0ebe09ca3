"""Measures of a photograph: brightness, contrast, sharpness, direction of its edges, clipping, glare.

None of them means anything alone: what is sharp or bright depends on the product. They are compared within a set.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.runtime.image import Image

MAX_PX = 4_000_000  # a larger image is measured on a copy: blur that matters is seen there, too
BLACK, WHITE = 2, 253  # grey values that a sensor gives when it is under or over its range
GLARE = 250  # all colours above: a mirror of the lamp, not a light colour
GLARE_PX = 5  # a glare spot is at least this wide at 512 px; single white pixels are noise or texture

MEASURES = ("brightness", "contrast", "sharpness", "along_x", "along_diagonal", "dark", "bright", "glare")


def measure(image: Image) -> NDArray[np.float32]:
    """The measures (8,) float32 of an RGB image, in the order of MEASURES.

    Brightness and contrast are the mean and the standard deviation of grey, 0..255. Sharpness is the logarithm of
    the Laplacian's variance over grey's (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy").
    The two directions are the structure tensor's: (xx - yy) / (xx + yy) and 2 xy / (xx + yy), each -1..1, so that
    a movement along x, which takes the gradients along x, lowers the first. Dark, bright and glare are shares 0..1.
    """
    image = _small_enough(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    values = grey.astype(np.float32)
    mean, deviation = float(values.mean()), float(values.std())
    # A slight smoothing first: sensor noise is sharp, too.
    smooth = cv2.GaussianBlur(values, (0, 0), 0.8)
    laplacian = float(cv2.Laplacian(smooth, cv2.CV_32F).var())
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    xx, yy, xy = float((dx * dx).mean()), float((dy * dy).mean()), float((dx * dy).mean())
    whole = xx + yy + 1e-6
    return np.array(
        [
            *(mean, deviation, np.log((laplacian + 0.05) / (deviation**2 + 1.0))),
            *((xx - yy) / whole, 2 * xy / whole),
            *(float((grey <= BLACK).mean()), float((grey >= WHITE).mean()), _glare(image)),
        ],
        np.float32,
    )


def _small_enough(image: Image) -> Image:
    height, width = image.shape[:2]
    factor = (MAX_PX / (height * width)) ** 0.5
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _glare(image: Image) -> float:
    """Share of the image under saturated spots that are wide enough to be a mirror of a lamp."""
    full = (image.min(axis=2) >= GLARE).astype(np.uint8)
    if not full.any():
        return 0.0
    side = max(3, round(GLARE_PX * max(image.shape[:2]) / 512))
    return float(cv2.morphologyEx(full, cv2.MORPH_OPEN, np.ones((side, side), np.uint8)).mean())
