"""What a recogniser is taught by: the sum of what can be said about each part, its types, its places, its grade."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sightline.models.losses import LOSSES, asymmetric_loss, cumulative_link_loss, logit_adjusted_cross_entropy
from sightline.models.recogniser import Recognised, Recogniser
from sightline.train.labelled import Labelled

MARKED_WEIGHT = 4.0  # of a marked cell beside an unmarked one: marks are small


def objective(
    net: Recogniser,
    said: Recognised,
    batch: Sequence[Labelled],
    mirrored: NDArray[np.bool_],
    counts: Tensor,
    loss: str = "adjusted",
) -> Tensor:
    """The loss of a batch, on the device of what was `said`.

    `mirrored` (N,) tells parts whose image was mirrored from left to right, and whose cells are not yet. `counts`
    (K + 1,) are the training parts of each class, as often as they are drawn; `loss` is that of the types, by name.
    """
    device, total = said.types.device, said.types.sum() * 0
    known = [index for index, x in enumerate(batch) if x.classes is not None]
    if known:
        truth = torch.from_numpy(np.array([batch[index].classes for index in known])).to(device)
        total = total + _types(said.types[known], truth, counts, net.exclusive, loss)
    marked = [index for index, x in enumerate(batch) if x.cells is not None]
    if marked:
        cells = [batch[i].cells[..., ::-1] if mirrored[i] else batch[i].cells for i in marked]  # type: ignore[index]
        total = total + _places(said.places[marked], torch.from_numpy(np.ascontiguousarray(cells)).to(device))
    graded = [index for index, x in enumerate(batch) if x.grade >= 0]
    if graded and said.quality is not None:
        grade = torch.tensor([batch[index].grade for index in graded], device=device)
        total = total + cumulative_link_loss(said.quality[graded], net.steps, grade)
    return total


def _types(logits: Tensor, truth: Tensor, counts: Tensor, exclusive: bool, name: str) -> Tensor:
    """A part whose only type is not learned carries no class, and says nothing."""
    if not exclusive:
        if name == "asymmetric":
            return asymmetric_loss(logits[:, 1:], truth[:, 1:].float())
        return F.binary_cross_entropy_with_logits(logits[:, 1:], truth[:, 1:].float())
    some = truth.any(1)
    if not some.any():
        return logits.sum() * 0
    logits, labels = logits[some], truth[some].int().argmax(1)
    # Drawn as often as the root of their counts, classes have that prior; the rest of it is taken out by the loss.
    loss = logit_adjusted_cross_entropy if name == "asymmetric" else LOSSES[name]
    return loss(logits, labels, counts)


def _places(logits: Tensor, cells: Tensor) -> Tensor:
    """Cross-entropy per cell, marked ones weighted up, and soft Dice (Milletari et al., 3DV 2016) of the whole mark."""
    logits = F.interpolate(logits, size=cells.shape[-2:], mode="bilinear", align_corners=False)
    marked = 1 - cells[:, 0]
    entropy = -(cells * F.log_softmax(logits, 1)).sum(1) * (1 + MARKED_WEIGHT * marked)
    seen = 1 - logits.softmax(1)[:, 0]
    overlap = (2 * (seen * marked).sum((1, 2)) + 1) / (seen.sum((1, 2)) + marked.sum((1, 2)) + 1)
    some = marked.amax((1, 2)) > 0
    return entropy.mean() + (0.5 * (1 - overlap[some]).mean() if some.any() else 0.0)
