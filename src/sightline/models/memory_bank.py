"""The memory bank: distance of every patch to the nearest patch of a good part, at one or two levels.

PatchCore (Roth et al., CVPR 2022) in spirit: features of a frozen backbone, averaged over 3x3, a bank chosen by
farthest-point sampling, the nearest distance. Here each level is projected by PCA without whitening, and the
levels (of a CNN: strides 8+16 and 16+32) are fused late: each distance map is standardised on held-out good patches,
and their weighted sum is the heat.

This module is the reference; `sightline.train.export.graph` writes the same computation as ONNX, and the parity gate
compares the two on every export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from sightline.models.anomaly import Discriminator, OutOfDistribution, Scaled
from sightline.models.arrays import Array, Numbers, empty, enlarge, highest, joined, namespace, pool, smooth, top

SCORE_EPS = 1e-2  # of heat, which is in deviations of good cells: less is rounding, as where all parts are one picture
DISCRIMINATOR = "discriminator"  # name of the other term beside the levels'


def level_features(maps: Sequence[Array], pooled: bool) -> Array:
    """Raw features of a level: maps (N, Ci, hi, wi) -> (N, C1 + C2 + .., h1, w1), averaged over 3x3 if `pooled`."""
    ready = [pool(x) if pooled else x for x in maps]
    return joined([ready[0], *(enlarge(x, ready[0]) for x in ready[1:])], axis=1)


class Level(Scaled):
    """One level's numbers: PCA mean (C,) and directions (C, d), bank (M, d).

    `names` are the backbone's maps that it joins, with `channels` of C each.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        channels: tuple[int, ...],
        pooled: bool,
        mean: Array,
        directions: Array,
        bank: Array,
    ) -> None:
        super().__init__()
        self.names, self.channels, self.pooled = names, channels, pooled
        self.mean, self.directions, self.bank = mean, directions, bank

    def features(self, maps: dict[str, Array]) -> Array:
        """The backbone's maps {name: (N, C, h, w)} -> raw features (N, C, h, w)."""
        return level_features([maps[name] for name in self.names], self.pooled)

    def rows(self, maps: dict[str, Array]) -> tuple[Array, tuple[int, int]]:
        """The backbone's maps {name: (N, C, h, w)} -> raw features (N * h * w, C) and the grid (h, w)."""
        features = self.features(maps)
        count, size, high, wide = features.shape
        flat = features.reshape(count, size, high * wide).swapaxes(1, 2).reshape(-1, size)
        return flat, (high, wide)

    def project(self, rows: Array) -> Array:
        """Raw features (P, C) -> keys (P, d)."""
        return (rows - self.mean) @ self.directions

    def keys(self, maps: dict[str, Array]) -> tuple[Array, tuple[int, int]]:
        """The backbone's maps {name: (N, C, h, w)} -> keys (N * h * w, d) and the grid (h, w)."""
        rows, grid = self.rows(maps)
        return self.project(rows), grid


class ImageScore(Numbers):
    """Heat map -> image score: means of the hottest fractions, each z-scored on held-out good parts, averaged.

    A small fraction sees a small defect, a large one a change all over the part; their average needs no guess
    about which will come.
    """

    def __init__(self, fractions: tuple[float, ...]) -> None:
        self.fractions = fractions
        self.centres: Array = 0.0
        self.scales: Array = 1.0

    def top_means(self, heat: Array) -> Array:
        """Heat (N, 1, h, w) -> mean of the hottest cells for each fraction (N, F)."""
        flat = heat.reshape(len(heat), -1)
        counts = [top_count(fraction, flat.shape[1]) for fraction in self.fractions]
        ranked, _ = top(flat, max(counts))
        return joined([ranked[:, :count].mean(axis=1)[:, None] for count in counts], axis=1)

    def fit(self, heat: Array) -> None:
        """Learn centres and scales from the heat maps (N, 1, h, w) of held-out good parts."""
        means = self.top_means(heat)
        self.centres = means.mean(axis=0)
        away = means - self.centres
        self.scales = ((away * away).mean(axis=0) ** 0.5).clip(min=SCORE_EPS)

    def __call__(self, heat: Array) -> Array:
        return ((self.top_means(heat) - self.centres) / self.scales).mean(axis=1)


