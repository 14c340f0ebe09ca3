"""One step of learning: the gradient of a batch, in as many pieces as memory asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sightline.core.errors import TrainingError
from sightline.train.boxes import box_loss, known_boxes
from sightline.train.intake import warn
from sightline.train.labelled import Labelled
from sightline.train.objective import objective
from sightline.train.recognise import DROP
from sightline.train.tuning.whole import Whole, as_batch

MOST_NORM = 5.0  # of the gradient
FULL = ("can't allocate memory", "out of memory", "not enough memory")


def learn_from(
    net: Whole,
    optimiser: torch.optim.Optimizer,
    batch: Sequence[Labelled],
    counts: Tensor,
    seed: int,
    pieces: int,
    loss_name: str = "adjusted",
) -> tuple[float, int]:
    """Step by the batch's gradient; its loss, and the number of pieces that it was read in.

    Where memory is short, the batch is read in twice as many pieces, whose gradients are summed: what is learned
    stays nearly the same. With a loss or gradient that is no number nothing is changed. Raises TrainingError where
    not even single images fit.
    """
    while True:
        try:
            loss = _gradient(net, optimiser, batch, counts, seed, pieces, loss_name)
            norm = torch.nn.utils.clip_grad_norm_(net.parameters(), MOST_NORM)
            if np.isfinite(loss) and not bool(norm.isfinite()):
                loss = float(norm)
            if np.isfinite(loss):
                optimiser.step()
            return loss, pieces
        except RuntimeError as error:  # torch.OutOfMemoryError is one; a CPU has no error of its own
            if not isinstance(error, torch.OutOfMemoryError) and not any(text in str(error) for text in FULL):
                raise
            if pieces >= len(batch):
                raise TrainingError(
                    "fine-tuning does not fit into memory even with one image at a time. "
                    "Lower side_px or tune_depth, or choose a smaller backbone"
                ) from error
        pieces = min(len(batch), 2 * pieces)
        size = -(-len(batch) // pieces)
        warn(f"memory is short: batches of {len(batch)} are read in pieces of {size} image{'s' * (size > 1)}")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _gradient(
    net: Whole,
    optimiser: torch.optim.Optimizer,
    batch: Sequence[Labelled],
    counts: Tensor,
    seed: int,
    pieces: int,
    loss_name: str,
) -> float:
    """The gradient of the batch's mean loss, left in the parameters; the loss itself."""
    torch.manual_seed(seed)
    optimiser.zero_grad()
    net.heads.train()
    total, size = 0.0, -(-len(batch) // pieces)
    for start in range(0, len(batch), size):
        piece = list(batch[start : start + size])
        maps = net.maps(as_batch([x.image for x in piece], counts.device))
        said = net.heads(maps, DROP, net.recalled(piece))
        loss = objective(net.heads, said, piece, np.zeros(len(piece), bool), counts, loss_name)
        loss = loss + _boxes(net, maps, piece)
        loss = loss * (len(piece) / len(batch))
        loss.backward()
        total += float(loss.detach())
    return total


def _boxes(net: Whole, maps: dict[str, Tensor], piece: Sequence[Labelled]) -> Tensor | float:
    """The loss of the boxes, of those parts whose boxes are known."""
    known = [index for index, x in enumerate(piece) if x.boxes is not None]
    if net.boxes is None or not known:
        return 0.0
    said = net.boxes({name: values[known] for name, values in maps.items()})
    return box_loss(net.boxes, said, [known_boxes(piece[index]) for index in known])
