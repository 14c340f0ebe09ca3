"""Position-wise Gaussians of good parts (PaDiM, Defard et al., ICPR 2021): fitted, and with one unit held out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.models.anomaly import PositionGaussian

SIZE = 32  # leading key values: more cost time and, below a hundred parts, gain little
SHRINKAGE = 0.1  # towards the places' mean covariance: a few dozen parts do not fill 32 dimensions
RIDGE = 1e-6  # of the mean variance: identical parts must not divide by zero
MAX_PARTS = 128
MAX_BYTES = 32 * 2**20  # of the parts' keys, kept while fitting
MIN_PARTS = 10
AT_ONCE = 256  # places whose scatter is computed together: their products need copies of the keys


def parts_that_fit(cells: int) -> int:
    """How many parts' keys may be kept for grids of so many cells."""
    return min(MAX_PARTS, MAX_BYTES // (cells * SIZE * 4))


class HeldOutPositions:
    """Gaussians of keys (n, P, d) at P places, of parts that belong to units (n,); any unit can be held out.

    Leaving a unit out takes rank m + 1 off the scatter matrix, m the unit's parts, so the factor of the whole is
    reused (Woodbury's identity) and no place is factored anew for every unit.
    """

    def __init__(self, keys: Tensor, units: Tensor) -> None:
        self._keys, self._units = keys, units
        self._mean = keys.mean(0)
        some = ((keys[:, i : i + AT_ONCE] - self._mean[i : i + AT_ONCE]) for i in range(0, keys.shape[1], AT_ONCE))
        self._scatter = torch.cat([torch.einsum("npd,npe->pde", offsets, offsets) for offsets in some])
        size = keys.shape[2]
        overall = self._scatter.mean(0) / (len(keys) - 1)
        ridge = RIDGE * overall.diagonal().mean().clamp_min(RIDGE)
        self._floor = SHRINKAGE * overall + ridge * torch.eye(size, device=keys.device)
        self._whitenings: dict[int, Tensor] = {}

    def position(self) -> PositionGaussian:
        """The Gaussians of all parts."""
        return PositionGaussian(self._mean, self._whiten(len(self._keys)))

    def _whiten(self, count: int) -> Tensor:
        """Inverse Cholesky factors (P, d, d) of the whole scatter, scaled as that of `count` parts."""
        if count not in self._whitenings:
            factor = torch.linalg.cholesky(self._share(count) * self._scatter + self._floor)
            eye = torch.eye(factor.shape[1], device=factor.device).expand_as(factor)
            self._whitenings[count] = torch.linalg.solve_triangular(factor, eye, upper=False)
        return self._whitenings[count]

    def _share(self, count: int) -> float:
        return (1 - SHRINKAGE) / (count - 1)

    def distances(self, keys: Tensor, unit: int) -> Tensor:
        """Keys (P, D) with D >= d of a part of that unit -> distances (P,) to the Gaussians without the unit."""
        keys = keys[:, : self._mean.shape[1]]
        own = self._keys[self._units == unit]
        left = len(self._keys) - len(own)
        whiten = self._whiten(left)
        if not len(own):
            return (whiten @ (keys - self._mean)[..., None]).square().sum((1, 2)).sqrt()
        offsets = own - self._mean
        shift = -offsets.sum(0) / left  # of the mean, when the unit goes
        taken = torch.stack([*offsets, left**0.5 * shift], dim=2)  # (P, d, m + 1)
        both = whiten @ torch.cat([taken, (keys - self._mean - shift)[..., None]], dim=2)
        taken, offset = both[..., :-1], both[..., -1:]
        core = torch.eye(taken.shape[2], device=keys.device) / self._share(left) - taken.mT @ taken
        along = taken.mT @ offset
        squared = offset.square().sum((1, 2)) + (along * torch.linalg.solve(core, along)).sum((1, 2))
        return squared.clamp_min(0).sqrt()


# The position Gaussians in the recipe's graph.

POSITION_TEXT = """
    place_cut = Slice({L}_keys, start, place_size, last)
    place_rows = Reshape(place_cut, place_cells)
    place_whitened = MatMul(place_rows, place_whiten)
    place_offset = Sub(place_whitened, place_mean)
    place_squared = ReduceSumSquare<keepdims=0>(place_offset, place_values)
    place_distance = Sqrt(place_squared)
    place_far = Max(place_distance, place_floor)
    segmentation_target = Reshape(place_far, {L}_shape)
    place_moved = Sub(segmentation_target, place_centre)
    place_scaled = Div(place_moved, place_spread)
"""


def position_constants(position: PositionGaussian) -> dict[str, NDArray[np.generic]]:
    """|W (k - m)| as |k W' - W m|: rows (1, d) times (d, d) at every place, and one difference."""
    whiten, mean = position.whiten.cpu().numpy(), position.mean.cpu().numpy()
    positions, size = mean.shape
    return {
        "place_size": np.array([size]),
        "place_cells": np.array([-1, positions, 1, size]),
        "place_values": np.array([2, 3]),
        "place_whiten": np.ascontiguousarray(whiten.transpose(0, 2, 1)),
        "place_mean": (whiten @ mean[..., None])[..., 0][:, None],
        "place_floor": position.floor.cpu().numpy(),
        "place_centre": position.centre.cpu().numpy(),
        "place_spread": position.spread.cpu().numpy() / np.float32(position.weight),
    }
