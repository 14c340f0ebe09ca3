"""A displaced piece: a thing moved and turned on the part, and the empty place that it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sightline.data.synthetic import Synthetic, draw
from sightline.data.synthetic_defects.donor import Donor
from sightline.data.synthetic_defects.ground import Ground, marked, survey
from sightline.data.synthetic_defects.piece import feathered, filled, find_piece
from sightline.runtime.image import Image

TRIES = 12
WAYS = (0.3, 1.5)  # in diameters of the piece
MOST_DEG = 60.0
ON_PART = 0.95
KIND = "displaced piece"


def displace(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A piece of a part (H, W, 3) uint8 at another place; the mask holds both places."""
    ground = survey(image)
    for _ in range(TRIES):
        made = _moved(image, ground, rng)
        if made is not None:
            return made
    return draw(image, rng)


def _moved(image: Image, ground: Ground, rng: np.random.Generator) -> Synthetic | None:
    piece = find_piece(image, ground, rng)
    grown = np.asarray(cv2.dilate(piece.astype(np.uint8), np.ones((3, 3), np.uint8)), np.uint8)
    surface = filled(image, grown > 0, (grown > 0) | ~ground.part, rng)
    if surface is None:
        return None
    x, y, w, h = cv2.boundingRect(grown)
    way, course = max(w, h) * rng.uniform(*WAYS), rng.uniform(0, 2 * np.pi)
    warp = cv2.getRotationMatrix2D((x + w / 2, y + h / 2), float(rng.uniform(-MOST_DEG, MOST_DEG)), 1.0)
    warp[:, 2] += (way * np.cos(course), way * np.sin(course))
    size = (image.shape[1], image.shape[0])
    there = np.asarray(cv2.warpAffine(grown * np.uint8(255), warp, size)) > 127
    # Most of the piece must come to lie on the part, in the picture.
    if (there & ground.part).sum() < ON_PART * grown.sum():
        return None
    moved = np.asarray(cv2.warpAffine(image, warp, size, borderMode=cv2.BORDER_REFLECT_101), np.float32)
    left = image + feathered(grown > 0, 2.0) * (surface - image)
    after = left + feathered(there, 1.5) * (moved - left)
    return marked(image, np.rint(np.clip(after, 0, 255)).astype(np.uint8), there | (grown > 0), KIND)
