"""What a recipe with labelled defects says beyond the anomaly score: types, regions, boxes, grade.

Suppression of boxes is soft (N. Bodla et al., "Soft-NMS: Improving object detection with one line of code", ICCV 2017):
the more a box lies under surer ones, the less it counts, instead of staying whole below one overlap and going above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.result import SEVERITY, Box, Defect, Verdict
from sightline.runtime.inspection import UNKNOWN, find_defects
from sightline.runtime.letterbox import Letterbox

SURE = 0.5  # probability, of a type for the part or of a class for a cell
POSSIBLE = 0.05  # probability below which a part as a whole is said not to carry a type
NAMED = 0.25  # mean share of a type over a region that is enough to name it

MIN_SCORE = 0.05  # of a box
MAX_CELLS, MAX_BOXES = 200, 100  # of a type that are looked at, and boxes of an image
FADE = 0.5  # a box's score falls by exp(-IoU^2 / FADE) for each surer one of its type (soft suppression)
FINE = 2**14  # whole steps along an image's side in which boxes are compared: areas stay within 31 bits

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """One image's `types` (name -> probability), `type_logit` (the highest type logit), class shares (K, h, w) over the
    recipe's input, `grade`, and where the recipe draws boxes, their scores (K, cells) and corners (4, cells).
    """

    types: Mapping[str, float]
    type_logit: float
    shares: Floats
    grade: int | None
    boxes: tuple[Floats, Floats] | None = None


def read_predictions(outputs: dict[str, NDArray[Any]], index: int, card: Card) -> Predictions | None:
    """What the graph says of known defects and grades about one image of a batch; None where it knows none."""
    grade = None
    if "grade" in outputs:
        expected = float(outputs["grade"][index])
        # A grade that is not a number is the worst one (fail closed).
        worst = len(card.grades) - 1
        grade = worst if not np.isfinite(expected) else int(np.clip(round(expected), 0, worst))
    if "type_logits" not in outputs:
        return (
            None
            if grade is None
            else Predictions(MappingProxyType({}), -np.inf, np.zeros((0, 1, 1), np.float32), grade)
        )
    logits = outputs["type_logits"][index].astype(np.float64)
    shares = _softmax(np.append(0.0, logits))[1:] if card.exclusive else 1 / (1 + np.exp(-logits))
    types = MappingProxyType({name: float(share) for name, share in zip(card.types, shares, strict=True)})
    boxes = (outputs["box_scores"][index], outputs["boxes"][index]) if "boxes" in outputs else None
    return Predictions(types, float(logits.max(initial=-np.inf)), outputs["defect_map"][index], grade, boxes)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.exp(logits - logits.max())
    return np.asarray(values / values.sum())


def named(types: Mapping[str, float], card: Card) -> tuple[str, ...]:
    """The types a part is said to carry: the likeliest where types exclude each other, unless good is likelier."""
    if not card.exclusive:
        return tuple(name for name, share in types.items() if share >= SURE)
    best = max(types, key=lambda name: types[name], default=None)
    good = 1.0 - sum(types.values())
    return () if best is None or types[best] < good else (best,)


def decide(score: float, distance: float, predictions: Predictions | None, card: Card) -> tuple[Verdict, str]:
    """The verdict on a part, and what decided it where that was not the score alone.

    Usually the graver of what the anomaly score and the evidence for known types say; but a picture that lies outside
    of what the recipe is for (`distance` above 1, `Card.ood`) is never OK. A recipe without good parts never says OK:
    NG where the part looks like the known ones and a type is named, else REVIEW.
    """
    outside = card.ood.reason(distance, score)
    if card.without_good:
        familiar = (
            predictions is not None
            and card.band.decide(score) is Verdict.REVIEW
            and bool(named(predictions.types, card))
        )
        sure = familiar and outside is None
        return Verdict.NG if sure or not np.isfinite(score) else Verdict.REVIEW, (outside or "") if familiar else ""
    own = card.band.decide(score)
    verdict = worst(own, predictions, card)
    if verdict is Verdict.OK and outside is not None:
        return Verdict.REVIEW, outside
    if verdict is not own and predictions is not None:
        likeliest = max(predictions.types, key=lambda name: predictions.types[name])
        return (
            verdict,
            f"the known type '{likeliest}' ({predictions.types[likeliest]:.0%}) decided: the score alone says {own}",
        )
    return verdict, ""


def worst(first: Verdict, predictions: Predictions | None, card: Card) -> Verdict:
    """The graver of the anomaly score's verdict and what the evidence for known types says."""
    if predictions is None or card.recognition is None or card.recognition.band is None:
        return first
    return max(first, card.recognition.band.decide(predictions.type_logit), key=SEVERITY.__getitem__)


