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
from sightline.data.synthetic_defects.cut_and_paste import paste_defect
from sightline.data.synthetic_defects.displaced_piece import displace
from sightline.data.synthetic_defects.donor import Donor, collect
from sightline.data.synthetic_defects.drawn import draw_dent, draw_foreign_matter, draw_scratch, draw_smear, draw_stain
from sightline.data.synthetic_defects.missing_piece import take_away
from sightline.data.synthetic_defects.sheet import contact_sheet
from sightline.data.synthetic_defects.texture import lay_texture
from sightline.runtime.image import Image

__all__ = ["GENERATORS", "Donor", "Generator", "Synthetic", "collect", "contact_sheet"]

Generator = Callable[[Image, np.random.Generator, Sequence[Donor]], Synthetic]

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
