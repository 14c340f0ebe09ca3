"""Measures of a photograph: brightness, contrast, sharpness, detail by direction, clipping, glare.

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

DETAIL = ("detail_0", "detail_45", "detail_90", "detail_135")  # degrees from x, downwards
MEASURES = ("brightness", "contrast", "sharpness", *DETAIL, "dark", "bright", "glare")
FINE, COARSE = 0.8, 3.2  # sigmas in px; below the first, sensor noise would count as detail


def measure(image: Image) -> NDArray[np.float32]:
    """The measures (10,) float32 of an RGB image, in the order of MEASURES.

    Brightness is the median of grey, contrast the distance of its quartiles, 0..255: a defect that covers
    a little of the part moves neither. Sharpness is the logarithm of
    the Laplacian's variance over grey's (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy").
    Detail is, for each direction, the logarithm of fine over coarse gradient energy (structure tensors at two scales):
    a movement along x takes the fine gradients along x and leaves those along y. Dark, bright and glare are shares
    0..1.
    """
    image = _small_enough(image)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    values = grey.astype(np.float32)
    deviation = float(values.std())
    below = np.cumsum(np.bincount(grey.ravel(), minlength=256)) / grey.size
    lower, middle, upper = (float(np.searchsorted(below, share)) for share in (0.25, 0.5, 0.75))
    smooth = cv2.GaussianBlur(values, (0, 0), FINE)
    laplacian = float(cv2.Laplacian(smooth, cv2.CV_32F).var())
    coarse = np.asarray(cv2.GaussianBlur(values, (0, 0), COARSE), np.float32)
    detail = np.log((_energies(np.asarray(smooth, np.float32)) + 0.05) / (_energies(coarse) + 0.05))
    return np.array(
        [
            *(middle, upper - lower, np.log((laplacian + 0.05) / (deviation**2 + 1.0)), *detail),
            *(float((grey <= BLACK).mean()), float((grey >= WHITE).mean()), _glare(image)),
        ],
        np.float32,
    )


def _energies(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean squared gradient along 0, 45, 90 and 135 degrees."""
    dx, dy = cv2.Sobel(values, cv2.CV_32F, 1, 0), cv2.Sobel(values, cv2.CV_32F, 0, 1)
    xx, yy, xy = float((dx * dx).mean()), float((dy * dy).mean()), float((dx * dy).mean())
    return np.array([xx, (xx + yy) / 2 + xy, yy, (xx + yy) / 2 - xy])


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
