"""Teaching the discriminator with synthetic defects, so that it is judged on parts and kinds it was not taught with.

Units are dealt into folds, and defects of one group of kinds are drawn on the parts of each. The network of a fold is
taught with the other folds: with other parts and other kinds. What it says about its own fold is therefore what it
would say about a defect that nobody thought of. The recipe gets the mean of the networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.data.synthetic.painters import GROUPS
from sightline.models.anomaly import Discriminator
from sightline.models.arrays import Array, joined, like, to_numpy
from sightline.train.anomaly.memory_bank import without

FOLDS = len(GROUPS)
MIN_UNITS = 2 * FOLDS
MIN_DRAWINGS = 48  # in all: with fewer, two groups of kinds show too little to learn from
HIDDEN, STEPS = 32, 200
LEARNING_RATE, WEIGHT_DECAY, DROP = 4e-3, 1e-2, 0.3
WARM_UP, BETA_1, BETA_2 = 40, 0.9, 0.999
DEFECTIVE, GOOD, BESIDE = 256, 384, 128  # cells of a step: drawn, on good parts, on drawn parts beside the defect
MAX_ODDS = 60.0  # of the logit
MAX_GOOD = 16_000  # cells of good parts, kept while teaching
DEVIATION_SHARE = 0.1  # of the mean one, added to every feature's: one that never moves on good parts must not rule


Cells = tuple[Array, NDArray[np.int64]]  # features (P, C) and the unit (P,) that each comes from


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

    def __init__(
        self, weights: Array, bias: Array, readout: Array, offsets: Sequence[float], folds: dict[int, int]
    ) -> None:
        self._weights, self._bias, self._readout, self._folds = weights, bias, readout, folds
        self._offsets = [float(offset - np.mean(offsets)) for offset in offsets]  # the mean network has none

    def distances(self, rows: Array, unit: int) -> Array:
        """What the network that does not know the unit says of its features (P, C): (P,)."""
        fold = self._folds[unit]
        output = (rows @ self._weights[fold] + self._bias[fold]).clip(min=0) @ self._readout[fold]
        return output[:, 0] + self._offsets[fold]

    def joined(self) -> Discriminator:
        """The mean of all networks, as one with a wider hidden layer."""
        weights = self._weights.swapaxes(1, 2).reshape(FOLDS * HIDDEN, -1)
        return Discriminator(weights, self._bias.reshape(-1), self._readout.reshape(-1) / len(self._readout))


def teach_discriminators(
    good: Cells, defective: Cells, beside: Cells, folds: dict[int, int], seed: int, ignored: Array | None = None
) -> Discriminators:
    """Networks that tell cells of synthetic defects from those of good parts and those beside the defects.

    What lies along the orthonormal directions `ignored` (C, k) plays no part.
    """
    good_rows = without(good[0], ignored)
    mean = good_rows.mean(axis=0)
    deviation = ((good_rows - mean) ** 2).mean(axis=0) ** 0.5
    deviation = deviation + DEVIATION_SHARE * deviation.mean()
    del good_rows
    kinds = (defective, good, beside)
    pools = [((without(features, ignored) - mean) / deviation, _others(units, folds)) for features, units in kinds]
    rng = np.random.default_rng(seed)
    nets = _Nets(good[0].shape[1], rng, mean)
    step_by = _Adam(nets.values)
    counts = (DEFECTIVE, GOOD, BESIDE)
    for step in range(STEPS):
        batch = joined([_draw(*pool, count, rng) for pool, count in zip(pools, counts, strict=True)], axis=1)
        kept = (rng.random(tuple(batch.shape), np.float32) >= DROP) / np.float32(1 - DROP)
        step_by(nets.gradients(batch * like(kept, batch)), step)
    weights, bias, readout, offsets = nets.values
    weights = weights / deviation[:, None]
    bias = bias - (mean @ weights)[:, None]
    weights = without(weights.swapaxes(1, 2), ignored).swapaxes(1, 2)
    return Discriminators(weights, bias, readout, to_numpy(offsets).ravel().tolist(), folds)


class _Nets:
    """The folds' networks side by side, as `values`: weights (F, C, H), bias (F, 1, H), readout (F, H, 1) and
    offset (F, 1, 1).
    """

    def __init__(self, size: int, rng: np.random.Generator, kind: Array) -> None:
        reach, inner = size**-0.5, HIDDEN**-0.5  # the bounds that linear layers usually start from
        starts = (((size, HIDDEN), reach), ((1, HIDDEN), reach), ((HIDDEN, 1), inner), ((1, 1), inner))
        self.values = [
            like(rng.uniform(-bound, bound, (FOLDS, *shape)).astype(np.float32), kind) for shape, bound in starts
        ]
        truth = np.zeros((DEFECTIVE + GOOD + BESIDE, 1), np.float32)
        truth[:DEFECTIVE] = 1
        self._truth = like(truth, kind)

    def gradients(self, features: Array) -> list[Array]:
        """Of the folds' mean binary cross-entropies over standardised features (F, B, C), for each of the values."""
        weights, bias, readout, offset = self.values
        hidden = (features @ weights + bias).clip(min=0)
        odds = (hidden @ readout + offset).clip(min=-MAX_ODDS)
        wrong = (1 / (1 + math.e ** (-odds)) - self._truth) / len(self._truth)
        back = wrong @ readout.swapaxes(1, 2) * (hidden > 0)
        return [
            features.swapaxes(1, 2) @ back,
            back.sum(axis=1, keepdims=True),
            hidden.swapaxes(1, 2) @ wrong,
            wrong.sum(axis=1, keepdims=True),
        ]


class _Adam:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), its rate falling by half a cosine."""

    def __init__(self, values: list[Array]) -> None:
        self._values = values
        self._first, self._second = ([value * 0 for value in values] for _ in range(2))

    def __call__(self, gradients: Sequence[Array], step: int) -> None:
        rate = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS)) * min(1.0, (step + 1) / WARM_UP)
        for value, gradient, first, second in zip(self._values, gradients, self._first, self._second, strict=True):
            first += (1 - BETA_1) * (gradient - first)
            second += (1 - BETA_2) * (gradient * gradient - second)
            centred = first / (1 - BETA_1 ** (step + 1))
            deviation = (second / (1 - BETA_2 ** (step + 1))) ** 0.5 + 1e-8
            value *= 1 - rate * WEIGHT_DECAY
            value -= rate * centred / deviation


def _others(units: NDArray[np.int64], folds: dict[int, int]) -> list[NDArray[np.int64]]:
    """For each fold, which of the cells that come from `units` (P,) are all the others'."""
    fold = np.array([folds.get(int(unit), -1) for unit in units])
    return [np.flatnonzero((fold >= 0) & (fold != turn)) for turn in range(FOLDS)]


def _draw(features: Array, others: list[NDArray[np.int64]], count: int, rng: np.random.Generator) -> Array:
    """`count` random rows of the features (P, C) for each fold: (F, count, C)."""
    return features[np.stack([rows[rng.integers(len(rows), size=count)] for rows in others])]


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
        "taught_readout": to_numpy(taught.readout).reshape(1, hidden, 1, 1),
        "taught_floor": np.array(taught.floor, np.float32),
        "taught_centre": np.array(taught.centre, np.float32),
        "taught_spread": np.array(taught.scale / taught.weight, np.float32),
    }
