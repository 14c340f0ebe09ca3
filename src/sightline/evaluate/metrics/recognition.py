"""How well a recipe recognises what it knows: defect types, places, grades; each figure with its sample size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sightline.core.card import Card
from sightline.evaluate.inspected import Inspected
from sightline.evaluate.metrics.detection import BoxScores, box_scores
from sightline.evaluate.metrics.grades import GradeScores, grade_scores
from sightline.evaluate.metrics.pixel import Flags, Overlap, mask_of, overlap
from sightline.evaluate.metrics.probabilities import Reliability, Temperature, fit_temperature, reliability
from sightline.evaluate.metrics.types import Confusion, TypeScores, confusion, multi_label, single_label
from sightline.runtime.inspection import UNKNOWN
from sightline.runtime.recognition import SURE

GOOD, DEFECT = "good", "defect"


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """`types` and `confusion` where the recipe knows types (the latter where a part carries one at most), `places`
    where it knows them and masks are there, `boxes` where people have drawn any, `grades` where it grades.
    `confidence` sets the stated probability of what is named against how often that was right; `temperature` is what
    the logits would have to be divided by, beyond the recipe's own temperature, to be most likely here: 1 is right.
    """

    types: TypeScores | None = None
    confusion: Confusion | None = None
    overlap: Overlap | None = None
    grades: GradeScores | None = None
    boxes: BoxScores | None = None
    confidence: Reliability | None = None
    temperature: Temperature | None = None

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object; images one by one are left out."""
        return {
            "types": None if self.types is None else self.types.to_json(),
            "confusion": None if self.confusion is None else self.confusion.to_json(),
            "dice": None if self.overlap is None else self.overlap.dice,
            "iou": None if self.overlap is None else self.overlap.iou,
            "defect_maps": None if self.overlap is None else self.overlap.defective,
            "grades": None if self.grades is None else self.grades.to_json(),
            "boxes": None if self.boxes is None else self.boxes.to_json(),
            "calibration": None if self.confidence is None else self.confidence.to_json(),
            "temperature": None if self.temperature is None else self.temperature.to_json(),
        }


def recognition(images: Sequence[Inspected], card: Card) -> Recognition | None:
    """How well the recipe recognises what it knows on these images; None where it knows nothing, or labels lack."""
    typed = [image for image in images if image.predicted_types is not None] if card.types else []
    graded = [(x, x.grade, x.predicted_grade) for x in images if x.grade is not None and x.predicted_grade is not None]
    if not typed and not graded:
        return None
    types, crossed = _types(typed, card) if typed else (None, None)
    marked = [
        image for image in typed if image.defect_share is not None and (image.mask is not None or not image.defective)
    ]
    grades = None
    if graded:
        parts, truth, predicted = zip(*graded, strict=True)
        grades = grade_scores(truth, predicted, groups=_groups(parts))
    trust, temperature = _confidence(typed, card) if typed else (None, None)
    return Recognition(
        types=types,
        confusion=crossed,
        overlap=overlap(_maps(marked)) if any(image.mask is not None for image in marked) else None,
        grades=grades,
        boxes=_boxes(typed),
        confidence=trust,
        temperature=temperature,
    )


def _boxes(images: Sequence[Inspected]) -> BoxScores | None:
    """mAP where people have marked places; None without any."""
    pairs = [
        (x.true_boxes, x.predicted_boxes) for x in images if x.true_boxes is not None and x.predicted_boxes is not None
    ]
    if not any(len(true.types) for true, _ in pairs):
        return None
    return box_scores([true for true, _ in pairs], [predicted for _, predicted in pairs])


def _confidence(images: Sequence[Inspected], card: Card) -> tuple[Reliability, Temperature | None]:
    """Of exclusive types the probability of what was named; else that of every type of every part."""
    shares = np.array([[image.shares.get(name, 0.0) for name in card.types] for image in images], np.float64)
    shares = np.clip(np.nan_to_num(shares, nan=1.0), 0.0, 1.0)
    if not card.exclusive:
        truth = np.array([[name in image.types for name in card.types] for image in images])
        return reliability(shares.ravel(), truth.ravel()), None
    every = np.column_stack([np.clip(1 - shares.sum(1), 0, 1), shares])
    names = (GOOD, *card.types)
    true_names = [_single(image.types, image.defective, card.types) for image in images]
    right = [names[int(row.argmax())] == name for row, name in zip(every, true_names, strict=True)]
    labelled = [number for number, name in enumerate(true_names) if name in names]
    classes = [names.index(true_names[number]) for number in labelled]
    fitted = fit_temperature(np.log(np.maximum(every[labelled], 1e-12)), classes) if labelled else None
    return reliability(every.max(1), right), fitted


def _types(images: Sequence[Inspected], card: Card) -> tuple[TypeScores, Confusion | None]:
    groups = _groups(images)
    if not card.exclusive:
        truth = np.array([[name in image.types for name in card.types] for image in images])
        predicted = np.array([[name in (image.predicted_types or {}) for name in card.types] for image in images])
        shares = [[image.shares.get(name, 0.0) for name in card.types] for image in images]
        return multi_label(truth, predicted, card.types, shares, groups=groups), None
    names = (GOOD, *card.types, UNKNOWN)
    true_names = [_single(image.types, image.defective, card.types) for image in images]
    predicted_names = [next(iter(image.predicted_types or ()), GOOD) for image in images]
    crossed = confusion(true_names, predicted_names, [str(image.path) for image in images])
    # A stranger is what no known class is likely for.
    likely = np.array([[image.shares.get(name, 0.0) for name in card.types] for image in images], np.float64)
    good = 1 - likely.sum(1, keepdims=True)
    scores = np.hstack([good, likely, 1 - np.maximum(good, likely.max(1, keepdims=True))])
    return single_label(true_names, predicted_names, names, scores, groups=groups), crossed


def _single(types: Iterable[str], defective: bool, names: Sequence[str]) -> str:
    if not defective:
        return GOOD
    return next((name for name in (*types, DEFECT) if name in names), UNKNOWN)


def _groups(images: Sequence[Inspected]) -> list[str]:
    """Images of one group are resampled together; those without one stand alone."""
    return [image.group or str(image.path) for image in images]


def _maps(images: Sequence[Inspected]) -> Iterator[tuple[Flags, Flags]]:
    for image in images:
        mask = mask_of(image)
        assert image.defect_share is not None
        predicted = cv2.resize(image.defect_share, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        yield mask, np.asarray(predicted > SURE)
