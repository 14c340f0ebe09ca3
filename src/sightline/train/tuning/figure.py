"""How well a network calls parts that it does not learn from: one number, and on how many parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.evaluate.boxes import Boxes, box_scores
from sightline.evaluate.found_boxes import scored_boxes
from sightline.models.recogniser import Recognised
from sightline.runtime.boxes import read_boxes
from sightline.runtime.placement import place
from sightline.train.box_labels import DrawnBoxes
from sightline.train.boxes import known_boxes
from sightline.train.labelled import Labelled
from sightline.train.objective import objective
from sightline.train.tuning.whole import Whole, as_batch

READ = 16  # images at a time


@dataclass(frozen=True)
class Figure:
    """Mean of what can be said of `parts` parts (0..1): recall of the classes, of the grades, and mAP50 of the boxes;
    and their mean loss, that of the boxes left out.
    """

    value: float
    loss: float
    parts: int

    def beats(self, other: Figure) -> bool:
        """Higher recall, or the same at a lower loss."""
        return (self.value, -self.loss) > (other.value, -other.loss)


@torch.no_grad()
def figure_of(net: Whole, labelled: Sequence[Labelled], counts: Tensor) -> Figure:
    """Of parts as they are, without another look."""
    net.eval()
    said, losses, boxes = [], [], BoxFigure(net)
    for start in range(0, len(labelled), READ):
        batch = list(labelled[start : start + READ])
        maps = net.maps(as_batch([x.image for x in batch], counts.device))
        answer = net.heads(maps)
        loss = objective(net.heads, answer, batch, np.zeros(len(batch), bool), counts)
        losses.append(float(loss) * len(batch))
        said.append(_on_cpu(answer, net))
        boxes.add(maps, batch)
    types = np.concatenate([one for one, _ in said])
    grades = np.concatenate([one for _, one in said])
    found = [*_values(types, grades, labelled, net.heads.exclusive), *boxes.values()]
    return Figure(float(np.mean(found)) if found else 0.0, sum(losses) / len(labelled), len(labelled))


class BoxFigure:
    """Boxes of parts whose boxes are known, as they are drawn and as a network says, and their mAP50."""

    def __init__(self, net: Whole) -> None:
        self._head = net.boxes
        self._pairs: list[tuple[Boxes, Boxes]] = []

    def add(self, maps: dict[str, Tensor], batch: Sequence[Labelled]) -> None:
        """What is said of a batch with these maps {name: (N, C, h, w)}."""
        known = [index for index, x in enumerate(batch) if x.boxes is not None]
        if self._head is None or not known:
            return
        scores, corners = self._head.answers({name: values[known] for name, values in maps.items()})
        names = [str(kind) for kind in range(scores.shape[1])]
        for row, index in enumerate(known):
            x = batch[index]
            where = place(x.image.shape[:2], x.image.shape[:2])
            seen = read_boxes(scores[row].cpu().numpy(), corners[row].cpu().numpy(), names, where)
            self._pairs.append((_drawn(known_boxes(x)), scored_boxes(seen)))

    def values(self) -> list[float]:
        """mAP50, where any box is known."""
        found = box_scores(*zip(*self._pairs, strict=True)).map50 if self._pairs else None
        return [] if found is None else [found]


def _drawn(boxes: DrawnBoxes) -> Boxes:
    corners = boxes.corners
    return Boxes.of(np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]), [str(kind) for kind in boxes.types])


def _on_cpu(answer: Recognised, net: Whole) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    types = answer.types.float().cpu().numpy()
    grade = np.zeros(len(types)) if answer.quality is None else net.heads.grade(answer.quality).float().cpu().numpy()
    return types, np.asarray(np.rint(grade), np.float32)


def _values(
    types: NDArray[np.float32], grades: NDArray[np.float32], labelled: Sequence[Labelled], exclusive: bool
) -> list[float]:
    """What can be said: recall over classes (or over presence and absence of each type), and over grades."""
    found = []
    named = [i for i, x in enumerate(labelled) if x.classes is not None and x.classes.any()]
    if named and types.shape[1] > 1:
        truth = np.array([labelled[i].classes for i in named])
        if exclusive:
            found.append(mean_recall(truth.argmax(1), types[named].argmax(1)))
        else:
            each = [mean_recall(truth[:, k], types[named, k] > 0) for k in range(1, types.shape[1])]
            found.append(float(np.mean(each)))
    graded = [i for i, x in enumerate(labelled) if x.grade >= 0]
    if graded:
        found.append(mean_recall(np.array([labelled[i].grade for i in graded]), grades[graded]))
    return found


def mean_recall(truth: NDArray[np.generic], said: NDArray[np.generic]) -> float:
    """Mean over the classes that are there of the share that is called so: balanced accuracy."""
    return float(np.mean([np.mean(said[truth == one] == one) for one in np.unique(truth)]))
