"""The painters of `data.synthetic` as generators, kept on the part: scratch, stain, foreign matter, smear, dent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightline.data.synthetic import Synthetic, draw
from sightline.data.synthetic_defects.donor import Donor
from sightline.data.synthetic_defects.ground import Ground, survey
from sightline.runtime.image import Image

TRIES = 12
ON_PART = 0.6  # of a defect, at least
LEAST_PX = 4


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
    for _ in range(TRIES):
        made = draw(image, rng, kind)
        on = made.mask & ground.part
        if on.sum() >= max(LEAST_PX, ON_PART * made.mask.sum()):
            return _cut(image, made, ground) if cut and ground.stands_out else made
    return made


def _cut(image: Image, made: Synthetic, ground: Ground) -> Synthetic:
    """The defect on the part alone."""
    return Synthetic(np.where(ground.part[..., None], made.image, image), made.mask & ground.part, made.kind)
