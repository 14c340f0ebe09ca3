"""The place reader: what good parts look like at each place, as a Gaussian of its own.

PaDiM (Defard et al., ICPR 2021 workshops) in spirit, on the keys of the memory reader's fine level: where parts lie
alike under the camera, a patch that is normal elsewhere (a missing or turned component) is none here.
"""

from __future__ import annotations

from torch import Tensor

from sightline.models.scaled import Scaled


class Place(Scaled):
    """Mean (P, d) of the first d key values at each of P = h * w places, and their whitening (P, d, d).

    `whiten` is the inverse of the lower Cholesky factor of the covariance, so |whiten (key - mean)| is the
    Mahalanobis distance.
    """

    mean: Tensor
    whiten: Tensor

    def __init__(self, mean: Tensor, whiten: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("whiten", whiten)

    def distances(self, keys: Tensor, grid: tuple[int, int]) -> Tensor:
        """Keys (N * h * w, D) with D >= d -> distances (N, 1, h, w); grid is (h, w)."""
        places, size = self.mean.shape
        offset = keys[:, :size].view(-1, places, size) - self.mean
        return (self.whiten @ offset[..., None]).square().sum((2, 3)).sqrt().view(-1, 1, *grid)
