"""Defect maps against masks: Dice and intersection over union.

Sources: L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945); P. Jaccard,
"The distribution of the flora in the alpine zone", New Phytologist 11 (1912).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.evaluate.statistics.intervals import CONFIDENCE, Rate, exact_rate

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]
Maps = tuple[str, Flags, Flags]


@dataclass(frozen=True, slots=True)
class ImageOverlap:
    """One image, all types together. None on a good image where nothing was marked, 0 where something was."""

    name: str
    defective: bool
    dice: float | None
    iou: float | None

    def to_json(self) -> dict[str, Any]:
        """The figures as one flat JSON object."""
        return {"image": self.name, "defective": self.defective, "dice": self.dice, "iou": self.iou}


@dataclass(frozen=True, slots=True)
class TypeOverlap:
    """One type: means over the `images` that show it, and over the pixels of all images (`pooled_`).

    The means count every image the same, however small its defect, and see nothing of what is marked on images
    that do not show the type; the pooled figures see that, and large defects most.
    """

    name: str
    dice: float | None
    iou: float | None
    pooled_dice: float | None
    pooled_iou: float | None
    images: int

    def to_json(self) -> dict[str, Any]:
        """The figures as one flat JSON object."""
        return {
            "type": self.name,
            "dice": self.dice,
            "iou": self.iou,
            "pooled_dice": self.pooled_dice,
            "pooled_iou": self.pooled_iou,
            "images": self.images,
        }


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Means over the defective images, None without any; `marked_good`: good images on which anything was marked."""

    dice: float | None
    iou: float | None
    defective: int
    marked_good: Rate
    types: tuple[TypeOverlap, ...]
    images: tuple[ImageOverlap, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            "dice": self.dice,
            "iou": self.iou,
            "defective": self.defective,
            "marked_good": self.marked_good.to_json(),
            "types": [kind.to_json() for kind in self.types],
            "images": [image.to_json() for image in self.images],
        }


def overlaps(maps: Iterable[Maps], types: Sequence[str], confidence: float = CONFIDENCE) -> Overlaps:
    """Dice and IoU of (image name, truth (K, H, W) bool, predicted (K, H, W) bool), channels as `types`.

    Images are read one by one, so memory is that of one image. Good images have an empty truth. Raises
    InputError where truth and map differ in size, ValueError for other channels than `types` or a map that is
    not bool.
    """
    names: list[str] = []
    rows: list[Counts] = []
    for name, truth, predicted in maps:
        names.append(name)
        rows.append(_count(name, truth, predicted, len(types)))
    counts = np.array(rows, np.int64).reshape(-1, len(types) + 1, 3)
    dice, iou = _ratios(counts)
    actual = counts[:, :, 1] > 0
    bad = actual[:, 0]
    marked = int((counts[~bad, 0, 2] > 0).sum())
    return Overlaps(
        dice=_mean(dice[bad, 0]),
        iou=_mean(iou[bad, 0]),
        defective=int(bad.sum()),
        marked_good=exact_rate(marked, int((~bad).sum()), confidence),
        types=tuple(
            _type(name, counts[:, k], dice[actual[:, k], k], iou[actual[:, k], k]) for k, name in enumerate(types, 1)
        ),
        images=tuple(
            ImageOverlap(name, bool(bad[n]), _given(dice[n, 0]), _given(iou[n, 0])) for n, name in enumerate(names)
        ),
    )


def _type(name: str, counts: Counts, dice: NDArray[np.float64], iou: NDArray[np.float64]) -> TypeOverlap:
    pooled_dice, pooled_iou = _ratios(counts.sum(axis=0))
    return TypeOverlap(name, _mean(dice), _mean(iou), _given(pooled_dice), _given(pooled_iou), dice.size)


def _count(name: str, truth: Flags, predicted: Flags, types: int) -> Counts:
    """Pixels (1 + K, 3): shared, true, predicted; first of all types together, then of each."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.dtype != np.bool_ or predicted.dtype != np.bool_:
        raise ValueError(f"{name}: maps are {truth.dtype} and {predicted.dtype}. Compare with a threshold to get bool.")
    if truth.ndim != 3 or predicted.ndim != 3 or not truth.shape[0] == predicted.shape[0] == types:
        shapes = f"maps {truth.shape} and {predicted.shape}"
        raise ValueError(f"{name}: {shapes} are not (K, H, W) with {types} types. Give one map per type.")
    if truth.shape != predicted.shape:
        (height, width), (other_height, other_width) = truth.shape[1:], predicted.shape[1:]
        raise InputError(
            f"{name}: the mask is {width} x {height} px but the map is {other_width} x {other_height} px. "
            "Bring both to one size."
        )
    whole = (truth.any(axis=0), predicted.any(axis=0))
    pairs = [whole, *zip(truth, predicted, strict=True)]
    return np.array([[np.count_nonzero(a & b), np.count_nonzero(a), np.count_nonzero(b)] for a, b in pairs], np.int64)


def _ratios(counts: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dice and IoU of (..., 3) pixel counts; NaN where neither marks anything."""
    shared, total = counts[..., 0], counts[..., 1] + counts[..., 2]
    empty = np.full(shared.shape, np.nan)
    dice = np.divide(2.0 * shared, total, out=empty.copy(), where=total > 0)
    return dice, np.divide(shared, total - shared, out=empty, where=total > 0)


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if values.size else None


def _given(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
