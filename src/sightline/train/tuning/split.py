"""Who is learned from, who says when to stop, and who judges: whole groups each, so that no part helps its twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.train.labelled import Labelled
from sightline.train.recognition import FEW, deal_folds
from sightline.train.tuning.views import label

FEW_FOLDS, FOLDS = 5, 10  # with few labelled defects a tenth of them would be nobody
JUDGING = 2  # folds of ten: as many parts as judge a frozen trunk


@dataclass(frozen=True)
class Split:
    """Indices of the parts that a trunk learns from, that say when to stop, and that judge it at the end."""

    learning: list[int]
    stopping: list[int]
    judging: list[int]


def split_parts(labelled: list[Labelled], seed: int) -> Split | None:
    """The split; None where one of its sides would know one kind of part only."""
    few = sum(bool(x.part.sample.defective) for x in labelled) <= FEW
    if len({x.part.unit for x in labelled}) < 2:
        return None
    folds = deal_folds(labelled, FEW_FOLDS if few else FOLDS, seed)
    last = 1 if few else JUDGING
    sides = [np.flatnonzero(folds > last), np.flatnonzero(folds == 0), np.flatnonzero((folds > 0) & (folds <= last))]
    learning, stopping, judging = (side.tolist() for side in sides)
    if any(len({label(labelled[index]) for index in side}) < 2 for side in (learning, stopping, judging)):
        return None
    return Split(learning, stopping, judging)
