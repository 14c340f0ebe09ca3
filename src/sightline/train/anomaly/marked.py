"""Defects that people marked, as maps: the discriminator learns from them, and is judged by those it did not see."""

from __future__ import annotations

import numpy as np

from sightline.core.progress import Progress
from sightline.models.arrays import Array, cast, joined
from sightline.train.anomaly.discriminator import FOLDS
from sightline.train.anomaly.held_out_distances import Comparer, Distances
from sightline.train.anomaly.synthetic import DefectMaps, touched_cells
from sightline.train.images.loader import ImageLoader, Part
from sightline.train.labels.targets import LabelMap, segmentation_target, types_of

MIN_MARKED = 5  # parts: from fewer, nothing was gained (docs/decisions/0051)
MAX_MARKED = 300  # parts that are read; the maps of all of them are in memory at once


def has_mark(part: Part) -> bool:
    """Whether people marked something on the part; whether it can be used is only known when it is read."""
    return bool(part.sample.regions) or part.sample.mask is not None


def read_marked_defects(
    compare: Comparer, defects: ImageLoader, seed: int, progress: Progress
) -> tuple[DefectMaps, tuple[Part, ...]] | None:
    """The marked ones among the known defective parts, and which those are; None where there are too few.

    Tiles are left out, as for types: a defect that lies on the edge of two would count twice.
    """
    candidates = [part for part in defects.parts if has_mark(part)]
    if defects.size.overlap is not None or len(candidates) < MIN_MARKED:
        return None
    order = sorted(np.random.default_rng(seed).permutation(len(candidates))[:MAX_MARKED])
    label_map = LabelMap(tuple(sorted({name for p in candidates for name in types_of(p.sample)})), (), False)
    distances: dict[str, list[Array]] = {}
    shares, parts, maps_of_parts = [], [], []
    for turn, part in enumerate(candidates[index] for index in order):
        progress("reading marked defects", turn, len(order))
        prepared = defects(part)
        if prepared is None:
            continue
        maps = compare.maps_of(prepared.images[0], part.hash)
        found = compare.distances(maps, part.unit)
        grid = next(iter(found.values())).shape[2:]
        target = segmentation_target(part.sample, prepared.letterboxes[0], label_map, (grid[0], grid[1]), prepared.warp)
        if (
            target is None or (target[0] == 1).all()
        ):  # no usable mark, or one that lies outside of the region of interest
            continue
        for name, values in found.items():
            distances.setdefault(name, []).append(values)
        shares.append(1 - target[0])
        parts.append(part)
        maps_of_parts.append({name: cast(maps[name], "float16") for name in compare.fine.names})
    if len(parts) < MIN_MARKED:
        return None
    cells, clear = touched_cells(shares)
    whole: Distances = {name: joined(values) for name, values in distances.items()}
    units = tuple(part.unit for part in parts)
    return DefectMaps(whole, cells, clear, units, tuple(maps_of_parts), marked=True), tuple(parts)


def deal_marked(marked: DefectMaps, folds: dict[int, int], seed: int) -> dict[int, int]:
    """The folds of good parts' units, with one for each unit of the marked defects that has none."""
    others = sorted(set(marked.units) - folds.keys())
    dealt = np.random.default_rng(seed).permutation(others)
    return folds | {int(unit): turn % FOLDS for turn, unit in enumerate(dealt)}
