"""A contact sheet of synthetic defects, for a person to judge whether they look like what the line could see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from sightline.core.errors import InputError
from sightline.data.synthetic.donors import Donor
from sightline.data.synthetic.painters import Synthetic
from sightline.imaging.image import Image
from sightline.runtime.drawing import BOLD, shortened, write

GAP_PX, NAME_PX, TITLE_PX = 8, 26, 18
PAPER, INK = (255, 255, 255), (40, 40, 40)
OUTLINE, HALO = (255, 225, 60), (0, 0, 0)
OFF_PX = 3  # the outline runs so far outside the defect that it hides none of it


def contact_sheet(
    images: Sequence[Image],
    generators: Mapping[str, Callable[[Image, np.random.Generator, Sequence[Donor]], Synthetic]],
    rng: np.random.Generator,
    donors: Sequence[Donor] = (),
    side_px: int = 220,
) -> Image:
    """A picture (H, W, 3) uint8: the images (H, W, 3) uint8 in the first row, then one row of defects per generator.

    Every defect is outlined, `side_px` is the longer side of each. Raises InputError where there is nothing to show.
    """
    if not images or not generators:
        raise InputError("a contact sheet needs images and generators. Give at least one of each")
    rows = {"as they are": [_fitted(image, side_px) for image in images]}
    for name, generate in generators.items():
        rows[name] = [_outlined(generate(image, rng, donors), side_px, name) for image in images]
    wide = max(cell.shape[1] for cells in rows.values() for cell in cells) + GAP_PX
    return np.concatenate([_row(name, cells, wide) for name, cells in rows.items()])


def _fitted(image: Image, side_px: int) -> Image:
    """The image with its longer side at `side_px`."""
    factor = side_px / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


def _outlined(synthetic: Synthetic, side_px: int, row: str) -> Image:
    picture = np.ascontiguousarray(_fitted(synthetic.image, side_px))
    marked = cv2.resize(synthetic.mask.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_AREA) > 0
    grown = cv2.dilate(np.asarray(marked, np.uint8), np.ones((2 * OFF_PX + 1, 2 * OFF_PX + 1), np.uint8))
    outlines, _ = cv2.findContours(np.asarray(grown, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, HALO, 2)
    cv2.drawContours(picture, outlines, -1, OUTLINE, 1)
    return picture if synthetic.kind == row else _titled(picture, synthetic.kind)


def _titled(picture: Image, title: str) -> Image:
    """The picture with a line of text under it."""
    padded = np.full((picture.shape[0] + TITLE_PX, picture.shape[1], 3), PAPER, np.uint8)
    padded[: len(picture)] = picture
    write(padded, shortened(title, 12, picture.shape[1]), (0, padded.shape[0] - 5), 12, INK)
    return padded


def _row(name: str, cells: Sequence[Image], wide: int) -> Image:
    """Pictures side by side, `wide` px each, below the name of what made them."""
    high = NAME_PX + max(cell.shape[0] for cell in cells) + GAP_PX
    row = np.full((high, GAP_PX + wide * len(cells), 3), 255, np.uint8)
    write(row, shortened(name, 15, row.shape[1] - GAP_PX, BOLD), (GAP_PX, NAME_PX - 8), 15, INK, BOLD)
    for index, cell in enumerate(cells):
        left = GAP_PX + index * wide
        row[NAME_PX : NAME_PX + cell.shape[0], left : left + cell.shape[1]] = cell
    return row
