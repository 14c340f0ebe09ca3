"""Distances that are held out: every good part, and synthetic defects on it, against a bank without that part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.progress import Progress
from sightline.core.sample import readable_name
from sightline.imaging.image import Image
from sightline.models.arrays import Array, empty, like, namespace, to_numpy
from sightline.models.memory_bank import DISCRIMINATOR, AnomalyHead, ImageScore, Level, nearest, over_bank
from sightline.train.anomaly.discriminator import Discriminators
from sightline.train.anomaly.memory_bank import Maps
from sightline.train.images.loader import ImageLoader, Part, Prepared

FITTED_MAPS = 256  # distance maps that the scales are fitted on; every part gives one at least

Distances = dict[str, Array]


@dataclass(frozen=True)
class HeldOutDistances:
    """The good parts' own distances: by level (K, 1, h, w) of `counts` tiles of each of `parts`.

    `units` (K,) says what each map's part is held out with; `complete` whether these are all tiles of the parts.
    """

    parts: tuple[Part, ...]
    distances: Distances
    units: NDArray[np.int64]
    counts: list[int]
    complete: bool

    @property
    def starts(self) -> NDArray[np.int64]:
        """The first map of each part."""
        return np.cumsum([0, *self.counts[:-1]])


@dataclass
class Owners:
    """Whose patch each entry of a bank is, `units` (M,), and what the bank would hold there without that unit.

    `others` (M, d) are sampled keys of other units, `of` (M,) says whose; -1 where there is none. Without them a part
    would be held out against a bank with holes: farthest points keep one of many like patches, and those that were
    passed over for its sake are not there. It would look stranger than a new part does.
    """

    units: NDArray[np.int64]
    others: Array
    of: NDArray[np.int64]

    def without(self, bank: Array, unit: int) -> tuple[Array, Array]:
        """The bank (M, d) that would be there without `unit`, and which of its entries (M,) may not be used."""
        own = self.units == unit
        there = namespace(bank).where(like(own[:, None], bank), self.others, bank)
        return there, like(own & (self.of < 0), bank)

    def keep(self, stay: NDArray[np.bool_], gone: NDArray[np.int64]) -> None:
        """Forget all but the entries `stay` (M,) bool, and what comes from the units `gone`."""
        self.units, self.others, self.of = self.units[stay], self.others[stay], self.of[stay]
        self.of[np.isin(self.of, gone)] = -1


def find_owners(bank: Array, owners: NDArray[np.int64], keys: Array, units: NDArray[np.int64]) -> Owners:
    """Owners of a bank (M, d) chosen from `keys` (P, d): `owners` (M,) and `units` (P,) name the units of both.

    What stands in for a unit's entries is what the choice of farthest points would go on with if they were taken out,
    among the keys that lose their nearest entry.
    """
    nearest_owner = owners[to_numpy(over_bank(keys, bank, lambda products: products.argmax(axis=1), "int64"))]
    others, of = bank + 0.0, np.full_like(owners, -1)
    for unit in np.unique(owners):
        own = owners == unit
        bare = np.flatnonzero((nearest_owner == unit) & (units != unit))
        around = keys[bare]
        distance = nearest(around, bank, like(own, bank)) ** 2
        for entry in np.flatnonzero(own)[: len(bare)]:
            pick = int(distance.argmax())
            others[entry], of[entry] = around[pick], units[bare[pick]]
            distance = namespace(keys).minimum(distance, ((around - around[pick]) ** 2).sum(axis=1))
    return Owners(owners, others, of)


class Comparer:
    """Distances to the memory bank and the discriminator's evidence, each without one unit."""

    def __init__(self, maps_of: Maps, head: AnomalyHead, owners: dict[str, Owners]) -> None:
        self.maps_of, self._head, self._owners = maps_of, head, owners
        self.discriminators: Discriminators | None = None

    @property
    def fine(self) -> Level:
        """The level whose features the discriminators judge."""
        return self._head.levels["fine"]

    def __call__(self, image: Image, unit: int, key: str | None = None) -> Distances:
        """Distances (1, 1, h, w) of one image to each level's bank, and the evidence."""
        return self.distances(self.maps_of(image, key), unit)

    def distances(self, maps: Distances, unit: int) -> Distances:
        """The same, of an image's maps."""
        found: Distances = {}
        for name, level in self._head.levels.items():
            rows, grid = level.rows(maps)
            keys, first = level.project(rows), not found
            found[name] = nearest(keys, *self._owners[name].without(level.bank, unit)).reshape(1, 1, *grid)
            if first and self.discriminators is not None:
                found[DISCRIMINATOR] = self.discriminators.distances(rows, unit).reshape(1, 1, *grid)
        return found


