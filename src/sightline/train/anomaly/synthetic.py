"""Synthetic defects on good parts, as maps: what settings are chosen by, and discriminators taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.progress import Progress
from sightline.data.synthetic.painters import GROUPS, draw
from sightline.evaluate.metrics.pixel import region_weights
from sightline.imaging.image import Image
from sightline.models.arrays import Array, cast, joined
from sightline.models.memory_bank import DISCRIMINATOR, Level
from sightline.train.anomaly.discriminator import Cells, Discriminators
from sightline.train.anomaly.held_out_distances import Comparer, Distances, again
from sightline.train.images.loader import ImageLoader, Part

CELL_SHARE = 0.2  # a cell belongs to a synthetic defect if so much of it does
BESIDE = 128  # cells of a drawing beside its defect, to teach with


@dataclass(frozen=True)
class DefectMaps:
    """Synthetic or marked defects: distances by level (K, 1, h, w), which cells are defective, (K, h, w) bool, and
    which the defect does not touch at all, the unit (K,) of the part each is on, and the fine level's maps, of
    half precision, where something is still to be learned from them. `marked` says that people marked them.
    """

    distances: Distances
    cells: NDArray[np.bool_]
    clear: NDArray[np.bool_]
    units: tuple[int, ...]
    maps: tuple[Distances, ...] = ()
    marked: bool = False

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """What each defective cell counts in a measure of places."""
        return region_weights(self.cells)


def synthesize_defects(
    compare: Comparer,
    loader: ImageLoader,
    parts: Sequence[Part],
    count: int,
    seed: int,
    folds: dict[int, int],
    progress: Progress,
) -> DefectMaps | None:
    """`count` synthetic defects, dealt out over the parts; None where `count` is 0.

    Where units have a fold, their parts get the kinds of that fold's group only, and the fine level's maps are kept.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(parts))
    distances: dict[str, list[Array]] = {}
    shares, units, kept = [], [], []
    for turn in range(count):
        progress("drawing defects", turn, count)
        part = parts[order[turn % len(parts)]]
        group = GROUPS[folds[part.unit]] if folds else None
        image, share = _drawing(loader, part, turn, group, rng)
        maps = compare.maps_of(image)
        for name, values in compare.distances(maps, part.unit).items():
            distances.setdefault(name, []).append(values)
        if folds:
            kept.append({name: cast(maps[name], "float16") for name in compare.fine.names})
        shares.append(share)
        units.append(part.unit)
    if not shares:
        return None
    grid = next(iter(distances.values()))[0].shape[2:]
    touched = touched_cells([np.asarray(cv2.resize(x, grid[::-1], interpolation=cv2.INTER_AREA)) for x in shares])
    found = {name: joined(values) for name, values in distances.items()}
    return DefectMaps(found, *touched, tuple(units), tuple(kept))


def touched_cells(shares: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells are defective, and which the defect does not touch at all, (K, h, w) each, from the share (h, w) of
    every cell that it covers. A defect smaller than `CELL_SHARE` of a cell still belongs to the cell that has most of
    it.
    """
    defective = np.array([share >= min(CELL_SHARE, float(share.max())) for share in shares])
    return defective, np.array([share == 0 for share in shares])


def _drawing(
    loader: ImageLoader, part: Part, turn: int, group: Sequence[str] | None, rng: np.random.Generator
) -> tuple[Image, NDArray[np.float32]]:
    """A part with a defect drawn on it, as the backbone takes it, and the defect's mask (H, W) of 0 and 1."""
    image, letterbox = next(again(loader, part).some(1, turn))
    left, top, wide, high = letterbox.inner
    kind = None if group is None else str(rng.choice(list(group)))
    synthetic = draw(np.ascontiguousarray(image[top : top + high, left : left + wide]), rng, kind)
    changed, mask = image.copy(), np.zeros(image.shape[:2], np.float32)
    changed[top : top + high, left : left + wide] = synthetic.image
    mask[top : top + high, left : left + wide] = synthetic.mask
    return changed, mask


def cells_to_teach(defects: DefectMaps, level: Level, seed: int) -> tuple[Cells, Cells]:
    """Raw features (P, C) and units (P,) of the defective cells, and of some beside the defects."""
    rng = np.random.default_rng(seed)
    hot, beside = [], []
    for maps, marked, clear, unit in zip(defects.maps, defects.cells, defects.clear, defects.units, strict=True):
        rows, _ = level.rows({name: cast(values, "float32") for name, values in maps.items()})
        away = rng.permutation(np.flatnonzero(clear))[:BESIDE]
        hot.append((rows[np.flatnonzero(marked)], unit))
        beside.append((rows[away], unit))
    return _with_units(hot), _with_units(beside)


def _with_units(found: Sequence[tuple[Array, int]]) -> Cells:
    return joined([rows for rows, _ in found]), np.repeat([unit for _, unit in found], [len(rows) for rows, _ in found])


def discriminated(defects: DefectMaps, level: Level, discriminators: Discriminators) -> DefectMaps:
    """The defects with what each is to the network that knows neither its part nor its kind; their maps are let go."""
    found = []
    for maps, unit in zip(defects.maps, defects.units, strict=True):
        rows, grid = level.rows({name: cast(values, "float32") for name, values in maps.items()})
        found.append(discriminators.distances(rows, unit).reshape(1, 1, *grid))
    return replace(defects, distances=defects.distances | {DISCRIMINATOR: joined(found)}, maps=())
