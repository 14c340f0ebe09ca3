"""What a recipe with known defect types says beyond the anomaly score: names, places, grade."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.band import Verdict
from sightline.core.card import Card
from sightline.core.result import Defect
from sightline.runtime.region import find_defects

UNKNOWN = "unknown"  # the type of a region that looks like no good part and like no known defect
SURE = 0.5  # probability, of a type for the part or of a class for a cell
NAMED = 0.25  # mean share of a type over a region that is enough to name it
SEVERITY = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}

Heat = NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """One image's `types` (name -> probability), `evidence` (the highest type logit), class shares (K, h, w) over the
    recipe's input, `grade`, and where the recipe draws boxes, their scores (K, cells) and corners (4, cells).
    """

    types: Mapping[str, float]
    evidence: float
    shares: Heat
    grade: int | None
    boxes: tuple[Heat, Heat] | None = None


def read_known(outputs: dict[str, NDArray[Any]], index: int, card: Card) -> Known | None:
    """What the graph says of known defects and grades about one image of a batch; None where it knows none."""
    grade = None
    if "grade" in outputs:
        expected = float(outputs["grade"][index])
        # A grade that is no number is the worst one (fail closed).
        worst = len(card.grades) - 1
        grade = worst if not np.isfinite(expected) else int(np.clip(round(expected), 0, worst))
    if "type_logits" not in outputs:
        return None if grade is None else Known(MappingProxyType({}), -np.inf, np.zeros((0, 1, 1), np.float32), grade)
    logits = outputs["type_logits"][index].astype(np.float64)
    shares = _softmax(np.append(0.0, logits))[1:] if card.exclusive else 1 / (1 + np.exp(-logits))
    types = MappingProxyType({name: float(share) for name, share in zip(card.types, shares, strict=True)})
    boxes = (outputs["box_scores"][index], outputs["boxes"][index]) if "boxes" in outputs else None
    return Known(types, float(logits.max(initial=-np.inf)), outputs["defect_map"][index], grade, boxes)


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


def decide(score: float, known: Known | None, card: Card) -> Verdict:
    """The verdict on a part.

    Usually the graver of what the anomaly score and the evidence for known types say. A recipe without good parts never
    says OK: NG where the part looks like the known ones and a type is named, else REVIEW.
    """
    if card.without_good:
        familiar = known is not None and card.band.decide(score) is Verdict.REVIEW and bool(named(known.types, card))
        return Verdict.NG if familiar or not np.isfinite(score) else Verdict.REVIEW
    return worst(card.band.decide(score), known, card)


def worst(first: Verdict, known: Known | None, card: Card) -> Verdict:
    """The graver of the anomaly reader's verdict and what the evidence for known types says."""
    if known is None or card.recognition is None or card.recognition.band is None:
        return first
    return max(first, card.recognition.band.decide(known.evidence), key=SEVERITY.__getitem__)


def name_defects(
    found: tuple[Defect, ...],
    known: Known,
    spread: Callable[[Heat], Heat],
    image_size: tuple[int, int],
    mm_per_px: float | None,
) -> tuple[Defect, ...]:
    """Regions with their types, and those that only the class map sees.

    `spread` brings a map over the recipe's input onto the whole image. A region takes the type that most of it is
    said to be; else the part's own, where that is sure; else it is `unknown`.
    """
    if not known.types:
        return found
    names = list(known.types)
    maps = np.stack([spread(share) for share in known.shares])
    sure = max(known.types, key=lambda name: known.types[name])
    usual = sure if known.types[sure] >= SURE else UNKNOWN
    named = tuple(replace(defect, type=_type_of(defect, maps, names, image_size) or usual) for defect in found)
    seen = [
        defect
        for share, name in zip(maps, names, strict=True)
        if share.max() > SURE
        for defect in find_defects(share, image_size, SURE, mm_per_px, name)
    ]
    return named + tuple(defect for defect in seen if not any(_overlap(defect, other) for other in named))


def _type_of(defect: Defect, maps: Heat, names: list[str], image_size: tuple[int, int]) -> str | None:
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
