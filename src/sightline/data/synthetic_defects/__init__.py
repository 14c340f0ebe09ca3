"""Supervised synthetic defects: pictures of good parts with one made defect, its exact mask, and its type.

For training only. What is made here is a `Synthetic`, an array with a mask and a name: it is no `core.Sample`, has no
path and no split, and nothing in this package writes one, so a made defect cannot get into a validation or test set.
Donors come from training parts only (`collect` refuses others): a defect of a test part would be learned from.

One file per generator and one line in `GENERATORS`. A generator takes an image (H, W, 3) uint8, a numpy Generator, and
donors (real marked defects, which only `cut and paste` uses); it changes a copy, marks what it changed, and makes the
same of the same seed. Where it finds no place after some tries, it draws a defect as `data.synthetic.draw` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sightline.data.synthetic import Synthetic
from sightline.data.synthetic_defects.cut_and_paste import cut_and_paste
from sightline.data.synthetic_defects.displaced_piece import displaced_piece
from sightline.data.synthetic_defects.donor import Donor, collect
from sightline.data.synthetic_defects.drawn import dent, foreign_matter, scratch, smear, stain
from sightline.data.synthetic_defects.missing_piece import missing_piece
from sightline.data.synthetic_defects.sheet import contact_sheet
from sightline.data.synthetic_defects.texture import texture
from sightline.runtime.image import Image

__all__ = ["GENERATORS", "Donor", "Generator", "Synthetic", "collect", "contact_sheet"]

Generator = Callable[[Image, np.random.Generator, Sequence[Donor]], Synthetic]

GENERATORS: dict[str, Generator] = {
    "cut and paste": cut_and_paste,
    "texture": texture,
    "scratch": scratch,
    "stain": stain,
    "foreign matter": foreign_matter,
    "smear": smear,
    "dent": dent,
    "missing piece": missing_piece,
    "displaced piece": displaced_piece,
}
