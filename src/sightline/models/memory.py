"""The memory reader: distance of every patch to the nearest patch of a good part, at one or two levels.

PatchCore (Roth et al., CVPR 2022) in spirit: features of a frozen trunk, averaged over 3x3, a bank chosen by
farthest-point sampling, the nearest distance. Here each level is projected by PCA without whitening, and the
levels (of a CNN: strides 8+16 and 16+32) are fused late: each distance map is standardised on held-out good patches,
and their weighted sum is the heat.

This module is the reference; `sightline.train.graph` writes the same computation as ONNX, and the parity gate
compares the two on every export.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sightline.models.discriminator import Discriminator
from sightline.models.nearest import nearest
from sightline.models.place import Place
from sightline.models.scaled import Scaled

SCORE_EPS = 1e-6
PLACE, DISCRIMINATOR = "place", "discriminator"  # names of the other readers beside the levels'


def level_features(maps: Sequence[Tensor], pooled: bool) -> Tensor:
    """Raw features of a level: maps (N, Ci, hi, wi) -> (N, C1 + C2 + .., h1, w1), averaged over 3x3 if `pooled`."""
    ready = [pool(x) if pooled else x for x in maps]
    return torch.cat([ready[0], *(enlarge(x, ready[0]) for x in ready[1:])], dim=1)


def pool(x: Tensor) -> Tensor:
    """Mean over 3x3 cells, those beyond the border counted as zero: (N, C, h, w) -> same.

    The zeros pull the keys of border cells together: what a picture's edge cuts in two is rare in good parts
    and no defect (docs/decisions/0006).
    """
    return F.avg_pool2d(x, 3, stride=1, padding=1)


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear resize of (N, C, h, w) to the grid of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class Level(Scaled):
    """One level's numbers: PCA mean (C,) and directions (C, d), bank (M, d).

    `names` are the trunk's maps that it joins, with `channels` of C each.
    """

    mean: Tensor
    directions: Tensor
    bank: Tensor

    def __init__(
        self,
        names: tuple[str, ...],
        channels: tuple[int, ...],
        pooled: bool,
        mean: Tensor,
        directions: Tensor,
        bank: Tensor,
    ) -> None:
        super().__init__()
        self.names, self.channels, self.pooled = names, channels, pooled
        self.register_buffer("mean", mean)
        self.register_buffer("directions", directions)
        self.register_buffer("bank", bank)

    def features(self, maps: dict[str, Tensor]) -> Tensor:
        """The trunk's maps {name: (N, C, h, w)} -> raw features (N, C, h, w)."""
        return level_features([maps[name] for name in self.names], self.pooled)

    def rows(self, maps: dict[str, Tensor]) -> tuple[Tensor, tuple[int, int]]:
        """The trunk's maps {name: (N, C, h, w)} -> raw features (N * h * w, C) and the grid (h, w)."""
        features = self.features(maps)
        return features.permute(0, 2, 3, 1).flatten(0, 2), (features.shape[2], features.shape[3])

    def project(self, rows: Tensor) -> Tensor:
        """Raw features (P, C) -> keys (P, d)."""
        return (rows - self.mean) @ self.directions

    def keys(self, maps: dict[str, Tensor]) -> tuple[Tensor, tuple[int, int]]:
        """The trunk's maps {name: (N, C, h, w)} -> keys (N * h * w, d) and the grid (h, w)."""
        rows, grid = self.rows(maps)
        return self.project(rows), grid


