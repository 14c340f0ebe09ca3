"""Defect maps against masks: Dice and intersection over union.

Sources: L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945); P. Jaccard,
"The distribution of the flora in the alpine zone", New Phytologist 11 (1912).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.evaluate.statistics.intervals import Rate, exact_rate

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Means over the `defective` images, None without any; `marked_good`: good images on which anything was marked.

    The means count every image the same, however small its defect.
    """

    dice: float | None
    iou: float | None
    defective: int
    marked_good: Rate


def overlap(maps: Iterable[tuple[Flags, Flags]]) -> Overlap:
    """Dice and IoU of (truth (H, W) bool, predicted (H, W) bool) of each image; good images have an empty truth.

    Images are read one by one, so memory is that of one image. Raises ValueError for a pair that is not bool and of
    one size.
    """
    dice, iou, marked, good = [], [], 0, 0
    for truth, predicted in maps:
        if truth.dtype != np.bool_ or predicted.dtype != np.bool_ or truth.shape != predicted.shape:
            given = f"maps are {truth.shape} {truth.dtype} and {predicted.shape} {predicted.dtype}"
            raise ValueError(f"{given}. Bring both to one size, and compare with a threshold to get bool.")
        shared, either = np.count_nonzero(truth & predicted), np.count_nonzero(truth | predicted)
        if truth.any():
            dice.append(2.0 * shared / (shared + either))
            iou.append(shared / either)
        else:
            good += 1
            marked += bool(either)
    return Overlap(
        dice=float(np.mean(dice)) if dice else None,
        iou=float(np.mean(iou)) if iou else None,
        defective=len(dice),
        marked_good=exact_rate(marked, good),
    )
