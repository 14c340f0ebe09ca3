"""Distances that are held out: every good part, and synthetic defects on it, against a bank without that part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.core.errors import InputError
from sightline.models.memory import DISCRIMINATOR, PLACE, MemoryReader
from sightline.models.nearest import nearest
from sightline.runtime.image import Image
from sightline.train.discriminate import Discriminators
from sightline.train.intake import Intake, Part, Prepared
from sightline.train.patches import Maps, Progress
from sightline.train.places import HeldOutPlaces

FITTED_MAPS = 256  # distance maps that the scales are fitted on; every part gives one at least
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


class Comparer:
    """Compares images with a reader's bank, what is usual at a place and what sets defects apart, without one unit."""

    def __init__(
        self, maps_of: Maps, reader: MemoryReader, owners: dict[str, Tensor], places: HeldOutPlaces | None = None
    ) -> None:
        self.maps_of, self._reader, self._owners, self._places = maps_of, reader, owners, places
        self.discriminators: Discriminators | None = None

    @torch.inference_mode()
    def __call__(self, image: Image, unit: int, key: str | None = None) -> Distances:
        """Distances (1, 1, h, w) of one image to each level's bank, to its first parts, and by place."""
        return self.distances(self.maps_of(image, key), unit)

    @torch.inference_mode()
    def distances(self, maps: Distances, unit: int) -> Distances:
        """The same, of an image's maps."""
        found: Distances = {}
        for name, level in self._reader.levels.items():
            rows, grid = level.rows(maps)
            keys, first = level.project(rows), not found
            for divisor, values in _by_bank(keys, level.bank, self._owners[name] == unit).items():
                found[of_bank(name, divisor)] = values.view(1, 1, *grid)
            if first and self._places is not None:
                found[PLACE] = self._places.distances(keys, unit).view(1, 1, *grid)
            if first and self.discriminators is not None:
                found[DISCRIMINATOR] = self.discriminators.distances(rows, unit).view(1, 1, *grid)
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


def again(intake: Intake, part: Part) -> Prepared:
    """A part that was readable before. Raises InputError where it no longer is."""
    prepared = intake(part)
    if prepared is None:
        raise InputError(f"{part.sample.path}: became unreadable during the training. Start it again")
    return prepared