def top_count(fraction: float, cells: int) -> int:
    """How many cells a fraction of `cells` means; at least one."""
    return max(1, round(fraction * cells))


def gaussian(sigma: float) -> NDArray[np.float32]:
    """Gaussian kernel (2 r + 1,) with r = 3 sigma rounded up, summing to 1; sigma in cells."""
    radius = max(1, int(3 * sigma + 0.999))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (kernel / kernel.sum()).astype(np.float32)


class AnomalyHead(Numbers):
    """Backbone maps {name: (N, C, h, w)} -> heat (N, h, w) on the first level's grid, and score (N,).

    `discriminator`, where there is one, judges the first level's raw features by what sets defects
    apart, drawn or marked.
    `ood` tells pictures that do not show the product at all; it takes no part in the score.
    """

    def __init__(self, levels: dict[str, Level], sigma: float, fractions: tuple[float, ...]) -> None:
        self.levels = dict(levels)
        self.discriminator: Discriminator | None = None
        self.ood: OutOfDistribution | None = None
        self.kernel = gaussian(sigma)
        self.score = ImageScore(fractions)

    @property
    def scaled(self) -> dict[str, Scaled]:
        """Everything whose distances make the heat, by name; the first gives the grid."""
        others: dict[str, Scaled] = {} if self.discriminator is None else {DISCRIMINATOR: self.discriminator}
        return {**self.levels, **others}

    def distances(self, maps: dict[str, Array]) -> dict[str, Array]:
        """Distance map (N, 1, h, w) of each of them, on its own grid."""
        found: dict[str, Array] = {}
        for name, level in self.levels.items():
            rows, grid = level.rows(maps)
            first = not found
            found[name] = nearest(level.project(rows), level.bank).reshape(-1, 1, *grid)
            if first and self.discriminator is not None:
                found[DISCRIMINATOR] = self.discriminator.distances(rows, grid)
        return found

    def fuse(self, distances: dict[str, Array]) -> Array:
        """Distance maps -> smoothed heat (N, 1, h, w) on the first level's grid."""
        return smooth(
            weighted_sum((x.weight, x.standardise(distances[n])) for n, x in self.scaled.items()), self.kernel
        )

    def __call__(self, maps: dict[str, Array]) -> tuple[Array, Array]:
        heat = self.fuse(self.distances(maps))
        return heat[:, 0], self.score(heat)


def weighted_sum(maps: Iterable[tuple[float, Array]]) -> Array:
    """Sum of weight x map (N, 1, h, w), enlarged to the first map's grid."""
    total: Array = None
    for weight, values in maps:
        total = weight * values if total is None else total + weight * enlarge(values, total)
    assert total is not None
    return total


# The distance of keys to their nearest entry of a bank, on a CPU and on a GPU.
#
# |q - b|^2 = |q|^2 - 2 (q.b - |b|^2 / 2), so the nearest entry has the largest q.b - |b|^2 / 2: one matrix product and
# one maximum. On a CPU the (Q, M) matrix is written out, a few rows at a time; on a GPU it would be the largest array
# of all, and reading and writing it the slowest step, so there the maximum is taken tile by tile and the matrix never
# exists.

CELLS = 2**26  # of the matrix at a time where there is no kernel: 256 MiB
ROWS = 2**14
CACHED_CELLS = 2**21  # of the matrix at a time on a CPU: 8 MiB
KERNEL_SIZE = 128  # dimensions of a key, at most, that the kernel's tiles hold
AMPERE = 8  # the first compute capability with tf32


