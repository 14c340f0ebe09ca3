"""Distances that are held out: every good part, and synthetic defects on it, against a bank without that part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.core.errors import InputError
from sightline.data.synthetic import draw
from sightline.models.memory import PLACE, MemoryReader
from sightline.models.nearest import nearest
from sightline.runtime.image import Image
from sightline.train.intake import Intake, Part, Prepared
from sightline.train.patches import Maps, Progress
from sightline.train.places import HeldOutPlaces

FITTED_MAPS = 256  # distance maps that the scales are fitted on; every part gives one at least
CELL_SHARE = 0.2  # a cell belongs to a synthetic defect if so much of it does

DIVISORS = (4, 2)  # of the bank: its first entries are a bank that covers as well as one of their number can

Distances = dict[str, Tensor]


def of_bank(name: str, divisor: int) -> str:
    """What a level's distances to the first 1 / divisor of its bank are called."""
    return name if divisor == 1 else f"{name}/{divisor}"


@dataclass(frozen=True)
class Known:
    """The good parts' own distances: by level (K, 1, h, w) of `counts` tiles of each of `parts`.

    `units` (K,) says what each map's part is held out with; `complete` whether these are all tiles of the parts.
    """

    parts: tuple[Part, ...]
    distances: Distances
    units: Tensor
    counts: list[int]
    complete: bool


@dataclass(frozen=True)
class Drawn:
    """Distances of synthetic defects by level (K, 1, h, w), and which cells are defective, (K, h, w) bool."""

    distances: Distances
    cells: NDArray[np.bool_]


class Comparer:
    """Compares images with a reader's bank, and with what is usual at a place, both without one unit."""

    def __init__(
        self, maps_of: Maps, reader: MemoryReader, owners: dict[str, Tensor], places: HeldOutPlaces | None = None
    ) -> None:
        self._maps_of, self._reader, self._owners, self._places = maps_of, reader, owners, places

    @torch.inference_mode()
    def __call__(self, image: Image, unit: int, key: str | None = None) -> Distances:
        """Distances (1, 1, h, w) of one image to each level's bank, to its first parts, and by place."""
        maps = self._maps_of(image, key)
        found: Distances = {}
        for name, level in self._reader.levels.items():
            keys, grid = level.keys(maps)
            for divisor, values in _by_bank(keys, level.bank, self._owners[name] == unit).items():
                found[of_bank(name, divisor)] = values.view(1, 1, *grid)
            if self._places is not None and PLACE not in found:
                found[PLACE] = self._places.distances(keys, unit).view(1, 1, *grid)
        return found


def _by_bank(keys: Tensor, bank: Tensor, banned: Tensor) -> dict[int, Tensor]:
    """Distances to the first 1 / divisor of a bank's entries, for every divisor, in the time of the whole bank."""
    found: dict[int, Tensor] = {}
    begin, closest = 0, keys.new_full((len(keys),), torch.inf)
    for divisor in (*DIVISORS, 1):
        end = len(bank) // divisor
        closest = torch.minimum(closest, nearest(keys, bank[begin:end], banned[begin:end]))
        found[divisor], begin = closest, end
    return found


def known_distances(compare: Comparer, intake: Intake, parts: Sequence[Part], progress: Progress) -> Known:
    """Distance maps of a bounded number of tiles of every part."""
    most = max(1, FITTED_MAPS // len(parts))
    distances: Distances = {}  # in one block per level, for the same reason as patches.Samples
    units: list[int] = []
    counts: list[int] = []
    complete = True
    for index, part in enumerate(parts):
        progress("scoring held-out parts", index, len(parts))
        prepared = again(intake, part)
        for image, _ in prepared.some(most, index):
            found = compare(image, part.unit, part.hash if len(prepared) == 1 else None)
            for name, values in found.items():
                if name not in distances:
                    distances[name] = values.new_empty(len(parts) * most, *values.shape[1:])
                distances[name][len(units)] = values[0]
            units.append(part.unit)
        counts.append(min(most, len(prepared)))
        complete = complete and len(prepared) <= most
    blocks = {name: block[: len(units)] for name, block in distances.items()}
    return Known(tuple(parts), blocks, torch.tensor(units), counts, complete)


def drawn_distances(
    compare: Comparer, intake: Intake, parts: Sequence[Part], count: int, seed: int, progress: Progress
) -> Drawn | None:
    """Distances of `count` synthetic defects, dealt out over the parts; None where `count` is 0."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(parts))
    found: dict[str, list[Tensor]] = {}
    masks = []
    for turn in range(count):
        progress("drawing defects", turn, count)
        part = parts[order[turn % len(parts)]]
        image, placement = next(again(intake, part).some(1, turn))
        left, top, wide, high = placement.inner
        made = draw(np.ascontiguousarray(image[top : top + high, left : left + wide]), rng)
        changed, mask = image.copy(), np.zeros(image.shape[:2], np.float32)
        changed[top : top + high, left : left + wide] = made.image
        mask[top : top + high, left : left + wide] = made.mask
        for name, values in compare(changed, part.unit).items():
            found.setdefault(name, []).append(values)
        masks.append(mask)
    if not masks:
        return None
    height, width = next(iter(found.values()))[0].shape[2:]
    cells = [np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)) for mask in masks]
    # A defect smaller than that share of a cell still belongs to the cell that has most of it.
    marked = np.array([cell >= min(CELL_SHARE, float(cell.max())) for cell in cells])
    return Drawn({name: torch.cat(values) for name, values in found.items()}, marked)


def again(intake: Intake, part: Part) -> Prepared:
    """A part that was readable before. Raises InputError where it no longer is."""
    prepared = intake(part)
    if prepared is None:
        raise InputError(f"{part.sample.path}: became unreadable during the training. Start it again")
    return prepared
