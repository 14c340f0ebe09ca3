"""A contact sheet of made defects, for a person to judge whether they look like what the line could see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from sightline.core.errors import InputError
from sightline.data.synthetic import Synthetic
from sightline.data.synthetic_defects.donor import Donor
from sightline.runtime.image import Image

GAP_PX, NAME_PX = 6, 130
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
    rows = [_row("as they are", [_fitted(image, side_px) for image in images], side_px)]
    for name, generate in generators.items():
        made = [generate(image, rng, donors) for image in images]
        rows.append(_row(name, [_outlined(one, side_px) for one in made], side_px))
    return np.concatenate(rows)


def _fitted(image: Image, side_px: int) -> Image:
    """The image with its longer side at `side_px`."""
    factor = side_px / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


def _outlined(made: Synthetic, side_px: int) -> Image:
    picture = np.ascontiguousarray(_fitted(made.image, side_px))
    shown = cv2.resize(made.mask.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_AREA) > 0
    grown = cv2.dilate(np.asarray(shown, np.uint8), np.ones((2 * OFF_PX + 1, 2 * OFF_PX + 1), np.uint8))
    outlines, _ = cv2.findContours(np.asarray(grown, np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, HALO, 2)
    cv2.drawContours(picture, outlines, -1, OUTLINE, 1)
    return _titled(picture, made.kind)


def _titled(picture: Image, title: str) -> Image:
    """The picture with a line of text under it."""
    padded = cv2.copyMakeBorder(picture, 0, 16, 0, 0, cv2.BORDER_CONSTANT, value=PAPER)
    cv2.putText(padded, title, (0, padded.shape[0] - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
    return np.asarray(padded, np.uint8)


def _row(name: str, cells: Sequence[Image], side_px: int) -> Image:
    high = max(cell.shape[0] for cell in cells) + GAP_PX
    wide = side_px + GAP_PX
    row = np.full((high, NAME_PX + wide * len(cells), 3), 255, np.uint8)
    cv2.putText(row, name, (4, high // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    for index, cell in enumerate(cells):
        left = NAME_PX + index * wide
        row[: cell.shape[0], left : left + cell.shape[1]] = cell
    return row