def nearest(keys: Array, bank: Array, banned: Array | None = None) -> Array:
    """Distance of keys (Q, d) to their nearest entry of `bank` (M, d): (Q,), in the keys' units.

    `banned` (M,) bool marks entries that may not be used (those of the same image, when scores are held out). Where
    every entry is banned, or there is none, the distance is infinite; where a key or a usable entry holds a value that
    is not a number, it is not a finite number either.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # what is not a number is answered as such
        best = _closest(keys, bank, banned)
        return ((keys * keys).sum(axis=1) - 2 * best).clip(min=0) ** 0.5


def _closest(keys: Array, bank: Array, banned: Array | None) -> Array:
    if namespace(keys) is np or not keys.is_cuda:
        return plain_closest(keys, bank, banned)
    if _fits_kernel(keys, bank):
        from sightline.models.nearest_kernel import fused_closest

        return fused_closest(keys, bank, banned)
    return chunked_closest(keys, bank, banned)


def plain_closest(keys: Array, bank: Array, banned: Array | None = None) -> Array:
    """Largest q.b - |b|^2 / 2 over the usable entries: (Q,), -inf where there is none.

    The matrix is made a few rows at a time: what stays in the cache is twice as fast, and needs no memory.
    """
    if banned is not None:
        bank = bank[~banned]
    if not len(bank):
        found = empty((len(keys),), keys)
        found[:] = -np.inf
        return found
    return over_bank(keys, bank, lambda products: highest(products, 1))


def over_bank(keys: Array, bank: Array, reduce: Callable[[Array], Array], dtype: str | None = None) -> Array:
    """`reduce` of each row of q.b - |b|^2 / 2, for keys (Q, d) and a bank (M, d), M > 0: (Q,) of `dtype`.

    Into one block: small results between large passing ones would leave holes that no next one fits into.
    """
    halves, turned = -0.5 * (bank * bank).sum(axis=1), bank.T
    rows = max(1, CACHED_CELLS // len(bank))
    found, block = empty((len(keys),), keys, dtype), empty((min(rows, len(keys)), len(bank)), keys)
    for begin in range(0, len(keys), rows):
        some = keys[begin : begin + rows]
        products = namespace(keys).matmul(some, turned, out=block[: len(some)])
        products += halves
        found[begin : begin + rows] = reduce(products)
    return found


def chunked_closest(
    keys: Array, bank: Array, banned: Array | None = None, rows: int = ROWS, cells: int = CELLS
) -> Array:
    """As `plain_closest`, with at most `rows` keys and about `cells` cells of the matrix at a time."""
    if banned is not None:
        bank = bank[~banned]
    torch, halves = namespace(keys), -0.5 * bank.square().sum(1)
    entries = max(1, cells // max(1, min(rows, len(keys))))
    best = keys.new_full((len(keys),), -torch.inf)
    for begin in range(0, len(keys), rows):
        some = slice(begin, begin + rows)
        for start in range(0, len(bank), entries):
            few = slice(start, start + entries)
            best[some] = torch.maximum(best[some], torch.addmm(halves[few], keys[some], bank[few].T).amax(1))
    return best


def _fits_kernel(keys: Array, bank: Array) -> bool:
    """Whether the kernel can take these: it knows no gradient, one type, keys that fit a tile, and tf32."""
    torch = namespace(keys)
    from_graph = torch.is_grad_enabled() and (keys.requires_grad or bank.requires_grad)
    return (
        has_triton()
        and not from_graph
        and keys.dtype == bank.dtype == torch.float32
        and keys.shape[1] <= KERNEL_SIZE
        and torch.cuda.get_device_capability(keys.device)[0] >= AMPERE
        and len(keys) > 0
        and len(bank) > 0
    )


@cache
def has_triton() -> bool:
    """Whether triton is installed; torch for CUDA on Linux brings it."""
    return find_spec("triton") is not None