def name_defects(
    found: tuple[Defect, ...],
    predictions: Predictions,
    over_image: Callable[[Floats], Floats],
    image_size: tuple[int, int],
    mm_per_px: float | None,
    exclusive: bool = False,
) -> tuple[Defect, ...]:
    """Regions with their types, and those that only the class map sees.

    `over_image` brings a map over the recipe's input onto the whole image. A region takes the type that most of it is
    said to be; else the part's own, where that is sure; else it is `unknown`. What the part as a whole is said not to
    carry is not a region's type: of types that exclude each other, a sure one is that of every region.
    """
    if not predictions.types:
        return found
    names = list(predictions.types)
    maps = np.stack([over_image(share) for share in predictions.shares])
    sure = max(predictions.types, key=lambda name: predictions.types[name])
    default = sure if predictions.types[sure] >= SURE else UNKNOWN
    alone = exclusive and default is not UNKNOWN
    possible = {name for name, share in predictions.types.items() if share >= (SURE if alone else POSSIBLE)}

    def predicted(name: str | None) -> str:
        return name if name in possible and name is not None else default

    named = tuple(replace(defect, type=predicted(_type_of(defect, maps, names, image_size))) for defect in found)
    mapped = [
        defect
        for share, name in zip(maps, names, strict=True)
        if share.max() > SURE
        for defect in find_defects(share, image_size, SURE, mm_per_px, predicted(name))
    ]
    return named + tuple(defect for defect in mapped if not any(_overlap(defect, other) for other in named))


def _type_of(defect: Defect, maps: Floats, names: list[str], image_size: tuple[int, int]) -> str | None:
    (x, y, w, h), (high, wide) = defect.box, image_size
    rows, columns = maps.shape[1] / high, maps.shape[2] / wide
    top, left = int(y * rows), int(x * columns)
    inside = maps[:, top : max(top + 1, round((y + h) * rows)), left : max(left + 1, round((x + w) * columns))]
    shares = inside.mean(axis=(1, 2))
    best = int(shares.argmax())
    return names[best] if shares[best] >= NAMED else None


def _overlap(first: Defect, second: Defect) -> bool:
    (ax, ay, aw, ah), (bx, by, bw, bh) = first.box, second.box
    return ax < bx + bw and bx < ax + aw and ay < by + bh and by < ay + ah


def read_boxes(scores: Floats, corners: Floats, names: Sequence[str], letterbox: Letterbox) -> tuple[Box, ...]:
    """Scores (K, cells) and corners (4, cells) in px of the input -> boxes on the image, the surest first.

    A cell whose numbers are not finite is passed over. The score is what is left of a cell's once surer boxes of its
    type that overlap have taken their share.
    """
    ends = _on_image(corners, letterbox)
    sized = np.concatenate([ends[:2], ends[2:] - ends[:2]])
    fine = np.isfinite(sized).all(0) & (sized[2:] > 0).all(0)
    steps, found = FINE / max(letterbox.image_size), []
    for name, share in zip(names, scores, strict=True):
        sure = np.flatnonzero(fine & (share > MIN_SCORE))
        sure = sure[np.argsort(-share[sure], kind="stable")][:MAX_CELLS]
        if not len(sure):
            continue
        boxes = sized[:, sure].T
        whole = np.rint(boxes * steps).astype(int).tolist()
        left, indices = cv2.dnn.softNMSBoxes(whole, share[sure].astype(float).tolist(), MIN_SCORE, 0.0, sigma=FADE)
        found += [
            Box(name, float(score), tuple(boxes[index].tolist()))
            for score, index in zip(np.ravel(left), np.ravel(indices), strict=True)
        ]
    return tuple(sorted(found, key=lambda box: -box.score)[:MAX_BOXES])


def back(boxes: tuple[Box, ...], warp: NDArray[np.float64]) -> tuple[Box, ...]:
    """Boxes on an aligned image -> the upright boxes around them on the image that came, `warp` (2, 3) between them."""
    if np.array_equal(warp, np.eye(2, 3)):
        return boxes
    found = []
    for box in boxes:
        x, y, w, h = box.xywh
        points = warp @ np.array([[x, x + w, x + w, x], [y, y, y + h, y + h], [1, 1, 1, 1]])
        (left, top), (right, bottom) = points.min(1).tolist(), points.max(1).tolist()
        found.append(Box(box.type, box.score, (left, top, right - left, bottom - top)))
    return tuple(found)


def _on_image(corners: Floats, letterbox: Letterbox) -> NDArray[np.float64]:
    """Corners (4, cells) in px of the image, cut to its region of interest."""
    left, top, wide, high = letterbox.inner
    x, y, w, h = letterbox.crop
    across = np.clip((corners[[0, 2]] - left) * (w / wide), 0, w) + x
    down = np.clip((corners[[1, 3]] - top) * (h / high), 0, h) + y
    return np.stack([across[0], down[0], across[1], down[1]])
