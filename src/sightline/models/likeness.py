"""The grade's reader: how much a part is like parts whose grade is known.

Grades follow no single direction in feature space: a finger that is broken and a cell that is cracked are both worse,
in different ways. A Gaussian kernel machine lets each known part speak for what is like it (Schoelkopf and Smola,
Learning with Kernels, 2002), under the same ordered thresholds as a linear quality (docs/decisions/0030).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Likeness(nn.Module):
    """Standardised pooled features (N, D) -> quality (N,), larger is worse.

    `centres` (S, D) are known parts, `weights` (S,) what likeness to each adds, `narrowness` () divides distances:
    a part counts exp(-narrowness * |x - centre|^2). `thresholds` (grades - 1,) split the quality into grades.
    """

    centres: Tensor
    weights: Tensor
    thresholds: Tensor
    narrowness: Tensor

    def __init__(self, centres: Tensor, weights: Tensor, thresholds: Tensor, narrowness: float) -> None:
        super().__init__()
        self.register_buffer("centres", centres)
        self.register_buffer("weights", weights)
        self.register_buffer("thresholds", thresholds)
        self.register_buffer("narrowness", torch.tensor(narrowness))

    def forward(self, pooled: Tensor) -> Tensor:
        return alike(pooled, self.centres, float(self.narrowness)) @ self.weights


def alike(values: Tensor, centres: Tensor, narrowness: float) -> Tensor:
    """exp(-narrowness * |x - s|^2) of values (N, D) and centres (S, D): (N, S), 1 where they are the same."""
    halves = 0.5 * centres.square().sum(1)
    near = torch.addmm(-halves, values, centres.T) - 0.5 * values.square().sum(1, keepdim=True)
    return (2 * narrowness * near).clamp_max(0).exp()
