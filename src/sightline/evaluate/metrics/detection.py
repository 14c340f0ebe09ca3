"""Detection: boxes that people drew and that a recipe found, and mean average precision as COCO defines it.

Source: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and the evaluation rules published
with it: per image and type the boxes are matched greedily by score; precision is interpolated at 101 recalls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.core.result import Box
from sightline.core.sample import Sample
from sightline.imaging.mask import read_mask
from sightline.runtime.inspection import Inspection
from sightline.runtime.recognition import SURE

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_PER_TYPE = 100  # boxes per image and type that count, the best scored first
LEVELS = (0.3, SURE, 0.7)  # of a class map: where instances touch at one level, they part at a higher one
MIN_PX = 4  # side of a box; smaller ones are less than a cell
SAME = 0.8  # IoU from which two boxes of different levels are the same


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """The boxes of one image. `xywh` (n, 4) float: left, top, width, height in px; `types` (n,) their types.

    `scores` (n,) float, higher = surer, for boxes that were found; not read for boxes that are the truth.
    Raises InputError for a box or score that is not a number or a negative size, ValueError for unequal lengths.
    """

    xywh: Floats
    types: tuple[str, ...]
    scores: Floats

    @classmethod
    def of(cls, xywh: ArrayLike, types: Sequence[str], scores: ArrayLike | None = None) -> Boxes:
        """From anything array-like; no boxes at all may be given as `[]`."""
        boxes = np.asarray(xywh, np.float64).reshape(-1, 4)
        given = np.ones(len(boxes)) if scores is None else np.asarray(scores, np.float64).ravel()
        if not len(boxes) == len(types) == given.size:
            lengths = f"{len(boxes)} boxes, {len(types)} types and {given.size} scores"
            raise ValueError(f"{lengths} do not match. Give one of each per box.")
        if not np.isfinite(boxes).all() or np.isnan(given).any():
            raise InputError("a box or its score is not a number. Correct it, or remove the box.")
        if (boxes[:, 2:] < 0).any():
            raise InputError("a box has a negative width or height. Give x, y, width, height in px.")
        return cls(boxes, tuple(types), given)


@dataclass(frozen=True, slots=True)
class BoxScore(Figures):
    """One type: average precision at IoU .50, and its mean over IoU .50:.05:.95.

    Rests on `truths` boxes in `images` images.
    """

    name: str
    ap50: float
    ap50_95: float
    truths: int
    images: int

    def to_json(self) -> dict[str, Any]:
        """The figures as one flat JSON object."""
        found = Figures.to_json(self)
        return {"type": found.pop("name"), **found}


@dataclass(frozen=True, slots=True)
class BoxScores(Figures):
    """Means over the types that have a true box; None without any.

    `left_out`: types found but true nowhere, which no average precision can hold; `images` were looked at.
    """

    map50: float | None
    map50_95: float | None
    types: tuple[BoxScore, ...]
    left_out: tuple[str, ...]
    images: int


def box_scores(truth: Sequence[Boxes], found: Sequence[Boxes]) -> BoxScores:
    """mAP of the boxes found in N images against the true ones; both come in the same order of images.

    Good images take part with no true boxes: what is found in them counts against precision. Crowds and areas
    to ignore are not known here. Raises InputError for a true box without an area, ValueError for unequal
    numbers of images.
    """
    if len(truth) != len(found):
        raise ValueError(f"{len(truth)} images with true and {len(found)} with found boxes do not match. Give both.")
    if any((boxes.xywh[:, 2:] <= 0).any() for boxes in truth):
        raise InputError("a true box has no area. Draw it around the defect, or remove it.")
    names = sorted({name for boxes in truth for name in boxes.types})
    others = sorted({name for boxes in found for name in boxes.types} - set(names))
    kinds = tuple(_score(name, truth, found) for name in names)
    return BoxScores(
        map50=float(np.mean([kind.ap50 for kind in kinds])) if kinds else None,
        map50_95=float(np.mean([kind.ap50_95 for kind in kinds])) if kinds else None,
        types=kinds,
        left_out=tuple(others),
        images=len(truth),
    )


def iou(first: ArrayLike, second: ArrayLike) -> Floats:
    """Intersection over union of every box of `first` (n, 4) with every one of `second` (m, 4): (n, m) float64.

    Boxes are x, y, width, height in px; two boxes without any area have 0.
    """
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (first, second))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    union = a[:, 2:].prod(axis=1)[:, None] + b[:, 2:].prod(axis=1)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _score(name: str, truth: Sequence[Boxes], found: Sequence[Boxes]) -> BoxScore:
    scores, hits, truths, images = [np.empty(0)], [np.empty((IOUS.size, 0), bool)], 0, 0
    for true, predicted in zip(truth, found, strict=True):
        targets = true.xywh[_chosen(true, name)]
        boxes, ranked = _best(predicted, name)
        truths, images = truths + len(targets), images + bool(len(targets))
        scores.append(ranked)
        hits.append(_match(boxes, targets))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    ap = _average_precision(np.concatenate(hits, axis=1)[:, order], truths)
    return BoxScore(name=name, ap50=float(ap[0]), ap50_95=float(ap.mean()), truths=truths, images=images)


def _chosen(boxes: Boxes, name: str) -> NDArray[np.intp]:
    return np.flatnonzero(np.array([kind == name for kind in boxes.types], bool))


def _best(boxes: Boxes, name: str) -> tuple[Floats, Floats]:
    """The boxes of one type that count, and their scores, best first."""
    chosen = _chosen(boxes, name)
    order = chosen[np.argsort(-boxes.scores[chosen], kind="stable")][:MAX_PER_TYPE]
    return boxes.xywh[order], boxes.scores[order]


def _match(boxes: Floats, targets: Floats) -> Flags:
    """Which boxes (n,), best first, meet a true box (m, 4) that no better one has taken: (thresholds, n) bool."""
    hits = np.zeros((IOUS.size, len(boxes)), bool)
    if not len(targets):
        return hits
    overlaps = iou(boxes, targets)
    free = np.ones((IOUS.size, len(targets)), bool)
    rows = np.arange(IOUS.size)
    for number, overlap in enumerate(overlaps):
        candidates = np.where(free, overlap, -1.0)
        # Of equal overlaps the last, as the published evaluation does.
        best = len(targets) - 1 - candidates[:, ::-1].argmax(axis=1)
        hit = candidates[rows, best] >= np.minimum(IOUS, 1 - 1e-10)
        hits[:, number] = hit
        free[rows[hit], best[hit]] = False
    return hits


def _average_precision(hits: Flags, truths: int) -> Floats:
    """(thresholds,) from `hits` (thresholds, n) in falling order of score."""
    found = np.cumsum(hits, axis=1)
    recall = found / truths
    precision = found / np.arange(1, hits.shape[1] + 1)
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # Beyond the last recall reached the precision is 0.
    padded = np.concatenate([best_from_here, np.zeros((IOUS.size, 1))], axis=1)
    return np.array(
        [row[np.searchsorted(at, RECALLS, side="left")].mean() for row, at in zip(padded, recall, strict=True)]
    )


def boxes_of(sample: Sample, mask: Path | None, size: tuple[int, int], types: Sequence[str]) -> Boxes | None:
    """The true boxes on an image (H, W): those people drew, else those around the mask's regions.

    None for a defective image without either. Boxes of types that the recipe does not know are left out.
    """
    if not sample.defective:
        return Boxes.of([], [])
    if sample.regions:
        inside = [region for part in sample.regions if (region := part.cut(*size)) and region.type in types]
        return Boxes.of([region.box for region in inside], [region.type for region in inside])
    named = [name for name in (*sample.types, "defect") if name in types]
    if mask is None or not named:
        return None
    count, _, stats, _ = cv2.connectedComponentsWithStats(read_mask(mask, size).astype(np.uint8), connectivity=8)
    return Boxes.of(stats[1:, :4], [named[0]] * (count - 1))


def scored_boxes(found: Sequence[Box]) -> Boxes:
    """A recipe's own boxes, as they are scored."""
    return Boxes.of([box.xywh for box in found], [box.type for box in found], [box.score for box in found])


def found_boxes(inspection: Inspection, card: Card) -> Boxes:
    """The recipe's own boxes where it has a box head; else those around regions of each type's class map, scored by the
    map's mean inside times the part's probability.
    """
    if card.recognition is not None and card.recognition.boxes:
        return scored_boxes(inspection.boxes)
    if inspection.class_maps is None:
        return Boxes.of([], [])
    high, wide = inspection.image.shape[:2]
    boxes: list[tuple[float, ...]] = []
    names: list[str] = []
    scores: list[float] = []
    for name, share in zip(card.types, inspection.class_maps(), strict=True):
        large = np.asarray(cv2.resize(share, (wide, high), interpolation=cv2.INTER_LINEAR), np.float32)
        for box, score in regions(large):
            boxes.append(box)
            names.append(name)
            scores.append(score * inspection.types[name])
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
            if min(w, h) >= MIN_PX and not (iou(box, [other for other, _ in found]) > SAME).any():
                found.append((box, float(sums[index] / area)))
    return found
