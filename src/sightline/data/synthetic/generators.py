"""Generators of synthetic defects: pictures of good parts with one such defect, its exact mask, and its type.

For training only. What is made here is a `Synthetic`, an array with a mask and a name: it is no `core.Sample`, has
no path and no split, and nothing in this package writes one, so it cannot get into a validation or test set. Donors
come from training parts only (`collect` refuses others): a defect of a test part would be learned from.

A generator takes an image (H, W, 3) uint8, a numpy Generator, and donors (real marked defects, which only
`cut and paste` uses); it changes a copy, marks what it changed, and makes the same of the same seed. Where it finds no
place after some tries, it draws a defect as `data.synthetic.painters.draw` does. A new one is a line in `GENERATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from sightline.core.errors import InputError
from sightline.data.synthetic.cut_and_paste import paste_defect
from sightline.data.synthetic.donors import Donor, collect
from sightline.data.synthetic.ground import Ground, survey
from sightline.data.synthetic.painters import Synthetic, draw
from sightline.data.synthetic.pieces import displace, take_away
from sightline.data.synthetic.texture import lay_texture
from sightline.imaging.image import Image
from sightline.runtime.drawing import BOLD, shortened, write

__all__ = ["GENERATORS", "Donor", "Generator", "Synthetic", "collect", "contact_sheet"]

Generator = Callable[[Image, np.random.Generator, Sequence[Donor]], Synthetic]

MAX_DRAWINGS = 12
ON_PART = 0.6  # of a defect, at least
MIN_PX = 4

# Of the contact sheet.
GAP_PX, NAME_PX, TITLE_PX = 8, 26, 18
PAPER, INK = (255, 255, 255), (40, 40, 40)
OUTLINE, HALO = (255, 225, 60), (0, 0, 0)
OFF_PX = 3  # the outline runs so far outside the defect that it hides none of it


def draw_scratch(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A thin, slightly bent line of another colour."""
    return _on_part(image, rng, "scratch", cut=True)


def draw_stain(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A spot of another colour that lets the ground's detail through."""
    return _on_part(image, rng, "stain", cut=True)


def draw_foreign_matter(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A spot that looks like another place of the picture."""
    return _on_part(image, rng, "foreign matter")


def draw_smear(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A spot without its detail; a stain on a surface that has none."""
    return _on_part(image, rng, "smear")


def draw_dent(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A spot bulged in or out, with a shade; a stain on a surface where that does not show."""
    return _on_part(image, rng, "dent")


def _on_part(image: Image, rng: np.random.Generator, kind: str, cut: bool = False) -> Synthetic:
    """The first of some drawings that lies on the part; `cut` ends it at the part's edge."""
    ground = survey(image)
    for _ in range(MAX_DRAWINGS):
        synthetic = draw(image, rng, kind)
        on = synthetic.mask & ground.part
        if on.sum() >= max(MIN_PX, ON_PART * synthetic.mask.sum()):
            return _cut(image, synthetic, ground) if cut and ground.stands_out else synthetic
    return synthetic


def _cut(image: Image, synthetic: Synthetic, ground: Ground) -> Synthetic:
    """The defect on the part alone."""
    return Synthetic(
        np.where(ground.part[..., None], synthetic.image, image), synthetic.mask & ground.part, synthetic.kind
    )


GENERATORS: dict[str, Generator] = {
    "cut and paste": paste_defect,
    "texture": lay_texture,
    "scratch": draw_scratch,
    "stain": draw_stain,
    "foreign matter": draw_foreign_matter,
    "smear": draw_smear,
    "dent": draw_dent,
    "missing piece": take_away,
    "displaced piece": displace,
}


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
