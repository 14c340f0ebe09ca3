"""Heat maps and masks at one size, made on the fly for pixel metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.evaluate.curve import Pair
from sightline.evaluate.inspected import Inspected
from sightline.runtime.image import read_mask

LONGEST = 1024  # px; heat is coarser than this by far, and pixel metrics stay affordable


def usable_mask(mask: Path, size: tuple[int, int]) -> str | None:
    """None where the mask fits an image of `size` (height, width) px, else what is wrong with it."""
    try:
        marked = read_mask(mask)
    except (InputError, OSError) as error:
        return f"{error}"
    if marked.shape != size:
        (mask_height, mask_width), (height, width) = marked.shape, size
        return (
            f"The mask {mask} is {mask_width} x {mask_height} px but its image is {width} x {height} px. "
            "Export the mask at the image's size."
        )
    if not marked.any():
        return f"The mask {mask} of a defective image marks nothing. Draw the defect, or remove the mask."
    return None


def heat_and_masks(images: Iterable[Inspected]) -> Iterator[Pair]:
    """(heat (H, W) float32, mask (H, W) bool) at image size, at most `LONGEST` px on the longer side.

    Good images come with an empty mask; defective images without a usable mask are left out.
    """
    for image in images:
        if image.defective and image.mask is None:
            continue
        height, width = _bounded(image.size)
        heat = cv2.resize(image.heat, (width, height), interpolation=cv2.INTER_LINEAR)
        yield np.asarray(heat, np.float32), _mask(image, height, width)


def mask_of(image: Inspected) -> NDArray[np.bool_]:
    """The mask (H, W) at image size, at most `LONGEST` px on the longer side; empty without one."""
    return _mask(image, *_bounded(image.size))


def _mask(image: Inspected, height: int, width: int) -> NDArray[np.bool_]:
    if not image.defective or image.mask is None:
        return np.zeros((height, width), bool)
    mask = read_mask(image.mask)
    if mask.shape == (height, width):
        return mask
    # Any marked pixel marks the smaller one it falls into: a hairline scratch must not vanish.
    covered = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(covered) > 0.0


def _bounded(size: tuple[int, int]) -> tuple[int, int]:
    height, width = size
    scale = min(1.0, LONGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
