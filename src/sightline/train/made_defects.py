"""Made defects to learn from: real marked defects of training parts put on good ones, and drawn defects without a name.

They are copies inside a training and nothing else: no file, no sample, and never among the parts that are held out.
Donors come from the parts that are learned from, so a fold that is held out gives none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from sightline.data.synthetic import Synthetic
from sightline.data.synthetic_defects import GENERATORS, Donor
from sightline.train.labelled import Labelled, picture_hash
from sightline.train.labels import Vocabulary

PASTED = "cut and paste"
PER_TYPE = 40  # examples of a type, made ones included: with more real ones none are made
DRAWN = 40  # drawn defects, where all defects have one name
LEAST_PX = 9  # smaller marks are slips of the hand
MOST_DONORS = 12  # marks of one type


def make_defects(labelled: Sequence[Labelled], words: Vocabulary, rng: np.random.Generator) -> list[Labelled]:
    """Copies of good parts with one made defect each, for types of which few examples exist."""
    good = [x for x in labelled if x.classes is not None and x.classes[0] and not x.part.sample.defective]
    if not good or not words.types:
        return []
    made: list[Labelled] = []
    for kind in range(1, len(words.types) + 1):
        own = [x for x in labelled if x.classes is not None and x.classes[kind]]
        donors = _donors(own, kind, words, rng)
        for _ in range(PER_TYPE - len(own) if donors else 0):
            made += _made(good, PASTED, donors, kind, len(made), rng)
    if len(words.types) == 1:  # a drawn defect has no name, and needs none where all have the same
        for turn, name in zip(range(DRAWN), _in_turn(), strict=False):
            made += _made(good, name, [], 1, len(made) + turn, rng)
    return made


def may_help(labelled: Sequence[Labelled], words: Vocabulary) -> bool:
    """Whether there is a rare type of which a made defect could be an example."""
    counts = np.sum([x.classes for x in labelled if x.classes is not None], axis=0)
    marked = {int(kind) for x in labelled if x.marks is not None for kind in np.unique(x.marks) if kind}
    good = any(x.classes is not None and x.classes[0] for x in labelled)
    rare = any(counts[kind] < PER_TYPE for kind in marked)
    return good and (rare or (len(words.types) == 1 and counts[1] < PER_TYPE))


def _in_turn() -> list[str]:
    names = [name for name in GENERATORS if name != PASTED]
    return names * (DRAWN // len(names) + 1)


def _donors(parts: Sequence[Labelled], kind: int, words: Vocabulary, rng: np.random.Generator) -> list[Donor]:
    """Marks of one type, cut out of the parts as the recipe sees them; each part gives its largest."""
    found: list[Donor] = []
    for index in rng.permutation(len(parts)):
        x = parts[index]
        if x.marks is None or len(found) >= MOST_DONORS:
            continue
        count, areas, stats, _ = cv2.connectedComponentsWithStats((x.marks == kind).astype(np.uint8), connectivity=8)
        sizes = stats[1:, cv2.CC_STAT_AREA]
        if count > 1 and sizes.max() >= LEAST_PX:
            mask = np.asarray(areas == 1 + int(sizes.argmax()))
            found.append(Donor.cut(x.image, mask, words.types[kind - 1]))
    return found


def _made(
    good: Sequence[Labelled], name: str, donors: list[Donor], kind: int, number: int, rng: np.random.Generator
) -> list[Labelled]:
    """One copy of a good part; none where the defect found no place, and something else was drawn instead."""
    x = good[int(rng.integers(len(good)))]
    synthetic = GENERATORS[name](x.image, rng, donors)
    if donors and synthetic.kind != donors[0].type:
        return []
    return [_labelled(x, synthetic, kind, number)]


def _labelled(x: Labelled, made: Synthetic, kind: int, number: int) -> Labelled:
    assert x.classes is not None and x.cells is not None
    classes, cells = np.zeros_like(x.classes), np.zeros_like(x.cells)
    classes[kind] = True
    grid = cells.shape[2], cells.shape[1]
    cells[kind] = cv2.resize(made.mask.astype(np.float32), grid, interpolation=cv2.INTER_AREA)
    cells[0] = 1 - cells[kind]
    # The hash names the picture among the kept maps, and this is another picture.
    part = replace(x.part, hash=f"{x.part.hash}-made-{picture_hash(made.image)}")
    return Labelled(part, made.image, classes, cells, -1)