def held_out_distances(
    compare: Comparer, loader: ImageLoader, parts: Sequence[Part], progress: Progress
) -> HeldOutDistances:
    """Distance maps of a bounded number of tiles of every part."""
    most = max(1, FITTED_MAPS // len(parts))
    distances: Distances = {}  # in one block per level, for the same reason as patches.Samples
    units: list[int] = []
    counts: list[int] = []
    complete = True
    for index, part in enumerate(parts):
        progress("scoring held-out parts", index, len(parts))
        prepared = again(loader, part)
        for image, _ in prepared.some(most, index):
            found = compare(image, part.unit, part.hash if len(prepared) == 1 else None)
            for name, values in found.items():
                if name not in distances:
                    distances[name] = empty((len(parts) * most, *values.shape[1:]), values)
                distances[name][len(units)] = values[0]
            units.append(part.unit)
        counts.append(min(most, len(prepared)))
        complete = complete and len(prepared) <= most
    blocks = {name: block[: len(units)] for name, block in distances.items()}
    return HeldOutDistances(tuple(parts), blocks, np.array(units), counts, complete)


def again(loader: ImageLoader, part: Part) -> Prepared:
    """A part that was readable before. Raises InputError where it no longer is."""
    prepared = loader(part)
    if prepared is None:
        raise InputError(f"{part.sample.path}: became unreadable during the training. Start it again")
    return prepared


# Good parts that may not be good: found by their held-out scores, left out, and listed for a person.

FAR = 4.5  # robust standard deviations above the median
MAX = 0.3  # of the parts; beyond, the parts differ, and no majority says which are good
MIN_PARTS = 16  # the scale of fewer is a guess, and a good part would be called a stranger


@dataclass(frozen=True)
class Outlier:
    """A part labelled good that looks like no other, and how far: robust standard deviations above the median."""

    part: Part
    robust_z: float

    def __str__(self) -> str:
        return (
            f"{readable_name(self.part.sample.path.name)} ({self.robust_z:.1f} robust standard "
            "deviations above the median)"
        )


def find_outliers(head: AnomalyHead, held_out: HeldOutDistances) -> tuple[Outlier, ...]:
    """Parts whose held-out score lies far above the others', farthest first.

    Median and median absolute deviation, so that a fifth of strangers does not hide itself (Iglewicz and Hoaglin,
    "How to Detect and Handle Outliers", 1993, use 3.5 for single outliers of a normal sample; scores have a longer
    tail).
    """
    if len(held_out.parts) < MIN_PARTS:
        return ()
    heat = head.fuse(held_out.distances)
    score = ImageScore(head.score.fractions)
    score.fit(heat)
    scores = np.maximum.reduceat(to_numpy(score(heat)).astype(float), held_out.starts)
    median = np.median(scores)
    scale = max(1.4826 * float(np.median(np.abs(scores - median))), 1e-6)
    far = (scores - median) / scale
    order = [index for index in np.argsort(-far) if far[index] > FAR][: int(MAX * len(scores))]
    return tuple(Outlier(held_out.parts[index], float(far[index])) for index in order)
