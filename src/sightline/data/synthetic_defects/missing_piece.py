"""A missing piece: a bite out of the part's edge that shows the background, or a thing gone from its surface."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sightline.data.synthetic import Synthetic, blob, draw
from sightline.data.synthetic_defects.donor import Donor
from sightline.data.synthetic_defects.ground import Ground, marked, survey
from sightline.data.synthetic_defects.piece import feathered, filled, find_piece
from sightline.runtime.image import Image

TRIES = 10
BITES = (0.08, 0.35)  # diameter as a share of the part's
KIND = "missing piece"


def take_away(image: Image, rng: np.random.Generator, donors: Sequence[Donor] = ()) -> Synthetic:
    """A piece taken away from a part (H, W, 3) uint8; a bite every second time where the part has a background."""
    ground = survey(image)
    for _ in range(TRIES):
        take = _bite if ground.stands_out and rng.random() < 0.5 else _removed
        made = take(image, ground, rng)
        if made is not None:
            return made
    return draw(image, rng)


def _bite(image: Image, ground: Ground, rng: np.random.Generator) -> Synthetic | None:
    part = ground.part.astype(np.uint8)
    edge = np.flatnonzero(part - cv2.erode(part, np.ones((3, 3), np.uint8)))
    if not len(edge):
        return None
    y, x = divmod(int(edge[rng.integers(len(edge))]), image.shape[1])
    diameter = 2 * np.sqrt(part.sum() / np.pi) * BITES[0] * (BITES[1] / BITES[0]) ** rng.random()
    shape = blob((image.shape[0], image.shape[1]), (float(x), float(y)), float(diameter), rng) > 0.5
    # The background next to a part lies in its shadow and blur: nothing is filled from there.
    rim = 2 * max(2, round(0.01 * min(image.shape[:2]))) + 1
    wider = np.asarray(cv2.dilate(part, np.ones((rim, rim), np.uint8))) > 0
    hole = shape & wider
    background = filled(image, hole, wider, rng) if hole.any() else None
    if background is None:
        return None
    alpha = feathered(hole, 2.0)
    # The filled picture is the image itself outside the hole, so the soft edge lies inside it.
    after = np.rint(np.clip(image + alpha * (background - image), 0, 255)).astype(np.uint8)
    return marked(image, after, hole & ground.part, KIND)


def _removed(image: Image, ground: Ground, rng: np.random.Generator) -> Synthetic | None:
    piece = find_piece(image, ground, rng)
    side = 2 * max(1, round(0.1 * np.sqrt(piece.sum()))) + 1
    hole = np.asarray(cv2.dilate(piece.astype(np.uint8), np.ones((side, side), np.uint8))) > 0
    surface = filled(image, hole, hole | ~ground.part, rng)
    if surface is None:
        return None
    after = np.rint(np.clip(image + feathered(hole, 2.0) * (surface - image), 0, 255)).astype(np.uint8)
    return marked(image, after, hole, KIND)
