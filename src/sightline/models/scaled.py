"""Distances in units of their spread over held-out good parts: what lets readers of different kinds be added."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Scaled(nn.Module):
    """Centre, spread and floor of a reader's distances, and its weight in the heat.

    `centre` is one number, or a map (h, w) where good parts differ more in some places than in others. Distances
    below `floor` count as `floor`: so near, they are the rounding of the distance formula.
    """

    centre: Tensor
    spread: Tensor
    floor: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = 1.0
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("floor", torch.zeros(()))

    def standardise(self, distances: Tensor) -> Tensor:
        """Distances (N, 1, h, w) in units of their spread over held-out good patches."""
        return (distances.clamp_min(self.floor) - self.centre) / self.spread
