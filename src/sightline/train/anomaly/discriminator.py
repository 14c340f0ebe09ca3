"""Teaching the discriminator with synthetic defects, so that it is judged on parts and kinds it was not taught with.

Units are dealt into folds, and defects of one group of kinds are drawn on the parts of each. The network of a fold is
taught with the other folds: with other parts and other kinds. What it says about its own fold is therefore what it
would say about a defect that nobody thought of. The recipe gets the mean of the networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.data.synthetic.painters import GROUPS
from sightline.models.anomaly import Discriminator
from sightline.train.anomaly.memory_bank import without

FOLDS = len(GROUPS)
MIN_UNITS = 2 * FOLDS
MIN_DRAWINGS = 48  # in all: with fewer, two groups of kinds show too little to learn from
HIDDEN, STEPS = 32, 200
LEARNING_RATE, WEIGHT_DECAY, DROP = 4e-3, 1e-2, 0.3
WARM_UP, BETA_1, BETA_2 = 40, 0.9, 0.999
DEFECTIVE, GOOD, BESIDE = 256, 384, 128  # cells of a step: drawn, on good parts, on drawn parts beside the defect
MAX_GOOD = 16_000  # cells of good parts, kept while teaching
DEVIATION_SHARE = 0.1  # of the mean one, added to every feature's: one that never moves on good parts must not rule


def deal_units(units: Sequence[int], seed: int) -> dict[int, int]:
    """A fold of each unit; empty where there are too few units to hold a fold out."""
    held_out = np.unique(units)
    if len(held_out) < MIN_UNITS:
        return {}
    return {int(unit): turn % FOLDS for turn, unit in enumerate(np.random.default_rng(seed).permutation(held_out))}


class Discriminators:
    """One network for each fold: weights (F, C, H), bias (F, 1, H), readout (F, H, 1), on features (P, C).

    `offsets` (F,) are added to what each says, so that all of them speak on one scale.
    """

    def __init__(self, weights: Tensor, bias: Tensor, readout: Tensor, offsets: Tensor, folds: dict[int, int]) -> None:
        self._weights, self._bias, self._readout, self._folds = weights, bias, readout, folds
        self._offsets = offsets - offsets.mean()  # the mean network has none

    def distances(self, rows: Tensor, unit: int) -> Tensor:
        """What the network that does not know the unit says of its features (P, C): (P,)."""
        fold = self._folds[unit]
        output = F.relu(rows @ self._weights[fold] + self._bias[fold]) @ self._readout[fold]
        return output[:, 0] + self._offsets[fold]

    def joined(self) -> Discriminator:
        """The mean of all networks, as one with a wider hidden layer."""
        weights = self._weights.permute(0, 2, 1).flatten(0, 1)
        return Discriminator(weights, self._bias.flatten(), self._readout.flatten() / len(self._readout))


def teach_discriminators(
    good: tuple[Tensor, Tensor], defective: tuple[Tensor, Tensor], beside: tuple[Tensor, Tensor],
    folds: dict[int, int], seed: int, ignored: Tensor | None = None,
) -> Discriminators:  # fmt: skip
    """Networks that tell cells of synthetic defects from those of good parts and those beside the defects.

    Each of the three is features (P, C) and the unit (P,) they come from. What lies along the orthonormal directions
    `ignored` (C, k) plays no part.
    """
    good_rows = without(good[0], ignored)
    mean = good_rows.mean(0)
    deviation = good_rows.std(0)
    deviation = deviation + DEVIATION_SHARE * deviation.mean()
    del good_rows
    kinds = (defective, good, beside)
    pools = [(without(features, ignored).sub(mean).div_(deviation), _others(units, folds)) for features, units in kinds]
    generator = torch.Generator().manual_seed(seed)
    size = good[0].shape[1]
    net = _Nets(size, generator).to(mean.device)
    step_by = _Adam(list(net.parameters()))
    truth = torch.cat([torch.ones(DEFECTIVE), torch.zeros(GOOD + BESIDE)]).to(mean.device).expand(FOLDS, -1)
    for step in range(STEPS):
        counts = (DEFECTIVE, GOOD, BESIDE)
        batch = torch.cat([_draw(*pool, count, generator) for pool, count in zip(pools, counts, strict=True)], dim=1)
        kept = torch.rand(batch.shape, generator=generator).to(batch.device) >= DROP
        loss = F.binary_cross_entropy_with_logits(net(batch * kept / (1 - DROP)), truth) * FOLDS
        step_by(torch.autograd.grad(loss, step_by.values), step)
    weights = net.weights.detach() / deviation[:, None]
    bias = net.bias.detach() - (mean @ weights)[:, None]
    weights = without(weights.mT, ignored).mT
    offsets = net.offset.detach().flatten()
    return Discriminators(weights, bias.reshape(FOLDS, 1, HIDDEN), net.readout.detach(), offsets, folds)


class _Nets(nn.Module):
    """The folds' networks side by side: standardised features (F, B, C) -> log odds (F, B)."""

    def __init__(self, size: int, generator: torch.Generator) -> None:
        super().__init__()
        reach, inner = size**-0.5, HIDDEN**-0.5  # the bounds that torch's own linear layers start from

        def start(*shape: int, bound: float) -> nn.Parameter:
            return nn.Parameter((torch.rand(shape, generator=generator) * 2 - 1) * bound)

        self.weights, self.bias = start(FOLDS, size, HIDDEN, bound=reach), start(FOLDS, 1, HIDDEN, bound=reach)
        self.readout, self.offset = start(FOLDS, HIDDEN, 1, bound=inner), start(FOLDS, 1, 1, bound=inner)

    def forward(self, features: Tensor) -> Tensor:
        return (F.relu(features @ self.weights + self.bias) @ self.readout + self.offset)[..., 0]


