"""Copies of defective parts in other looks: moved, in other light, less sharp, with their marks along."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import cv2
import numpy as np

from sightline.data.augment import Augmentation
from sightline.train.labelled import Labelled, picture_hash

COPIES = 2  # of each part
MOST = 400  # in all: each needs a pass of the trunk


def make_copies(
    labelled: Sequence[Labelled], strength: float, ruled_out: Collection[str], rng: np.random.Generator
) -> list[Labelled]:
    """Copies of parts that are not good, or not of the best grade; none at a strength of 0.

    Kinds of augmentation that are `ruled_out` are not used.
    """
    if not strength:
        return []
    augment = Augmentation(strength, frozenset(ruled_out))
    wanted = [x for x in labelled if x.grade > 0 or (x.classes is not None and x.classes[1:].any())]
    turns = [(x, turn) for turn in range(COPIES) for x in wanted][:MOST]
    return [_copy(x, turn, augment, rng) for x, turn in turns]


def _copy(x: Labelled, turn: int, augment: Augmentation, rng: np.random.Generator) -> Labelled:
    height, width = x.image.shape[:2]
    cells = np.zeros((0, height, width), np.float32)
    if x.cells is not None:
        cells = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in x.cells[1:]])
    image, moved = augment(x.image, cells, rng)
    part = replace(x.part, hash=f"{x.part.hash}-copy-{picture_hash(image)}")
    if x.cells is None:
        return replace(x, part=part, image=image, marks=None, boxes=None)
    found = np.zeros_like(x.cells)
    grid = found.shape[2], found.shape[1]
    for to, one in zip(found[1:], moved, strict=True):
        to[:] = cv2.resize(one, grid, interpolation=cv2.INTER_AREA)
    found[0] = 1 - found[1:].max(axis=0, initial=0.0)
    return replace(x, part=part, image=image, cells=found, marks=None, boxes=None)
