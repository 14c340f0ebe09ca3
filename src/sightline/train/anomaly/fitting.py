"""Fitting the memory bank: bank, held-out distances, outliers, choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Tuning
from sightline.core.progress import Progress
from sightline.models.arrays import Array, joined, to_numpy
from sightline.models.backbone import Backbone
from sightline.models.memory_bank import AnomalyHead, Level
from sightline.train.anomaly.held_out_distances import (
    Comparer,
    HeldOutDistances,
    Outlier,
    Owners,
    again,
    find_outliers,
    find_owners,
)
from sightline.train.anomaly.held_out_maps import HeldOutMaps, cells_without, compute_held_out_maps, good_cells
from sightline.train.anomaly.memory_bank import (
    Maps,
    Samples,
    check_enough,
    farthest_points,
    light_directions,
    light_step,
    principal_directions,
    projected,
    rare_patches,
    sample_patches,
)
from sightline.train.anomaly.out_of_distribution import fit_out_of_distribution
from sightline.train.anomaly.selection import choose
from sightline.train.backbone.extractor import FeatureExtractor
from sightline.train.images.loader import ImageLoader, Part, release_memory
from sightline.train.settings import TrainSettings
from sightline.train.units import worst_of_each

if TYPE_CHECKING:
    from sightline.train.classify.validation import Learned

MAX_ENTRIES = 4096  # of the fine level's bank, where the choice is not set
FIRST = 4  # the bank that shows which patches are rare has this part of the entries
RARE = 2  # rare patches for each random one


class OfParts(NamedTuple):
    """The worst picture of each part that is counted: scores, hottest cells and distances (units,)."""

    scores: NDArray[np.float64]
    peaks: NDArray[np.float64]
    distances: NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """Scores (n,), hottest cells (n,) and distances (n,) from the other good parts of parts that were held out.

    A distance above 1 is outside of what the recipe is for (`models.anomaly`).
    """

    scores: NDArray[np.float64]
    peaks: NDArray[np.float64]
    distances: NDArray[np.float64]
    parts: tuple[Part, ...]

    @cached_property
    def of_parts(self) -> OfParts:
        """What bounds are counted from."""
        return OfParts(*(worst_of_each(values, self.parts) for values in (self.scores, self.peaks, self.distances)))


@dataclass(frozen=True)
class Fitted:
    """A fitted anomaly head, the held-out scores of its good parts, what was chosen and why, and who does not belong.

    `validation_score` is the mean of image AUROC and AUPRO on held-out defects, 0 where there are none. `marked` has
    the held-out scores of the known defective parts, by hash, that the discriminator has learned from.
    `origins` (M, 4) int32 says where the first level's entries come from (`patches.Samples.origins`), in terms of
    `sampled`.
    """

    head: AnomalyHead
    held_out: HeldOut
    reasons: dict[str, str]
    outliers: tuple[Outlier, ...]
    validation_score: float
    origins: NDArray[np.int32]
    sampled: tuple[Part, ...]
    marked: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FittedModel:
    """Backbone, guard and classifier of a recipe.

    `exported` is the backbone's ONNX where it is not the cached one, `int8` whether that is quantised. `unseen` are the
    hashes of the parts that the backbone has not learned from, None where it has learned from none.
    """

    source: Backbone
    extractor: FeatureExtractor
    exported: bytes | None
    int8: bool
    fitted: Fitted
    learned: Learned | None
    unseen: frozenset[str] | None = None
    tuning: Tuning | None = None


def fit_anomaly_head(
    maps_of: Maps,
    loader: ImageLoader,
    settings: TrainSettings,
    progress: Progress,
    unseen: frozenset[str] | None = None,
    defects: ImageLoader | None = None,
) -> Fitted:
    """The anomaly head fitted on the loader's good parts, and their held-out scores. Raises InputError.

    `defects` are known defective parts: what people marked on them teaches the discriminator.
    Where the backbone has learned from some of them, the hashes `unseen` name the others: only those are scored.
    """
    rng = np.random.default_rng(settings.seed)
    light, why = light_step(loader, settings.brightness)
    sampled = tuple(loader.parts)
    samples, pooled = sample_patches(maps_of, loader, settings.sample_patches, light, rng, progress)
    good = good_cells(samples["fine"], settings, rng, defects)
    ignored = light_directions(maps_of, loader, settings.light_directions, rng)
    release_memory()
    head, owners, origins = _with_banks(maps_of, loader, samples, ignored, light, settings, rng, progress)
    release_memory()
    parts = _parts_to_score(loader, settings, unseen)
    compared = partial(
        compute_held_out_maps, maps_of, head, owners, (loader, defects), ignored.get("fine"), settings, progress
    )
    held_out_maps = compared(parts, good)
    outliers = find_outliers(head, held_out_maps.held_out)
    if outliers and settings.outliers == "leave out":
        origins = origins[forget(head, owners, loader, outliers)]
        good = None if good is None else cells_without(good, outliers)
        parts = [part for part in parts if part in loader.parts]
        held_out_maps = compared(parts, good)
    head.discriminator = held_out_maps.discriminator()
    release_memory()
    chosen = choose(head, held_out_maps.held_out, held_out_maps.synthetic, settings, held_out_maps.marked)
    scores, peaks = _held_out(head, held_out_maps.compare, loader, held_out_maps.held_out, chosen.heat, progress)
    learned = {part.unit for part in loader.parts}
    head.ood, far = fit_out_of_distribution(maps_of, loader, pooled, held_out_maps.held_out.parts, learned, settings)
    held_out = HeldOut(scores, peaks, far, held_out_maps.held_out.parts)
    reasons = {"light": f"{why}; directions left out of the keys: {settings.light_directions}", **chosen.reasons}
    marked = _marked_scores(head, held_out_maps)
    return Fitted(head, held_out, reasons, outliers, chosen.validation_score, origins, sampled, marked)


def _marked_scores(head: AnomalyHead, maps: HeldOutMaps) -> dict[str, float]:
    """Scores of the marked defects by hash, each without what was learned from it."""
    if maps.marked is None or head.discriminator is None:
        return {}
    scores = to_numpy(head.score(head.fuse(maps.marked.distances)))
    return {part.hash: float(score) for part, score in zip(maps.marked_parts, scores, strict=True)}


def _parts_to_score(loader: ImageLoader, settings: TrainSettings, unseen: frozenset[str] | None) -> list[Part]:
    """A bounded, random choice of the parts that may be scored, in the loader's order."""
    usable = [part for part in loader.parts if unseen is None or part.hash in unseen]
    order = np.random.default_rng(settings.seed).permutation(len(usable))[: settings.calibration_images]
    return [usable[index] for index in sorted(order)]


