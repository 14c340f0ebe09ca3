"""How well a network calls parts that it does not learn from: one number, and on how many parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.models.recogniser import Recognised
from sightline.train.labelled import Labelled
from sightline.train.objective import objective
from sightline.train.tuning.whole import Whole, as_batch

READ = 16  # images at a time


@dataclass(frozen=True)
class Figure:
    """Mean recall of the classes, and of the grades (0..1), on `parts` parts, and their mean loss."""

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
    said, losses = [], []
    for start in range(0, len(labelled), READ):
        batch = list(labelled[start : start + READ])
        answer = net(as_batch([x.image for x in batch], counts.device))
        loss = objective(net.heads, answer, batch, np.zeros(len(batch), bool), counts)
        losses.append(float(loss) * len(batch))
        said.append(_on_cpu(answer, net))
    types = np.concatenate([one for one, _ in said])
    grades = np.concatenate([one for _, one in said])
    return Figure(_value(types, grades, labelled, net.heads.exclusive), sum(losses) / len(labelled), len(labelled))


def _on_cpu(answer: Recognised, net: Whole) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    types = answer.types.float().cpu().numpy()
    grade = np.zeros(len(types)) if answer.quality is None else net.heads.grade(answer.quality).float().cpu().numpy()
    return types, np.asarray(np.rint(grade), np.float32)


def _value(
    types: NDArray[np.float32], grades: NDArray[np.float32], labelled: Sequence[Labelled], exclusive: bool
) -> float:
    """Mean of what can be said: recall over classes (or over presence and absence of each type), and over grades."""
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
    return float(np.mean(found)) if found else 0.0


def mean_recall(truth: NDArray[np.generic], said: NDArray[np.generic]) -> float:
    """Mean over the classes that are there of the share that is called so: balanced accuracy."""
    return float(np.mean([np.mean(said[truth == one] == one) for one in np.unique(truth)]))
