"""Generators of synthetic defects: pictures of good parts with one such defect, its exact mask, and its type.

For training only. What is made here is a `Synthetic`, an array with a mask and a name: it is no `core.Sample`, has
no path and no split, and nothing in this package writes one, so it cannot get into a validation or test set. Donors
come from training parts only (`collect` refuses others): a defect of a test part would be learned from.

A generator takes an image (H, W, 3) uint8, a numpy Generator, and donors (real marked defects, which only
`cut and paste` uses); it changes a copy, marks what it changed, and makes the same of the same seed. Where it finds no
place after some tries, it draws a defect as `data.synthetic.painters.draw` does. A new one is a line in `GENERATORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sightline.data.synthetic.contact_sheet import contact_sheet
from sightline.data.synthetic.cut_and_paste import paste_defect
from sightline.data.synthetic.donors import Donor, collect
from sightline.data.synthetic.ground import Ground, survey
from sightline.data.synthetic.painters import Synthetic, draw
from sightline.data.synthetic.pieces import displace, take_away
from sightline.data.synthetic.texture import lay_texture
from sightline.imaging.image import Image

__all__ = ["GENERATORS", "Donor", "Generator", "Synthetic", "collect", "contact_sheet"]

Generator = Callable[[Image, np.random.Generator, Sequence[Donor]], Synthetic]

MAX_DRAWINGS = 12
ON_PART = 0.6  # of a defect, at least
MIN_PX = 4


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