class _Adam:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), its rate falling by half a cosine.

    Written out because torch's own optimisers load its compiler first, which takes longer than all that is learned.
    """

    def __init__(self, values: list[nn.Parameter]) -> None:
        self.values = values
        self._first, self._second = ([torch.zeros_like(x) for x in values] for _ in range(2))

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor], step: int) -> None:
        rate = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS)) * min(1.0, (step + 1) / WARM_UP)
        for value, gradient, first, second in zip(self.values, gradients, self._first, self._second, strict=True):
            first.lerp_(gradient, 1 - BETA_1)
            second.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            centred = first / (1 - BETA_1 ** (step + 1))
            deviation = (second / (1 - BETA_2 ** (step + 1))).sqrt_().add_(1e-8)
            value.mul_(1 - rate * WEIGHT_DECAY).addcdiv_(centred, deviation, value=-rate)


def _others(units: Tensor, folds: dict[int, int]) -> list[Tensor]:
    """For each fold, which of the cells that come from `units` (P,) are all the others'."""
    fold = torch.tensor([folds.get(int(unit), -1) for unit in units])
    return [torch.nonzero((fold >= 0) & (fold != turn))[:, 0] for turn in range(FOLDS)]


def _draw(features: Tensor, others: list[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """`count` random rows of the features (P, C) for each fold: (F, count, C)."""
    picked = [rows[torch.randint(len(rows), (count,), generator=generator)] for rows in others]
    return features[torch.stack(picked).to(features.device)]


# The discriminator in the recipe's graph.
#
# Its hidden layer is linear in the level's features, as the PCA is, so both are one convolution: the hidden values are
# further channels of the keys, averaged and joined with them.

DISCRIMINATOR_TEXT = """
    {L}_own = Slice({L}_sized, start, key_values, last)
    taught_hidden = Slice({L}_sized, key_values, every_value, last)
    taught_lit = Relu(taught_hidden)
    taught_map = Conv(taught_lit, taught_readout)
    taught_far = Max(taught_map, taught_floor)
    taught_moved = Sub(taught_far, taught_centre)
    taught_scaled = Div(taught_moved, taught_spread)
"""


def discriminator_constants(taught: Discriminator, key_values: int) -> dict[str, NDArray[np.generic]]:
    """Its numbers; the keys are the first `key_values` of the joined channels."""
    hidden = len(taught.readout)
    return {
        "key_values": np.array([key_values]),
        "every_value": np.array([key_values + hidden]),
        "taught_readout": taught.readout.cpu().numpy().reshape(1, hidden, 1, 1),
        "taught_floor": taught.floor.cpu().numpy(),
        "taught_centre": taught.centre.cpu().numpy(),
        "taught_spread": taught.scale.cpu().numpy() / np.float32(taught.weight),
    }
