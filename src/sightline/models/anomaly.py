"""Anomaly heads beside the memory bank: a discriminator, and the test for strange pictures."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.models.arrays import Array, Numbers, joined

# Distances in units of their standard deviation over held-out good parts: this lets heads of different kinds be added.


class Scaled(Numbers):
    """Centre, scale (a standard deviation) and floor of distances, and their weight in the heat.

    Distances below `floor` count as `floor`: so near, they are the rounding of the distance formula.
    """

    def __init__(self) -> None:
        self.weight = 1.0
        self.centre, self.scale, self.floor = 0.0, 1.0, 0.0

    def standardise(self, distances: Array) -> Array:
        """Distances (N, 1, h, w) in units of `scale`, their deviation over held-out good patches."""
        return (distances.clip(min=self.floor) - self.centre) / self.scale


# The discriminator: what sets synthetic defects apart from good patches, as a small network at every cell.
#
# In the spirit of SuperSimpleNet (Rolih et al., ICPR 2024), on the memory bank's fine features and without noise in
# feature space: one hidden layer, taught with synthetic defects. It is wrong by itself about defects that look like
# none of the drawn ones, so it is only ever a second opinion beside the memory, and only where it proves itself
# (docs/decisions/0022).


class Discriminator(Scaled):
    """Hidden weights (H, C) and bias (H,) on a level's C features, and the readout (H,)."""

    def __init__(self, weights: Array, bias: Array, readout: Array) -> None:
        super().__init__()
        self.weights, self.bias, self.readout = weights, bias, readout

    def logits(self, rows: Array) -> Array:
        """Features (P, C) -> log odds of a defect, but for a constant, (P,)."""
        return (rows @ self.weights.T + self.bias).clip(min=0) @ self.readout

    def distances(self, rows: Array, grid: tuple[int, int]) -> Array:
        """Features (N * h * w, C) -> evidence as a map (N, 1, h, w); grid is (h, w)."""
        return self.logits(rows).reshape(-1, 1, *grid)


# How far a whole image lies from the good ones: is this the product at all?
#
# The nearest patch of a memory bank says nothing about a picture of noise, of an empty fixture or of another product:
# what lies outside the kept directions of the features costs nothing there. The mean of the backbone's maps moves far
# in all of these cases. Its Mahalanobis distance to good parts is a strong and cheap test (Lee et al., "A Simple
# Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", NeurIPS 2018); here the
# covariance of a few parts is shrunk towards a sphere (Ledoit and Wolf, 2004), and the unit of length is the recipe's
# limit.


class OutOfDistribution(Numbers):
    """Backbone maps {name: (N, Ci, h, w)} -> whitened deviation (N, 2 C); a length above 1 lies outside.

    `weights` (2 C, 2 C) and `bias` (2 C,) act on `map_moments` of the maps `names`. The deviation is linear in those,
    so the deviation of an image that is read in tiles is the mean of its tiles' deviations.
    """

    def __init__(self, names: Sequence[str], weights: Array, bias: Array) -> None:
        self.names = tuple(names)
        self.weights, self.bias = weights, bias

    def __call__(self, maps: dict[str, Array]) -> Array:
        return map_moments(maps, self.names) @ self.weights.T + self.bias


def map_moments(maps: dict[str, Array], names: Sequence[str]) -> Array:
    """Means of maps {name: (N, Ci, h, w)} over their cells, and standard deviations, joined: (N, 2 C)."""
    flat = [maps[name].reshape(*maps[name].shape[:2], -1) for name in names]
    means = [values.mean(axis=2) for values in flat]
    away = [values - mean[..., None] for values, mean in zip(flat, means, strict=True)]
    return joined([*means, *((values * values).mean(axis=2) ** 0.5 for values in away)], axis=1)
