"""Masks: which pixels a person marked as defective, in files as the various tools write them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.region import Rectangle, Region, union
from sightline.core.sample import Sample
from sightline.imaging import jpeg
from sightline.imaging.decoding import Pixels, decode
from sightline.imaging.image import read_bytes

Mask = NDArray[np.bool_]
Marks = Path | tuple[Region, ...]

FEW_LEVELS = 32  # more grey levels or colours than this are no numbers of regions
IGNORED = (127, 128)  # of 0 and 255: what tools write where nobody could tell
WHITE = 200  # a mask whose highest value is above this is black and white, below it holds numbers
TOP = 0.75  # of the highest value: what is clearly marked
_REMEDY = "Save it as PNG, 0 for good and 255 for the defect"


def read_mask(path: str | Path, size: tuple[int, int] | None = None) -> Mask:
    """Mask (H, W) bool, True where a defect is marked.

    The ground is black (or 0) and what is marked any other value, number or colour; or the ground is white and the
    marks are coloured; or alpha holds the marks. Soft edges count from half on. With `size` (height, width) of the
    picture, a mask of another size is brought to it where it has the same shape. Raises InputError for what may mean
    two things: black on white, a third value of 128, a photo, or another shape.
    """
    path = Path(path)
    try:
        pixels, header = decode(read_bytes(path), str(path), cv2.IMREAD_UNCHANGED)
    except InputError as error:
        raise InputError(f"{error}. As a mask: {_REMEDY[0].lower()}{_REMEDY[1:]}") from error
    mask = _by_kind(pixels, str(path), lossy=header.kind == jpeg.KIND)
    return mask if size is None else _fitted(mask, size, str(path))


def marks_of(sample: Sample) -> Marks | None:
    """What people marked on a defective sample, pixel by pixel: its mask file, else its polygons and run lengths.

    None for what has neither, and where any mark is a box: a box holds good pixels, too.
    """
    if not sample.defective:
        return None
    if sample.mask is not None:
        return sample.mask
    exact = sample.regions and not any(isinstance(region.shape, Rectangle) for region in sample.regions)
    return sample.regions if exact else None


def marked_pixels(marks: Marks, size: tuple[int, int]) -> Mask:
    """The marks of a picture of `size` (height, width) as a mask (H, W). Raises InputError for what does not fit."""
    return read_mask(marks, size) if isinstance(marks, Path) else union(marks, *size)


def usable_mask(marks: Marks, size: tuple[int, int], image: Path) -> str | None:
    """None where the marks fit `image` of `size` (height, width) px, else what is wrong with them."""
    try:
        marked = marked_pixels(marks, size)
    except (InputError, OSError) as error:
        return f"{error}"
    if not marked.any():
        what = f"The mask {marks}" if isinstance(marks, Path) else f"What is drawn on {image}"
        return f"{what} of a defective image marks nothing. Draw the defect, or remove the mask."
    return None


def _by_kind(pixels: Pixels, name: str, lossy: bool) -> Mask:
    if pixels.shape[2] in (2, 4) and pixels[..., -1].min() < pixels[..., -1].max():
        return _by_alpha(pixels[..., :-1], pixels[..., -1], name)
    colours = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1]
    if colours.shape[2] == 1 or (lossy and _nearly_grey(colours)) or _grey(colours):
        return _by_grey(colours[..., 0], name, lossy)
    return _by_colour(colours, name)


def _by_alpha(colours: Pixels, alpha: Pixels, name: str) -> Mask:
    """Marks on a transparent ground; where those that are opaque have two colours, nobody can tell."""
    solid = alpha > alpha.max() / 2
    if len(np.unique(colours[solid].reshape(-1, colours.shape[2]), axis=0)) > FEW_LEVELS:
        raise InputError(f"{name}: a picture with a transparent background, not a mask. {_REMEDY}")
    opaque = colours[solid].astype(np.int64).max(axis=1)
    if opaque.min() == 0 < opaque.max():
        raise InputError(f"{name}: black and marks on a transparent background, so what is good is unknown. {_REMEDY}")
    return np.asarray(solid)


def _by_grey(grey: Pixels, name: str, lossy: bool) -> Mask:
    most = grey.max()
    if most == 0 or grey.min() == most:
        return np.asarray(grey > 0)
    white = 65535 if most > 255 and most > WHITE * 257 else 255
    marked = grey > 0
    top = grey >= TOP * most
    third = (grey == IGNORED[0]) | (grey == IGNORED[1])
    if most == 255 and _solid(third) and (third | (grey == 0) | (grey == 255)).mean() > 0.95:
        raise InputError(
            f"{name}: holds 0, 128 and 255, and 128 may mean 'ignore' or another type. Save what is defective as 255, "
            "all else as 0"
        )
    # At most soft edges between black and white, else the values are numbers.
    two = most >= WHITE * (white // 255) and top.sum() >= marked.sum() / 2
    if lossy and not two:
        raise InputError(f"{name}: a JPEG cannot hold numbered regions, and this is not black and white. {_REMEDY}")
    if not two:
        return _numbered(grey, marked, name)
    mask = np.asarray(grey > most / 2)
    if _is_ground(mask):
        raise InputError(f"{name}: black on white: either inverted, or nearly all is defective. {_REMEDY}")
    return mask


def _numbered(grey: Pixels, marked: Mask, name: str) -> Mask:
    if len(np.unique(grey)) > FEW_LEVELS and (grey.dtype == np.uint8 or _is_ground(marked)) and marked.mean() > 0.7:
        raise InputError(f"{name}: a photo, not a mask. {_REMEDY}")
    if _is_ground(marked):
        raise InputError(f"{name}: its background is not 0 but {int(np.median(grey))}. {_REMEDY}")
    return marked


def _by_colour(colours: Pixels, name: str) -> Mask:
    border = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]]).astype(np.int64)
    ground = np.median(border, axis=0)
    full = np.iinfo(colours.dtype).max if np.issubdtype(colours.dtype, np.integer) else 1
    away = np.abs(colours.astype(np.float32) - ground.astype(np.float32)).max(axis=2)
    if ground.max() > 0.05 * full and ground.min() < 0.95 * full:
        raise InputError(f"{name}: drawn on a picture: its background is neither black nor white. {_REMEDY}")
    coarse = (colours // max(1, (full + 1) // 8)).astype(np.int64) @ np.array([64, 8, 1])
    counts = np.sort(np.bincount(coarse.ravel()))[::-1]
    if counts[:FEW_LEVELS].sum() < 0.95 * coarse.size:
        raise InputError(f"{name}: a photo, not a mask. {_REMEDY}")
    mask = np.asarray(away > away.max() / 2) if away.max() > 0.3 * full else np.asarray(away > 0)
    # Dark colours of a palette, such as (0, 0, 128) beside (128, 128, 0), are as far from black as they are meant.
    return np.asarray(mask | ((away > 0) & _flat(colours)))


def _flat(colours: Pixels) -> Mask:
    """Pixels whose neighbours are all of their own colour: no soft edge."""
    around = np.ones((3, 3), np.uint8)
    same = cv2.dilate(colours, around) == cv2.erode(colours, around)
    return np.asarray(same.reshape(*colours.shape[:2], -1).all(axis=2))


def _solid(mask: Mask) -> bool:
    """Whether more than lines and edges is set."""
    return bool(cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).any())


def _is_ground(mask: Mask) -> bool:
    """Whether what is set lies around the rest and is most of the picture."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(border.mean() >= 0.95 and mask.mean() > 0.5)


def _grey(colours: Pixels) -> bool:
    return bool((colours[..., 0] == colours[..., 1]).all() and (colours[..., 1] == colours[..., 2]).all())


def _nearly_grey(colours: Pixels) -> bool:
    contrast = colours.max(axis=2).astype(np.int16) - colours.min(axis=2)
    return bool(contrast.max() < 24)


def _fitted(mask: Mask, size: tuple[int, int], name: str) -> Mask:
    if mask.shape == size:
        return mask
    high, wide = mask.shape
    if abs(high * size[1] - wide * size[0]) > max(size[0], size[1]):  # more than a rounded side
        raise InputError(
            f"{name}: a mask of {wide} x {high} px for a picture of {size[1]} x {size[0]} px, which has another shape. "
            "Save it at the picture's size"
        )
    scaled = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(scaled >= 0.5)
