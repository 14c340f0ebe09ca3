"""How well a network calls parts that it does not learn from: one number, and on how many parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.evaluate.metrics.detection import Boxes, box_scores, scored_boxes
from sightline.models.classifier import Recognised
from sightline.runtime.letterbox import fit_letterbox
from sightline.runtime.recognition import read_boxes
from sightline.train.classify.classifier import objective
from sightline.train.classify.detector import labelled_boxes
from sightline.train.finetune.network import JointNetwork, as_batch
from sightline.train.labels.targets import BoxTargets, Labelled

READ = 16  # images at a time
Called = tuple[NDArray[np.generic], NDArray[np.generic]]  # what parts are (N,), and what is predicted (N,)


@dataclass(frozen=True)
class ValidationScore:
    """Mean of what can be said of `parts` parts (0..1): recall of the classes, of the grades, and mAP50 of the boxes;
    and their mean loss, that of the boxes left out. `error` is the standard error of the value, by the recalls.
    """

    value: float
    loss: float
    parts: int
    error: float = 0.0


@torch.no_grad()
def validation_score_of(net: JointNetwork, labelled: Sequence[Labelled], counts: Tensor) -> ValidationScore:
    """Of parts as they are, without another look."""
    net.eval()
    predicted, losses, boxes = [], [], BoxValidationScore(net)
    for start in range(0, len(labelled), READ):
        batch = list(labelled[start : start + READ])
        maps = net.maps(as_batch([x.image for x in batch], counts.device))
        answer = net.heads(maps)
        loss = objective(net.heads, answer, batch, np.zeros(len(batch), bool), counts)
        losses.append(float(loss) * len(batch))
        predicted.append(_on_cpu(answer, net))
        boxes.add(maps, batch)
    types = np.concatenate([one for one, _ in predicted])
    grades = np.concatenate([one for _, one in predicted])
    recalls = _recalls(types, grades, labelled, net.heads.exclusive)
    found = [*(mean_recall(*recall) for recall in recalls), *boxes.values()]
    value = float(np.mean(found)) if found else 0.0
    error = math.hypot(*(recall_error(*recall) for recall in recalls)) / max(1, len(found))
    return ValidationScore(value, sum(losses) / len(labelled), len(labelled), error)


class BoxValidationScore:
    """Boxes of parts whose boxes are known, labelled and predicted, and their mAP50."""

    def __init__(self, net: JointNetwork) -> None:
        self._head = net.boxes
        self._pairs: list[tuple[Boxes, Boxes]] = []

    def add(self, maps: dict[str, Tensor], batch: Sequence[Labelled]) -> None:
        """Predictions for a batch with these maps {name: (N, C, h, w)}."""
        boxed = [index for index, x in enumerate(batch) if x.boxes is not None]
        if self._head is None or not boxed:
            return
        scores, corners = self._head.answers({name: values[boxed] for name, values in maps.items()})
        names = [str(kind) for kind in range(scores.shape[1])]
        for row, index in enumerate(boxed):
            x = batch[index]
            where = fit_letterbox(x.image.shape[:2], x.image.shape[:2])
            found = read_boxes(scores[row].cpu().numpy(), corners[row].cpu().numpy(), names, where)
            self._pairs.append((_true_boxes(labelled_boxes(x)), scored_boxes(found)))

    def values(self) -> list[float]:
        """mAP50, where any box is known."""
        found = box_scores(*zip(*self._pairs, strict=True)).map50 if self._pairs else None
        return [] if found is None else [found]


def _true_boxes(boxes: BoxTargets) -> Boxes:
    corners = boxes.corners
    return Boxes.of(np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]), [str(kind) for kind in boxes.types])


def _on_cpu(answer: Recognised, net: JointNetwork) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    types = answer.types.float().cpu().numpy()
    grade = np.zeros(len(types)) if answer.quality is None else net.heads.grade(answer.quality).float().cpu().numpy()
    return types, np.asarray(np.rint(grade), np.float32)


def _recalls(
    types: NDArray[np.float32], grades: NDArray[np.float32], labelled: Sequence[Labelled], exclusive: bool
) -> list[Called]:
    """True and predicted classes of labelled parts, and true and predicted grades; presence and absence of each
    type where parts may carry several.
    """
    found: list[Called] = []
    named = [i for i, x in enumerate(labelled) if x.classes is not None and x.classes.any()]
    if named and types.shape[1] > 1:
        truth = np.array([labelled[i].classes for i in named])
        if exclusive:
            found.append((truth.argmax(1), types[named].argmax(1)))
        else:
            # All types together are one question: class 2k is type k's absence, 2k + 1 its presence.
            pair = 2 * np.arange(types.shape[1] - 1)
            found.append(((pair + truth[:, 1:]).ravel().astype(int), (pair + (types[named, 1:] > 0)).ravel()))
    graded = [i for i, x in enumerate(labelled) if x.grade >= 0]
    if graded:
        found.append((np.array([labelled[i].grade for i in graded]), grades[graded]))
    return found


def mean_recall(truth: NDArray[np.generic], predicted: NDArray[np.generic]) -> float:
    """Mean over the classes that are there of the share that is called so: balanced accuracy."""
    return float(np.mean([np.mean(predicted[truth == one] == one) for one in np.unique(truth)]))


def recall_error(truth: NDArray[np.generic], predicted: NDArray[np.generic]) -> float:
    """Standard error of `mean_recall`. With one more part right and one more wrong in each class, or a class of three
    that are all right would be sure of itself (A. Agresti and B. A. Coull, The American Statistician 52, 1998).
    """
    classes, errors = np.unique(truth), []
    for one in classes:
        of = int((truth == one).sum()) + 2
        share = (int((predicted[truth == one] == one).sum()) + 1) / of
        errors.append(share * (1 - share) / of)
    return math.sqrt(sum(errors)) / len(classes)
