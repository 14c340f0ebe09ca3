"""Synthetic defects to learn from: real marked defects of training parts put on good ones, and synthetic defects
without a name.

They are copies inside a training and nothing else: no file, no sample, and never among the parts that are held out.
Donors come from the parts that are learned from, so a fold that is held out gives none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import cv2
import numpy as np

from sightline.data.augment import Augmentation
from sightline.data.synthetic.generators import GENERATORS, Donor
from sightline.data.synthetic.painters import Synthetic
from sightline.train.labels.targets import Labelled, LabelMap, picture_hash

PASTED = "cut and paste"
PER_TYPE = 40  # examples of a type, made ones included: with more real ones none are made
MAX_SYNTHETIC = 40  # synthetic defects, where all defects have one name
MIN_PX = 9  # smaller marks are slips of the hand
MAX_DONORS = 12  # marks of one type


def make_synthetic_defects(
    labelled: Sequence[Labelled], label_map: LabelMap, rng: np.random.Generator
) -> list[Labelled]:
    """Copies of good parts with one synthetic defect each, for types of which few examples exist."""
    good = [x for x in labelled if x.classes is not None and x.classes[0] and not x.part.sample.defective]
    if not good or not label_map.types:
        return []
    synthetic: list[Labelled] = []
    for kind in range(1, len(label_map.types) + 1):
        own = [x for x in labelled if x.classes is not None and x.classes[kind]]
        donors = _donors(own, kind, label_map, rng)
        for _ in range(PER_TYPE - len(own) if donors else 0):
            synthetic += _synthetic(good, PASTED, donors, kind, len(synthetic), rng)
    if len(label_map.types) == 1:  # a synthetic defect has no name, and needs none where all have the same
        names = [name for name in GENERATORS if name != PASTED]
        for turn, name in zip(range(MAX_SYNTHETIC), names * (MAX_SYNTHETIC // len(names) + 1), strict=False):
            synthetic += _synthetic(good, name, [], 1, len(synthetic) + turn, rng)
    return synthetic


def may_help(labelled: Sequence[Labelled], label_map: LabelMap) -> bool:
    """Whether there is a rare type of which a synthetic defect could be an example."""
    counts = np.sum([x.classes for x in labelled if x.classes is not None], axis=0)
    marked = {int(kind) for x in labelled if x.marks is not None for kind in np.unique(x.marks) if kind}
    good = any(x.classes is not None and x.classes[0] for x in labelled)
    rare = any(counts[kind] < PER_TYPE for kind in marked)
    return good and (rare or (len(label_map.types) == 1 and counts[1] < PER_TYPE))


def _donors(parts: Sequence[Labelled], kind: int, label_map: LabelMap, rng: np.random.Generator) -> list[Donor]:
    """Marks of one type, cut out of the parts as the recipe sees them; each part gives its largest."""
    found: list[Donor] = []
    for index in rng.permutation(len(parts)):
        x = parts[index]
        if x.marks is None or len(found) >= MAX_DONORS:
            continue
        count, areas, stats, _ = cv2.connectedComponentsWithStats((x.marks == kind).astype(np.uint8), connectivity=8)
        sizes = stats[1:, cv2.CC_STAT_AREA]
        if count > 1 and sizes.max() >= MIN_PX:
            mask = np.asarray(areas == 1 + int(sizes.argmax()))
            found.append(Donor.cut(x.image, mask, label_map.types[kind - 1]))
    return found


def _synthetic(
    good: Sequence[Labelled], name: str, donors: list[Donor], kind: int, number: int, rng: np.random.Generator
) -> list[Labelled]:
    """One copy of a good part; none where the defect found no place, and something else was drawn instead."""
    x = good[int(rng.integers(len(good)))]
    synthetic = GENERATORS[name](x.image, rng, donors)
    if donors and synthetic.kind != donors[0].type:
        return []
    return [_labelled(x, synthetic, kind, number)]


def _labelled(x: Labelled, synthetic: Synthetic, kind: int, number: int) -> Labelled:
    assert x.classes is not None and x.cells is not None
    classes, cells = np.zeros_like(x.classes), np.zeros_like(x.cells)
    classes[kind] = True
    grid = cells.shape[2], cells.shape[1]
    cells[kind] = cv2.resize(synthetic.mask.astype(np.float32), grid, interpolation=cv2.INTER_AREA)
    cells[0] = 1 - cells[kind]
    # The hash names the picture among the cached maps, and this is another picture.
    part = replace(x.part, hash=f"{x.part.hash}-made-{picture_hash(synthetic.image)}")
    return Labelled(part, synthetic.image, classes, cells, -1)


# Copies of defective parts in other looks: moved, in other light, less sharp, with their marks along.

COPIES = 2  # of each part
MAX = 400  # in all: each needs a pass of the backbone


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
    turns = [(x, turn) for turn in range(COPIES) for x in wanted][:MAX]
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
