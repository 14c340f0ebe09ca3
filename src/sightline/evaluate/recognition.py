"""How well a recipe recognises what it knows: defect types, places, grades; each figure with its sample size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sightline.core.card import Card
from sightline.evaluate.grades import GradeScores, grade_scores
from sightline.evaluate.inspected import Inspected
from sightline.evaluate.overlap import Maps, Overlaps, overlaps
from sightline.evaluate.pixels import mask_of
from sightline.evaluate.types import Confusion, TypeScores, confusion, multi_label, single_label
from sightline.runtime.recognition import SURE, UNKNOWN

GOOD, DEFECT = "good", "defect"


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """`types` and `confusion` where the recipe knows types (the latter where a part carries one at most), `places`
    where it knows them and masks are there, `grades` where it grades.
    """

    types: TypeScores | None = None
    confusion: Confusion | None = None
    places: Overlaps | None = None
    grades: GradeScores | None = None

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object; images one by one are left out."""
        return {
            "types": None if self.types is None else self.types.to_json(),
            "confusion": None if self.confusion is None else self.confusion.to_json(),
            "dice": None if self.places is None else self.places.dice,
            "iou": None if self.places is None else self.places.iou,
            "defect_maps": None if self.places is None else self.places.defective,
            "grades": None if self.grades is None else self.grades.to_json(),
        }


def recognition(images: Sequence[Inspected], card: Card) -> Recognition | None:
    """What the recipe's words are worth on these images; None where it has none, or nothing to compare them with."""
    typed = [image for image in images if image.said_types is not None] if card.types else []
    graded = [(x, x.grade, x.said_grade) for x in images if x.grade is not None and x.said_grade is not None]
    if not typed and not graded:
        return None
    types, crossed = _types(typed, card) if typed else (None, None)
    marked = [image for image in typed if image.seen is not None and (image.mask is not None or not image.defective)]
    places = overlaps(_maps(marked), (DEFECT,)) if any(image.mask is not None for image in marked) else None
    grades = None
    if graded:
        parts, truth, said = zip(*graded, strict=True)
        grades = grade_scores(truth, said, groups=_groups(parts))
    return Recognition(types=types, confusion=crossed, places=places, grades=grades)


def _types(images: Sequence[Inspected], card: Card) -> tuple[TypeScores, Confusion | None]:
    groups = _groups(images)
    if not card.exclusive:
        truth = np.array([[name in image.types for name in card.types] for image in images])
        said = np.array([[name in (image.said_types or {}) for name in card.types] for image in images])
        return multi_label(truth, said, card.types, groups=groups), None
    names = (GOOD, *card.types, UNKNOWN)
    true_names = [_single(image.types, image.defective, card.types) for image in images]
    said_names = [next(iter(image.said_types or ()), GOOD) for image in images]
    crossed = confusion(true_names, said_names, [str(image.path) for image in images])
    return single_label(true_names, said_names, names, groups=groups), crossed


def _single(types: Iterable[str], defective: bool, known: Sequence[str]) -> str:
    if not defective:
        return GOOD
    return next((name for name in (*types, DEFECT) if name in known), UNKNOWN)


def _groups(images: Sequence[Inspected]) -> list[str]:
    """Images of one group are resampled together; those without one stand alone."""
    return [image.group or str(image.path) for image in images]


def _maps(images: Sequence[Inspected]) -> Iterator[Maps]:
    for image in images:
        mask = mask_of(image)
        assert image.seen is not None
        said = cv2.resize(image.seen, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        yield str(image.path), mask[None], np.asarray(said > SURE)[None]
