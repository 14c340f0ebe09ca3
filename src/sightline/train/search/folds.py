"""The bench that every trial is judged on: the training part in folds, whole units together."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.sample import TRAIN, Sample
from sightline.data.dataset import Dataset
from sightline.imaging.image import read_image
from sightline.train.images.loader import MIN_GOOD, Part, accept, image_shapes, warn

MIN_SYNTHETIC = 48  # synthetic defects, at least, where no real one is labelled
MAX_SYNTHETIC_PER_PART = 4
MIN_OF_TYPE = 6  # examples of a type: with fewer, a fold may lack it


@dataclass(frozen=True)
class Judged:
    """One picture that a fold judges: the sample it is made from, and whether a defect is drawn on it."""

    index: int
    unit: int
    fold: int
    defective: bool
    drawing: int | None = None  # the number of its drawing; None for the picture as it is


@dataclass(frozen=True)
class Bench:
    """Samples with their units and folds. `judged` is in the order of folds: the first fold's pictures come first."""

    name: str
    samples: tuple[Sample, ...]
    hashes: tuple[str, ...]
    units: tuple[int, ...]
    folds: tuple[int, ...]
    judged: tuple[Judged, ...]
    side_px: float
    seed: int

    @property
    def count(self) -> int:
        """How many folds there are."""
        return max(self.folds) + 1

    @property
    def synthetic(self) -> bool:
        """Whether synthetic defects stand in, because no defective part is labelled."""
        return any(picture.drawing is not None for picture in self.judged)

    @property
    def labelled(self) -> bool:
        """Whether labels name a type or grades that a training can learn in every fold."""
        counts = Counter(name for sample in self.samples for name in sample.types)
        grades = Counter(sample.grade for sample in self.samples if sample.grade is not None)
        return max(counts.values(), default=0) >= MIN_OF_TYPE or len(grades) > 1

    @property
    def fingerprint(self) -> str:
        """Tells these images, labels and folds from others."""
        rows = zip(self.hashes, (s.defective for s in self.samples), self.folds, strict=True)
        text = "\n".join(sorted(f"{digest} {defective} {fold}" for digest, defective, fold in rows))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def train(self, fold: int) -> Dataset:
        """What a trial learns from while `fold` is held out."""
        others = [s for s, own in zip(self.samples, self.folds, strict=True) if own != fold]
        return Dataset(self.name, tuple(others), "fold", given_split=False)

    def held_out(self, fold: int) -> list[Judged]:
        """The pictures that a fold judges, in order."""
        return [picture for picture in self.judged if picture.fold == fold]

    def defective(self, pictures: int | None = None) -> NDArray[np.bool_]:
        """Which of the first `pictures` judged are defective."""
        return np.array([picture.defective for picture in self.judged[:pictures]], bool)

    def judged_units(self, pictures: int | None = None) -> list[int]:
        """The units of the first `pictures` judged."""
        return [picture.unit for picture in self.judged[:pictures]]


def make_bench(samples: Iterable[Sample], folds: int, seed: int, roi_area: float = 1.0) -> Bench:
    """Deal the training part of a dataset into folds; test samples are never read.

    Whole groups or lots, and near-duplicates, stay in one fold. Files that cannot be used are left out with a warning.
    Raises InputError where too little is there to hold a fold out.
    """
    if folds < 2:
        raise InputError(f"{folds} folds hold nothing out. Give 2 or more")
    name = str(getattr(samples, "name", "product"))
    usable = [s for s in samples if s.split in (TRAIN, None) and s.defective is not None]
    if not any(s.defective is False for s in usable):
        raise InputError(
            "the training part has no good parts to search with. Put photos of good parts into a folder named "
            "'good', or label them 'good' in the table"
        )
    parts = [part for part in map(_read, accept(usable)) if part is not None]
    readable = tuple(part.sample for part in parts)
    keys = Dataset(name, readable, "search", given_split=False).units()
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    units = tuple(numbers[key] for key in keys)
    dealt = deal(units, [bool(s.defective) for s in readable], folds, seed)
    _check(readable, dealt, folds)
    shapes = image_shapes([part for part in parts if not part.sample.defective], np.random.default_rng(seed))
    side = float(np.sqrt(np.median([height * width for height, width in shapes]) * roi_area))
    judged = _judged(readable, units, dealt)
    return Bench(name, readable, tuple(part.hash for part in parts), units, tuple(dealt), judged, side, seed)


def deal(units: Sequence[int], defective: Sequence[bool], folds: int, seed: int) -> list[int]:
    """The fold of each sample: whole units, the largest first, each to the fold that lacks its kind most."""
    sizes = {unit: [0, 0] for unit in units}
    for unit, wrong in zip(units, defective, strict=True):
        sizes[unit][wrong] += 1
    order = [sorted(sizes)[i] for i in np.random.default_rng(seed).permutation(len(sizes))]
    # Units with defects first: they are few, and must not be left to where there is room. Ties stay shuffled.
    order.sort(key=lambda unit: (-sizes[unit][1], -sizes[unit][0]))
    filled = [[0, 0] for _ in range(folds)]
    fold_of: dict[int, int] = {}
    for unit in order:
        good, bad = sizes[unit]
        fold = min(range(folds), key=lambda f: (filled[f][1], filled[f][0]) if bad else (filled[f][0], filled[f][1]))
        fold_of[unit] = fold
        filled[fold][0] += good
        filled[fold][1] += bad
    return [fold_of[unit] for unit in units]


def portable(bench: Bench) -> Bench:
    """The same bench for another process: read-only mappings cannot be sent there."""
    return replace(bench, samples=tuple(replace(s, metadata=dict(s.metadata)) for s in bench.samples))


def _read(part: Part) -> Part | None:
    """The part with its shape; None, with a warning, where its file is not an image."""
    try:
        image, _ = read_image(part.sample.path, part.full_scale)
    except InputError as error:
        warn(f"left out: {error}")
        return None
    return replace(part, shape=image.shape[:2])


def _check(samples: Sequence[Sample], dealt: Sequence[int], folds: int) -> None:
    good = Counter(fold for sample, fold in zip(samples, dealt, strict=True) if not sample.defective)
    total = good.total()
    if not all(good[fold] for fold in range(folds)):
        raise InputError(
            f"{total} good parts do not make {folds} folds, because groups, lots and near-duplicates stay together. "
            "Give fewer folds, or photos of parts from more groups"
        )
    fewest = total - max(good.values())
    if fewest < MIN_GOOD:
        raise InputError(
            f"a trial would learn from {fewest} good parts, and needs {MIN_GOOD}. Give more good parts, or more folds"
        )


def _judged(samples: Sequence[Sample], units: Sequence[int], dealt: Sequence[int]) -> tuple[Judged, ...]:
    judged = [
        Judged(index, unit, fold, bool(sample.defective))
        for index, (sample, unit, fold) in enumerate(zip(samples, units, dealt, strict=True))
    ]
    if not any(picture.defective for picture in judged):
        each = min(MAX_SYNTHETIC_PER_PART, -(-MIN_SYNTHETIC // len(judged)))
        judged += [replace(p, defective=True, drawing=number) for p in judged for number in range(each)]
    return tuple(sorted(judged, key=lambda picture: picture.fold))
