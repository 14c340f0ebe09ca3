"""Labelled parts as the recogniser learns them: pictures with numbers for what people have said."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.region import Rectangle
from sightline.train.box_labels import DrawnBoxes, boxes_on_input
from sightline.train.intake import Intake, Part, Prepared, TrainingWarning
from sightline.train.labels import Vocabulary, check_marks, place_map


@dataclass(frozen=True)
class Labelled:
    """One part as the recogniser learns it: image (H, W, 3) uint8, classes (K + 1,) bool, None where nobody has said,
    cells (K + 1, h, w), None where nothing is marked, and grade, -1 where there is none.

    `marks` (H, W) uint8 are the class of every marked pixel, 0 elsewhere; None where a defect's shape is not known.
    `boxes` are those that people drew, none on a good part; None where they are not known.
    """

    part: Part
    image: NDArray[np.uint8]
    classes: NDArray[np.bool_] | None
    cells: NDArray[np.float32] | None
    grade: int
    marks: NDArray[np.uint8] | None = None
    boxes: DrawnBoxes | None = None


def label_parts(intakes: Iterable[Intake], words: Vocabulary, grid: tuple[int, int]) -> list[Labelled]:
    """The intakes' readable parts with their labels; `grid` (h, w) is that of the trunk's finest map."""
    found = []
    for intake, part in [(source, part) for source in intakes for part in source.parts]:
        prepared = intake(part)
        if prepared is None:
            continue
        check_marks(part.sample)
        cells = place_map(part.sample, prepared.placements[0], words, grid, prepared.warp)
        grade = part.sample.grade if words.grades and part.sample.grade is not None else -1
        marks = None if cells is None else _marks(part, prepared, words)
        boxes = boxes_on_input(part.sample, prepared.placements[0], words, prepared.warp)
        found.append(Labelled(part, prepared.images[0], words.classes(part.sample), cells, grade, marks, boxes))
    return found


def _marks(part: Part, prepared: Prepared, words: Vocabulary) -> NDArray[np.uint8] | None:
    """Boxes say where a defect is, and not what shape it has."""
    sample = part.sample
    if not sample.defective or any(isinstance(region.shape, Rectangle) for region in sample.regions):
        return None
    height, width = prepared.images.shape[1:3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)  # the marks were read before, and warned about
        shares = place_map(sample, prepared.placements[0], words, (height, width), prepared.warp)
    return None if shares is None else np.asarray(shares.argmax(0), np.uint8)


def picture_hash(image: NDArray[np.uint8]) -> str:
    """First 16 hex digits of the SHA-256 of a picture's values: what names it among the kept maps."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16]
