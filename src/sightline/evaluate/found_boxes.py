"""Boxes of one image: those that people drew, and those that a recipe's class maps make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.result import Box
from sightline.core.sample import Sample
from sightline.evaluate.boxes import Boxes
from sightline.runtime.image import read_mask
from sightline.runtime.inspection import Inspection
from sightline.runtime.recognition import SURE

LEVELS = (0.3, SURE, 0.7)  # of a class map: where instances touch at one level, they part at a higher one
LEAST_PX = 4  # side of a box; smaller ones are less than a cell
SAME = 0.8  # IoU from which two boxes of different levels are the same place


def boxes_of(sample: Sample, mask: Path | None, size: tuple[int, int], types: Sequence[str]) -> Boxes | None:
    """The true boxes on an image (H, W): drawn ones, else those around the mask's regions; None for a defective image
    without either. Places of types that the recipe does not know are left out.
    """
    if not sample.defective:
        return Boxes.of([], [])
    if sample.regions:
        kept = [region for part in sample.regions if (region := part.cut(*size)) is not None and region.type in types]
        return Boxes.of([region.box for region in kept], [region.type for region in kept])
    named = [name for name in (*sample.types, "defect") if name in types]
    if mask is None or not named:
        return None
    found = _around(read_mask(mask))
    return Boxes.of(found, [named[0]] * len(found))


def scored_boxes(found: Sequence[Box]) -> Boxes:
    """Boxes that a recipe drew, as they are scored."""
    return Boxes.of([box.xywh for box in found], [box.type for box in found], [box.score for box in found])


def found_boxes(seen: Inspection, card: Card) -> Boxes:
    """The recipe's own boxes where it draws them; else those around regions of each type's class map, scored by the
    map's mean inside times the part's probability.
    """
    if card.recognition is not None and card.recognition.boxes:
        return scored_boxes(seen.boxes)
    if seen.class_maps is None:
        return Boxes.of([], [])
    high, wide = seen.image.shape[:2]
    boxes: list[tuple[float, ...]] = []
    names: list[str] = []
    scores: list[float] = []
    for name, share in zip(card.types, seen.class_maps(), strict=True):
        large = np.asarray(cv2.resize(share, (wide, high), interpolation=cv2.INTER_LINEAR), np.float32)
        for box, score in regions(large):
            boxes.append(box)
            names.append(name)
            scores.append(score * seen.types[name])
    return Boxes.of(boxes, names, scores)


def regions(share: NDArray[np.float32]) -> list[tuple[tuple[float, ...], float]]:
    """Boxes (x, y, width, height) px and mean share of the connected regions of a class map (H, W), at every level.

    A region that a higher level leaves as it is counts once, at the higher level.
    """
    found: list[tuple[tuple[float, ...], float]] = []
    for level in reversed(LEVELS):
        hot = (share > level).astype(np.uint8)
        if not hot.any():
            continue
        count, labels, stats, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
        sums = np.bincount(labels.ravel(), weights=share.ravel(), minlength=count)
        for index in range(1, count):
            x, y, w, h, area = stats[index].tolist()
            box = (float(x), float(y), float(w), float(h))
            if min(w, h) >= LEAST_PX and not any(_iou(box, other) > SAME for other, _ in found):
                found.append((box, float(sums[index] / area)))
    return found


def _iou(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    (ax, ay, aw, ah), (bx, by, bw, bh) = first, second
    shared = max(0.0, min(ax + aw, bx + bw) - max(ax, bx)) * max(0.0, min(ay + ah, by + bh) - max(ay, by))
    return shared / (aw * ah + bw * bh - shared)


def _around(mask: NDArray[np.bool_]) -> list[tuple[float, ...]]:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return [tuple(float(value) for value in stats[index, :4]) for index in range(1, count)]