def _with_banks(
    maps_of: Maps,
    loader: ImageLoader,
    samples: dict[str, Samples],
    ignored: dict[str, Array],
    light: float,
    settings: TrainSettings,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[AnomalyHead, dict[str, Owners], NDArray[np.int32]]:
    """A head whose levels know their banks but not yet their scales, who owns each entry, and where the
    first level's entries come from.

    A first, smaller bank of random patches shows which patches of the good parts are rare; those are added to what the
    bank is chosen from.
    """
    levels, owners, origins, pools = {}, {}, [], {}
    source = maps_of.source
    most = settings.bank_size or MAX_ENTRIES
    # The coarse grid has fewer cells and smoother keys: half of the entries cover it as well.
    sizes = {name: most if name == "fine" else most // 2 for name in source.levels}
    for name, names in source.levels.items():
        block = samples.pop(name)
        features, units = block.take()
        mean, directions = principal_directions(features, settings.key_size, ignored.get(name))
        keys = projected(features, mean, directions)
        first = keys[farthest_points(keys, sizes[name] // FIRST, rng)]
        levels[name] = Level(names, block.channels, source.pooled, mean, directions, first)
        pools[name] = (keys, units, block.origins)
        del block, features
    rare = rare_patches(maps_of, loader, levels, RARE * settings.sample_patches, light, progress)
    for step, (name, level) in enumerate(levels.items()):
        progress("choosing the bank", step, len(levels))
        (more, whose), (keys, units, where) = rare[name].take(), pools.pop(name)
        keys, units = joined([keys, more]), np.concatenate([units, whose])
        chosen = farthest_points(keys, sizes[name], rng)
        level.bank = keys[chosen]
        owners[name] = find_owners(keys[chosen], units[chosen], keys, units)
        origins.append(np.concatenate([where, rare.pop(name).origins])[chosen])
    return AnomalyHead(levels, settings.sigma_cells, settings.top_fractions), owners, origins[0]


def forget(
    head: AnomalyHead, owners: dict[str, Owners], loader: ImageLoader, outliers: tuple[Outlier, ...]
) -> NDArray[np.bool_]:
    """Remove the outliers' entries from the banks and their images from the good parts.

    Returns which entries of the first level stay, (M,) bool.
    """
    units = np.array(sorted({outlier.part.unit for outlier in outliers}))
    first = ~np.isin(owners[next(iter(head.levels))].units, units)
    for name, level in head.levels.items():
        stay = ~np.isin(owners[name].units, units)
        level.bank = level.bank[stay]
        owners[name].keep(stay, units)
    gone = {outlier.part.hash for outlier in outliers}
    loader.parts = [part for part in loader.parts if part.hash not in gone]
    check_enough(loader.parts)
    return first


def _held_out(
    head: AnomalyHead,
    compare: Comparer,
    loader: ImageLoader,
    held_out: HeldOutDistances,
    heat: Array,
    progress: Progress,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores (n,) and hottest cells (n,). A part scores as its worst tile does, as on the line.

    Where all tiles are among those that the scales were fitted on, their heat is at hand; else every part is scored
    in a second pass, tile by tile, and no map is kept.
    """
    ends = zip(held_out.starts, held_out.counts, strict=True)
    found = [_worst(head, heat[start : start + count]) for start, count in ends]
    if not held_out.complete:
        found = []
        for index, part in enumerate(held_out.parts):
            progress("scoring every tile", index, len(held_out.parts))
            tiles = [head.fuse(compare(image, part.unit)) for image in again(loader, part).images]
            found.append(_worst(head, joined(tiles)))
    return np.array([score for score, _ in found]), np.array([peak for _, peak in found])


def _worst(head: AnomalyHead, heat: Array) -> tuple[float, float]:
    """The highest score and the hottest cell of a part's tiles, heat (K, 1, h, w)."""
    return float(head.score(heat).max()), float(heat.max())
