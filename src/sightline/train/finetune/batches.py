"""Who is learned from, who says when to stop, and who judges: whole groups each, so that no part helps its twin."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from sightline.data.augment import Augmentation
from sightline.train.classify.classifier import BALANCE
from sightline.train.classify.validation import FEW, deal_folds
from sightline.train.labels.sampling import BalancedOrder
from sightline.train.labels.targets import Labelled
from sightline.train.settings import TrainSettings

FEW_FOLDS, FOLDS = 5, 10  # with few labelled defects a tenth of them would be nobody
JUDGING = 2  # folds of ten: as many parts as judge a frozen backbone


@dataclass(frozen=True)
class Split:
    """Indices of the parts that a backbone learns from, that say when to stop, and that judge it at the end."""

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


# What is learned from at each step: parts in a fair order, each in another look, by seed and step.

STRENGTH = 0.5  # of the augmentation
SHARE_EPOCHS = 4  # that the classes' shares of the draws are counted over
MIN_SHARE = 1e-3


class Views:
    """Batches of parts in other looks. Nothing is remembered from step to step, so a run can go on at any."""

    def __init__(self, labelled: list[Labelled], settings: TrainSettings) -> None:
        self._labelled, self._seed = labelled, settings.seed
        boxed = any(x.boxes is not None and len(x.boxes.types) for x in labelled)
        # An upright box around a turned one is too large, and would teach where no defect is.
        self._augment = Augmentation(STRENGTH, {*settings.augment_without, *(["rotation"] if boxed else [])})
        groups = [x.part.unit for x in labelled]
        self._order = BalancedOrder([label(x) for x in labelled], groups, settings.tune_batch, BALANCE, settings.seed)

    def batches(self, start: int) -> Iterator[list[Labelled]]:
        """Endless batches from step `start`."""
        for step, indices in enumerate(self._order.batches(start), start):
            yield [
                augmented(self._labelled[index], self._augment, np.random.default_rng((self._seed, step, kind)))
                for kind, index in enumerate(indices)
            ]

    def counts(self, classes: int) -> Tensor:
        """How many parts (K + 1,) of each class there seem to be, as often as they are drawn."""
        sampled_indices = np.concatenate([self._order.epoch(number) for number in range(SHARE_EPOCHS)])
        predicted = [self._labelled[i].classes for i in sampled_indices if self._labelled[i].classes is not None]
        found = np.sum(predicted, axis=0, dtype=np.float64) if predicted else np.ones(classes)
        shares = np.maximum(found / max(1.0, found.sum()), MIN_SHARE)
        return torch.from_numpy(shares / shares.sum() * len(self._labelled)).float()


def label(x: Labelled) -> Hashable:
    """What a part counts as: its types, a grade below the best, () if it is good, else something that has no name."""
    types = () if x.classes is None else tuple(np.flatnonzero(x.classes[1:]).tolist())
    if types or x.grade > 0:
        return types or f"grade {x.grade}"
    return () if x.grade == 0 or (x.classes is not None and x.classes[0]) else "unnamed"


def augmented(x: Labelled, augment: Augmentation, rng: np.random.Generator) -> Labelled:
    """A part in another look, its marks and boxes along with it."""
    size = (x.image.shape[1], x.image.shape[0])
    marked = [] if x.cells is None else [kind for kind in range(1, len(x.cells)) if x.cells[kind].any()]
    masks = [cv2.resize(x.cells[kind], size, interpolation=cv2.INTER_LINEAR) for kind in marked]  # type: ignore[index]
    image, moved, matrix = augment.with_move(x.image, np.array(masks, np.float32).reshape(len(masks), *size[::-1]), rng)
    boxes = None if x.boxes is None else x.boxes.moved(matrix, size[::-1])
    if x.cells is None:
        return replace(x, image=image, boxes=boxes)
    high, wide = x.cells.shape[1:]
    cells = np.zeros_like(x.cells)
    for kind, mask in zip(marked, moved, strict=True):
        cells[kind] = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA)
    cells[0] = 1 - cells[1:].max(axis=0)
    return replace(x, image=image, cells=cells, boxes=boxes)