class ImageScore(nn.Module):
    """Heat map -> image score: means of the hottest fractions, each z-scored on held-out good parts, averaged.

    A small fraction sees a small defect, a large one a change all over the part; their average needs no guess
    about which will come.
    """

    centres: Tensor
    spreads: Tensor

    def __init__(self, fractions: tuple[float, ...]) -> None:
        super().__init__()
        self.fractions = fractions
        self.register_buffer("centres", torch.zeros(len(fractions)))
        self.register_buffer("spreads", torch.ones(len(fractions)))

    def top_means(self, heat: Tensor) -> Tensor:
        """Heat (N, 1, h, w) -> mean of the hottest cells for each fraction (N, F)."""
        flat = heat.flatten(1)
        counts = [top_count(fraction, flat.shape[1]) for fraction in self.fractions]
        ranked = flat.topk(max(counts), dim=1).values
        return torch.stack([ranked[:, :count].mean(1) for count in counts], dim=1)

    def fit(self, heat: Tensor) -> None:
        """Learn centres and spreads from the heat maps (N, 1, h, w) of held-out good parts."""
        means = self.top_means(heat)
        self.centres = means.mean(0)
        self.spreads = means.std(0, correction=0).clamp_min(SCORE_EPS)

    def forward(self, heat: Tensor) -> Tensor:
        return ((self.top_means(heat) - self.centres) / self.spreads).mean(1)


def top_count(fraction: float, cells: int) -> int:
    """How many cells a fraction of `cells` means; at least one."""
    return max(1, round(fraction * cells))


def gaussian(sigma: float) -> Tensor:
    """Gaussian kernel (2 r + 1,) with r = 3 sigma rounded up, summing to 1; sigma in cells."""
    radius = max(1, int(3 * sigma + 0.999))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float32) / sigma).square())
    return kernel / kernel.sum()


def smooth(heat: Tensor, kernel: Tensor) -> Tensor:
    """Smoothing of (N, 1, h, w) by a symmetric kernel (2 r + 1,) along both axes, edges repeated."""
    heat = F.pad(heat, [kernel.shape[0] // 2] * 4, mode="replicate")
    return F.conv2d(F.conv2d(heat, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


class MemoryReader(nn.Module):
    """Trunk maps {name: (N, C, h, w)} -> heat (N, h, w) on the first level's grid, and score (N,).

    `place`, where there is one, judges the first level's keys by their place as well, and `discriminator` its raw
    features by what sets drawn defects apart.
    """

    levels: dict[str, Level]
    place: Place | None
    discriminator: Discriminator | None
    kernel: Tensor

    def __init__(self, levels: dict[str, Level], sigma: float, fractions: tuple[float, ...]) -> None:
        super().__init__()
        self.levels = nn.ModuleDict(levels)  # type: ignore[assignment]
        self.place = None
        self.discriminator = None
        self.register_buffer("kernel", gaussian(sigma))
        self.score = ImageScore(fractions)

    @property
    def scaled(self) -> dict[str, Scaled]:
        """Every reader whose distances make the heat, by name; the first gives the grid."""
        others: dict[str, Scaled | None] = {PLACE: self.place, DISCRIMINATOR: self.discriminator}
        return {**dict(self.levels.items()), **{name: other for name, other in others.items() if other is not None}}

    def distances(self, maps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Distance map (N, 1, h, w) of each reader, on its own grid."""
        found: dict[str, Tensor] = {}
        for name, level in self.levels.items():
            rows, grid = level.rows(maps)
            keys, first = level.project(rows), not found
            found[name] = nearest(keys, level.bank).view(-1, 1, *grid)
            if first and self.place is not None:
                found[PLACE] = self.place.distances(keys, grid)
            if first and self.discriminator is not None:
                found[DISCRIMINATOR] = self.discriminator.distances(rows, grid)
        return found

    def fuse(self, distances: dict[str, Tensor]) -> Tensor:
        """Distance maps -> smoothed heat (N, 1, h, w) on the first level's grid."""
        return smooth(
            weighted_sum((x.weight, x.standardise(distances[n])) for n, x in self.scaled.items()), self.kernel
        )

    def forward(self, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        heat = self.fuse(self.distances(maps))
        return heat[:, 0], self.score(heat)


def weighted_sum(maps: Iterable[tuple[float, Tensor]]) -> Tensor:
    """Sum of weight x map (N, 1, h, w), enlarged to the first map's grid."""
    total: Tensor | None = None
    for weight, values in maps:
        total = weight * values if total is None else total + weight * enlarge(values, total)
    assert total is not None
    return total
