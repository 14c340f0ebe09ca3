"""What is learned from at each step: parts in a fair order, each in another look, by seed and step."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from sightline.data.augment import Augmentation
from sightline.train.labelled import Labelled
from sightline.train.recognise import BALANCE
from sightline.train.sampling import BalancedOrder
from sightline.train.settings import TrainSettings

STRENGTH = 0.5  # of the augmentation
SHARE_EPOCHS = 4  # that the classes' shares of the draws are counted over
LEAST_SHARE = 1e-3


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
                seen(self._labelled[index], self._augment, np.random.default_rng((self._seed, step, place)))
                for place, index in enumerate(indices)
            ]

    def counts(self, classes: int) -> Tensor:
        """How many parts (K + 1,) of each class there seem to be, as often as they are drawn."""
        drawn = np.concatenate([self._order.epoch(number) for number in range(SHARE_EPOCHS)])
        said = [self._labelled[i].classes for i in drawn if self._labelled[i].classes is not None]
        found = np.sum(said, axis=0, dtype=np.float64) if said else np.ones(classes)
        shares = np.maximum(found / max(1.0, found.sum()), LEAST_SHARE)
        return torch.from_numpy(shares / shares.sum() * len(self._labelled)).float()


def label(x: Labelled) -> Hashable:
    """What a part counts as: its types, a grade below the best, () if it is good, else something that has no name."""
    types = () if x.classes is None else tuple(np.flatnonzero(x.classes[1:]).tolist())
    if types or x.grade > 0:
        return types or f"grade {x.grade}"
    return () if x.grade == 0 or (x.classes is not None and x.classes[0]) else "unnamed"


def seen(x: Labelled, augment: Augmentation, rng: np.random.Generator) -> Labelled:
    """A part in another look, its marks and boxes along with it."""
    size = (x.image.shape[1], x.image.shape[0])
    marked = [] if x.cells is None else [place for place in range(1, len(x.cells)) if x.cells[place].any()]
    masks = [cv2.resize(x.cells[place], size, interpolation=cv2.INTER_LINEAR) for place in marked]  # type: ignore[index]
    image, moved, matrix = augment.with_move(x.image, np.array(masks, np.float32).reshape(len(masks), *size[::-1]), rng)
    boxes = None if x.boxes is None else x.boxes.moved(matrix, size[::-1])
    if x.cells is None:
        return replace(x, image=image, boxes=boxes)
    high, wide = x.cells.shape[1:]
    cells = np.zeros_like(x.cells)
    for place, mask in zip(marked, moved, strict=True):
        cells[place] = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA)
    cells[0] = 1 - cells[1:].max(axis=0)
    return replace(x, image=image, cells=cells, boxes=boxes)
