"""The memory reader: distance of every patch to the nearest patch of a good part, at two levels.

PatchCore (Roth et al., CVPR 2022) in spirit: features of a frozen trunk, averaged over 3x3, a bank chosen by
farthest-point sampling, the nearest distance. Here each level is projected by PCA without whitening, and the
levels (strides 8+16 and 16+32) are fused late, each distance map z-scored on held-out good patches.

This module is the reference; `sightline.train.graph` writes the same computation as ONNX, and the parity gate
compares the two on every export.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = {"fine": (8, 16), "coarse": (16, 32)}  # level -> strides; the first gives the grid
SCORE_EPS = 1e-6


def level_features(maps: dict[int, Tensor], level: str) -> Tensor:
    """Raw features of a level: maps {stride: (N, C, h, w)} -> (N, C1 + C2, h, w), averaged over 3x3."""
    first, second = (maps[stride] for stride in LEVELS[level])
    return torch.cat([pool(first), enlarge(pool(second), first)], dim=1)


def pool(x: Tensor) -> Tensor:
    """Mean over 3x3 cells, those beyond the border counted as zero: (N, C, h, w) -> same.

    The zeros pull the keys of border cells together: what a picture's edge cuts in two is rare in good parts
    and no defect (docs/decisions/0006).
    """
    return F.avg_pool2d(x, 3, stride=1, padding=1)


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear resize of (N, C, h, w) to the grid of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def nearest(keys: Tensor, bank: Tensor, banned: Tensor | None = None) -> Tensor:
    """Distance of keys (Q, d) to their nearest entry of `bank` (M, d): (Q,).

    `banned` (M,) bool marks entries that may not be used (those of the same image, when scores are held out).
    |q - b|^2 = |q|^2 - 2 (q.b - |b|^2 / 2), so one matrix product and one maximum do it.
    """
    similarity = torch.addmm(-0.5 * bank.square().sum(1), keys, bank.T)
    if banned is not None:
        similarity[:, banned] = -torch.inf
    return (keys.square().sum(1) - 2 * similarity.amax(1)).clamp_min(0).sqrt()


class Level(nn.Module):
    """One level's numbers: PCA mean (C,) and directions (C, d), bank (M, d), held-out mean and spread.

    `first` of the C channels come from the level's first stride, the others from its second. Distances below
    `floor` count as `floor`: so near to the bank, they are the rounding of the distance formula.
    """

    mean: Tensor
    directions: Tensor
    bank: Tensor
    centre: Tensor
    spread: Tensor
    floor: Tensor

    def __init__(self, mean: Tensor, directions: Tensor, bank: Tensor, first: int) -> None:
        super().__init__()
        self.first = first
        self.register_buffer("mean", mean)
        self.register_buffer("directions", directions)
        self.register_buffer("bank", bank)
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("floor", torch.zeros(()))

    def keys(self, features: Tensor) -> Tensor:
        """Raw features (N, C, h, w) -> keys (N * h * w, d)."""
        flat = features.permute(0, 2, 3, 1).flatten(0, 2)
        return (flat - self.mean) @ self.directions

    def distances(self, features: Tensor, banned: Tensor | None = None) -> Tensor:
        """Raw features (N, C, h, w) -> distances (N, 1, h, w)."""
        n, _, h, w = features.shape
        return nearest(self.keys(features), self.bank, banned).view(n, 1, h, w)

    def standardise(self, distances: Tensor) -> Tensor:
        """Distances in units of their spread over held-out good patches."""
        return (distances.clamp_min(self.floor) - self.centre) / self.spread


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


class MemoryReader(nn.Module):
    """Trunk maps {8, 16, 32: (N, C, h, w)} -> heat (N, h/8, w/8) and score (N,)."""

    levels: dict[str, Level]
    kernel: Tensor

    def __init__(self, levels: dict[str, Level], sigma: float, fractions: tuple[float, ...]) -> None:
        super().__init__()
        self.levels = nn.ModuleDict(levels)  # type: ignore[assignment]
        self.register_buffer("kernel", gaussian(sigma))
        self.score = ImageScore(fractions)

    def distances(self, maps: dict[int, Tensor]) -> dict[str, Tensor]:
        """Distance map (N, 1, h, w) of each level, on its own grid."""
        return {name: level.distances(level_features(maps, name)) for name, level in self.levels.items()}

    def fuse(self, distances: dict[str, Tensor]) -> Tensor:
        """Distance maps of the levels -> smoothed heat (N, 1, h, w) on the fine grid."""
        z = {name: level.standardise(distances[name]) for name, level in self.levels.items()}
        return self.smooth(z["fine"] + enlarge(z["coarse"], z["fine"]))

    def smooth(self, heat: Tensor) -> Tensor:
        """Gaussian smoothing of (N, 1, h, w), edges repeated."""
        radius = self.kernel.shape[0] // 2
        heat = F.pad(heat, [radius] * 4, mode="replicate")
        return F.conv2d(F.conv2d(heat, self.kernel.view(1, 1, 1, -1)), self.kernel.view(1, 1, -1, 1))

    def forward(self, maps: dict[int, Tensor]) -> tuple[Tensor, Tensor]:
        heat = self.fuse(self.distances(maps))
        return heat[:, 0], self.score(heat)
