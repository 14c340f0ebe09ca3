"""A view: the surroundings of one point of an image, as a small square picture."""

from __future__ import annotations

import cv2
import numpy as np

from sightline.runtime.image import Image

OUTSIDE = (225, 225, 225)


def view_of(image: Image, centre: tuple[float, float], side: int, to_px: int) -> Image:
    """The square of `side` px around `centre` (x, y) px of an image (H, W, 3), as (to_px, to_px, 3) uint8.

    What lies outside the image is a light grey.
    """
    left, top = round(centre[0] - side / 2), round(centre[1] - side / 2)
    framed = cv2.copyMakeBorder(
        image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)],
        max(0, -top),
        max(0, top + side - image.shape[0]),
        max(0, -left),
        max(0, left + side - image.shape[1]),
        cv2.BORDER_CONSTANT,
        value=OUTSIDE,
    )
    method = cv2.INTER_AREA if to_px < side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(framed, (to_px, to_px), interpolation=method), np.uint8)
