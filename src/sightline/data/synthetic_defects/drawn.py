"""The painters of `data.synthetic` as generators: a scratch, a stain, foreign matter, a smear, a dent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightline.data.synthetic import Synthetic, draw
from sightline.data.synthetic_defects.donor import Donor
from sightline.runtime.image import Image


def scratch(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A thin, slightly bent line of another colour."""
    return draw(image, rng, "scratch")


def stain(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A spot of another colour that lets the ground's detail through."""
    return draw(image, rng, "stain")


def foreign_matter(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A spot that looks like another place of the picture."""
    return draw(image, rng, "foreign matter")


def smear(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A spot without its detail; a stain on a surface that has none."""
    return draw(image, rng, "smear")


def dent(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A spot bulged in or out, with a shade; a stain on a surface where that does not show."""
    return draw(image, rng, "dent")
