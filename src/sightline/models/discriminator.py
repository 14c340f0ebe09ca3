"""The discriminator: what sets drawn defects apart from good patches, as a small network at every cell.

In the spirit of SuperSimpleNet (Rolih et al., ICPR 2024), on the memory reader's fine features and without noise in
feature space: one hidden layer, taught with drawn defects. It is wrong by itself about defects that look like none of
the drawn ones, so it is only ever a second opinion beside the memory, and only where it proves itself
(docs/decisions/0022).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from sightline.models.scaled import Scaled


class Discriminator(Scaled):
    """Hidden weights (H, C) and bias (H,) on a level's C features, and the readout (H,)."""

    weights: Tensor
    bias: Tensor
    readout: Tensor

    def __init__(self, weights: Tensor, bias: Tensor, readout: Tensor) -> None:
        super().__init__()
        self.register_buffer("weights", weights)
        self.register_buffer("bias", bias)
        self.register_buffer("readout", readout)

    def evidence(self, rows: Tensor) -> Tensor:
        """Features (P, C) -> log odds of a defect, but for a constant, (P,)."""
        return F.relu(F.linear(rows, self.weights, self.bias)) @ self.readout

    def distances(self, rows: Tensor, grid: tuple[int, int]) -> Tensor:
        """Features (N * h * w, C) -> evidence as a map (N, 1, h, w); grid is (h, w)."""
        return self.evidence(rows).view(-1, 1, *grid)
