"""Patches of good parts: sampled as images stream by, to choose a bank from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.progress import Progress
from sightline.imaging.image import Image
from sightline.models.anomaly import map_moments
from sightline.models.arrays import Array, cast, empty, highest, joined, namespace, to_numpy, top
from sightline.models.backbone import Backbone
from sightline.models.memory_bank import Level, level_features, nearest
from sightline.train.backbone.extractor import FeatureExtractor
from sightline.train.images.loader import MIN_GOOD, ImageLoader, Part, brightened

SAMPLED_TILES = 32  # of a part, per light: a training on large images must end
CACHE_BYTES = 96 * 2**20  # of maps that are kept for the second look at the same images
LIGHT_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the grey values
LIGHT_VARIATION = 0.05  # relative variation of the parts' light above which copies in other light are learned too
LIGHT_REACH = 2.0  # times that variation, which the copies reach to either side
LIGHT_MAX = 0.2
LIGHT_PARTS = 50  # as many parts show their light themselves


class Maps:
    """The backbone's maps that the heads need, {name: (1, C, h, w)}, cached while there is room."""

    def __init__(self, extractor: FeatureExtractor, source: Backbone) -> None:
        self.extractor = extractor
        self.source = source
        self._wanted = sorted(set(source.whole).union(*source.levels.values()))
        self._cached: dict[str, dict[str, Array]] = {}
        self._room = CACHE_BYTES

    def __call__(self, image: Image, key: str | None = None) -> dict[str, Array]:
        """Maps of one image (H, W, 3) uint8; `key` names the image where it comes again."""
        if key is not None and key in self._cached:
            return self._cached[key]
        every = self.extractor(image[None])
        maps = {name: every[name] for name in self._wanted}
        size = sum(values.nbytes for values in maps.values())
        if key is not None and size <= self._room:
            self._cached[key] = maps
            self._room -= size
        return maps


class Samples:
    """Patches of one level, kept in one block: small tensors between large passing ones would fragment the heap."""

    def __init__(self, rows: int, channels: tuple[int, ...], kind: Array) -> None:
        self.channels = channels
        self._features = empty((rows, sum(channels)), kind)
        self._units = np.empty(rows, np.int64)
        self._origins = np.empty((rows, 4), np.int32)
        self._filled = 0

    def add(self, features: Array, unit: int, origin: tuple[int, int, int], cells: NDArray[np.int64]) -> None:
        """Features (P, C) of `cells` (P,) of one image; `origin` is part, turn and number of `Prepared.some`."""
        end = self._filled + len(features)
        self._features[self._filled : end] = features
        self._units[self._filled : end] = unit
        self._origins[self._filled : end, :3] = origin
        self._origins[self._filled : end, 3] = cells
        self._filled = end

    @property
    def origins(self) -> NDArray[np.int32]:
        """Where each patch comes from (P, 4) int32: part, turn, number of the image in that turn, cell."""
        return self._origins[: self._filled]

    def take(self) -> tuple[Array, NDArray[np.int64]]:
        """Features (P, C) and the owning unit (P,) of each."""
        return self._features[: self._filled], self._units[: self._filled]


@dataclass(frozen=True)
class PooledParts:
    """Moments of the backbone's maps: `rows` (n, 2 C) float32 of good parts and of copies of them in other light.

    `units` (n,) says what each row's part is held out with, `hashes` the part's content hash, "" for a copy.
    """

    rows: Array
    units: NDArray[np.int64]
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """One part, as it is or as a copy in other light (`plain` is False): the maps of its `tiles` images, one by one.

    `origin` is the part's index and the turn that dealt its tiles; `of` is how many looks there are in all.
    """

    part: Part
    origin: tuple[int, int]
    plain: bool
    tiles: int
    of: int
    maps: Iterator[dict[str, Array]]


def looks(maps_of: Maps, loader: ImageLoader, light: float, stage: str, progress: Progress) -> Iterator[Look]:
    """Every readable part, and copies of it `light` darker and brighter where that is not 0."""
    factors = (1.0, 1 - light, 1 + light) if light else (1.0,)
    parts = list(loader.parts)
    for index, part in enumerate(parts):
        progress(stage, index, len(parts))
        prepared = loader(part)
        if prepared is None:
            continue
        for turn, factor in enumerate(factors, index * len(factors)):
            key = part.hash if factor == 1.0 and len(prepared) == 1 else None
            tiles = list(prepared.some(SAMPLED_TILES, turn))
            maps = (maps_of(image if factor == 1.0 else brightened(image, box, factor), key) for image, box in tiles)
            yield Look(part, (index, turn), factor == 1.0, len(tiles), len(parts) * len(factors), maps)


def sample_patches(
    maps_of: Maps, loader: ImageLoader, most: int, light: float, rng: np.random.Generator, progress: Progress
) -> tuple[dict[str, Samples], PooledParts]:
    """About `most` random patches of all parts at the first level, and half as many at others, which have fewer cells;
    with copies `light` darker and brighter where it is not 0. And the moments of the maps of each part and copy.
    """
    samples: dict[str, Samples] = {}
    pooled: list[tuple[Array, int, str]] = []
    for look in looks(maps_of, loader, light, "learning good parts", progress):
        means = []
        for number, maps in enumerate(look.maps):
            means.append(map_moments(maps, maps_of.source.whole))
            for level, (name, names) in enumerate(maps_of.source.levels.items()):
                flat = _rows(maps, names, maps_of.source.pooled)
                quota = max(1, most // look.of)
                quota = quota if level == 0 else -(-quota // 2)
                cells = rng.permutation(len(flat))[: -(-quota // look.tiles)]
                if name not in samples:
                    most_rows = min(quota + SAMPLED_TILES, SAMPLED_TILES * len(flat))
                    samples[name] = Samples(look.of * most_rows, tuple(maps[n].shape[1] for n in names), flat)
                origin = (*look.origin, number)
                samples[name].add(flat[cells], look.part.unit, origin, cells)
        pooled.append((joined(means).mean(axis=0)[None], look.part.unit, look.part.hash if look.plain else ""))
    check_enough(loader.parts)
    moments = joined([row for row, _, _ in pooled])
    return samples, PooledParts(moments, np.array([u for _, u, _ in pooled]), tuple(x for _, _, x in pooled))


def rare_patches(
    maps_of: Maps, loader: ImageLoader, levels: dict[str, Level], most: int, light: float, progress: Progress
) -> dict[str, Samples]:
    """The patches of each part that lie farthest from the levels' banks, as keys: about `most`, half at others.

    A bank that is chosen from random patches knows what is common in good parts. What is rare in them is what makes
    false alarms, and few random patches hold any (docs/decisions/0042).
    """
    found: dict[str, Samples] = {}
    for look in looks(maps_of, loader, light, "looking for rare patches", progress):
        for number, maps in enumerate(look.maps):
            for turn, (name, level) in enumerate(levels.items()):
                keys, _ = level.keys(maps)
                quota = -(-most // (look.of * (1 if turn == 0 else 2)))
                _, cells = top(nearest(keys, level.bank), min(-(-quota // look.tiles), len(keys)))
                if name not in found:
                    rows = look.of * min(quota + SAMPLED_TILES, SAMPLED_TILES * len(keys))
                    found[name] = Samples(rows, (keys.shape[1],), keys)
                found[name].add(keys[cells], look.part.unit, (*look.origin, number), to_numpy(cells))
    return found


def check_enough(parts: Sequence[Part]) -> None:
    """Raises InputError where there are too few different parts to learn from."""
    kind = "known" if any(part.sample.defective for part in parts) else "good"
    if len(parts) < MIN_GOOD:
        raise InputError(
            f"{len(parts)} different readable images of {kind} parts, at least {MIN_GOOD} are needed. "
            f"Photograph {MIN_GOOD - len(parts)} more; 20 to 50 make a useful recipe"
        )
    if len({part.unit for part in parts}) < 2:
        raise InputError(f"all {kind} parts belong to one group or lot, so none can be held out. Add another group")


def light_step(loader: ImageLoader, given: float | None) -> tuple[float, str]:
    """How much darker and brighter copies to learn, and why: what the parts themselves show, unless `given`."""
    if given is not None:
        return given, f"copies {given:.0%} darker and brighter, as set" if given else "no copies in other light, as set"
    if len(loader.parts) >= LIGHT_PARTS:
        return 0.0, f"no copies in other light: {len(loader.parts)} parts show it themselves"
    levels = []
    for part in list(loader.parts):
        prepared = loader(part)
        if prepared is not None:
            image, letterbox = next(prepared.some(1))
            left, top, wide, high = letterbox.inner
            levels.append(np.quantile(image[top : top + high : 4, left : left + wide : 4], LIGHT_QUANTILES))
    # Light moves every quantile of the grey values; a part that lies elsewhere or is larger moves some of them.
    variation = float(np.log(np.maximum(levels, 4.0)).std(axis=0).min()) if levels else 0.0
    if variation < LIGHT_VARIATION:
        return 0.0, f"no copies in other light: all of the parts' grey values vary by {variation:.1%} together"
    step = min(LIGHT_MAX, LIGHT_REACH * variation)
    return step, f"copies {step:.0%} darker and brighter: all of the parts' grey values vary by {variation:.1%}"


# Choosing the bank: which patches of good parts to remember.

PER_ROUND = 32
CANDIDATES = 256
ROWS = 4096  # features that are centred at a time


def principal_directions(features: Array, size: int, ignored: Array | None = None) -> tuple[Array, Array]:
    """PCA without whitening of features (P, C): mean (C,) and directions (C, min(size, C)).

    Whitening would give the weak, noisy directions the weight of the strong ones. What lies along the orthonormal
    directions `ignored` (C, k) plays no part.
    """
    mean, second = features.mean(axis=0), 0.0
    for begin in range(0, len(features), ROWS):  # few at a time: a copy of all would be the training's largest array
        centred = without(features[begin : begin + ROWS] - mean, ignored)
        second = second + cast(centred.T @ centred, "float64")
    directions = cast(_strongest(second / len(features), size), "float32")
    return mean, without(directions.T, ignored).T


def _strongest(second: Array, count: int) -> Array:
    """Eigenvectors (C, count) of a symmetric matrix with the largest eigenvalues, falling."""
    _, vectors = namespace(second).linalg.eigh(second)
    return vectors[:, np.arange(vectors.shape[1])[::-1][:count].copy()]


def projected(features: Array, mean: Array, directions: Array) -> Array:
    """Keys (P, d) of features (P, C), without a copy of them."""
    keys = empty((len(features), directions.shape[1]), features)
    for begin in range(0, len(features), ROWS):
        keys[begin : begin + ROWS] = (features[begin : begin + ROWS] - mean) @ directions
    return keys


def farthest_points(keys: Array, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices (min(size, P),) of keys (P, d) that cover all others as closely as possible.

    Farthest-point sampling (Gonzalez 1985) in rounds: the `CANDIDATES` farthest points are ranked greedily among
    themselves, up to `PER_ROUND` of them are taken, then all distances are updated by one matrix product. The
    covering radius equals that of one-by-one selection to within a fraction of a percent.
    """
    count = len(keys)
    if count <= size:
        return np.arange(count)
    norms, xp = (keys * keys).sum(axis=1), namespace(keys)
    first = int(rng.integers(count))
    chosen = [first]
    distance = ((keys - keys[first]) ** 2).sum(axis=1)
    while len(chosen) < size:
        # Few at a time while few are chosen: one round's candidates all lie on the side that is farthest so far.
        take = min(PER_ROUND, max(1, len(chosen) // 4), size - len(chosen))
        picked = _round(keys, distance, take)
        chosen += picked
        new = keys[picked]
        products = keys @ new.T
        products -= 0.5 * (new * new).sum(axis=1)
        distance = xp.minimum(distance, (norms - 2 * highest(products, 1)).clip(min=0))
    return np.array(chosen)


def _round(keys: Array, distance: Array, take: int) -> list[int]:
    left, indices = top(distance, min(CANDIDATES, len(keys)))
    left, indices, among = to_numpy(left), to_numpy(indices), to_numpy(keys[indices])
    lengths = (among * among).sum(axis=1)
    apart = np.maximum(lengths[:, None] + lengths - 2 * among @ among.T, 0)
    picked = []
    for _ in range(take):
        best = int(left.argmax())
        picked.append(int(indices[best]))
        left = np.minimum(left, apart[best])
    return picked


# Directions in feature space that a change of light moves features along, to be left out of the keys.
#
# A lamp that ages makes every patch of a good part a little strange in the same few directions. They are found by
# comparing copies of good parts in other light with the parts themselves, and cost nothing afterwards: the PCA is
# fitted on what is left, and is a projection anyway (docs/decisions/0023).

FACTORS = (0.8, 1.25)  # darker and brighter
MAX_PARTS = 5  # light does the same to all parts
MAX_CELLS = 256  # of a copy


def light_directions(maps_of: Maps, loader: ImageLoader, count: int, rng: np.random.Generator) -> dict[str, Array]:
    """Orthonormal directions (C, count) of each level's raw features, the strongest first.

    The leading right singular vectors of the differences that a change of light makes, not centred: their mean is
    the most important part of them.
    """
    moved: dict[str, list[Array]] = {name: [] for name in maps_of.source.levels}
    step = max(1, len(loader.parts) // MAX_PARTS)
    for part in list(loader.parts)[::step][:MAX_PARTS] if count else ():
        prepared = loader(part)
        if prepared is None:
            continue
        image, letterbox = next(prepared.some(1))
        plain = maps_of(image, part.hash if len(prepared) == 1 else None)
        copies = [maps_of(brightened(image, letterbox, factor)) for factor in FACTORS]
        for name, names in maps_of.source.levels.items():
            own = _rows(plain, names, maps_of.source.pooled)
            pick = rng.permutation(len(own))[:MAX_CELLS]
            moved[name] += [_rows(copy, names, maps_of.source.pooled)[pick] - own[pick] for copy in copies]
    return {name: leading(joined(rows), count) for name, rows in moved.items() if rows}


def _rows(maps: dict[str, Array], names: Sequence[str], pooled: bool) -> Array:
    features = level_features([maps[name] for name in names], pooled)[0]
    return features.reshape(len(features), -1).T


def leading(rows: Array, count: int) -> Array:
    """Eigenvectors (C, count) of the rows' second moments with the largest eigenvalues."""
    return _strongest(rows.T @ rows, count)


def without(rows: Array, directions: Array | None) -> Array:
    """Features (P, C) with what lies along orthonormal directions (C, k) taken out."""
    return rows if directions is None else rows - (rows @ directions) @ directions.T
