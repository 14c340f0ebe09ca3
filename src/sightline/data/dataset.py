"""A dataset: samples, and which of them may be learned from."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.core.errors import InputError
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.data import formats
from sightline.data.duplicates import fingerprint, merge_groups, near_duplicates
from sightline.data.split import split_by_count, split_by_group, split_key
from sightline.data.warning import DatasetWarning
from sightline.runtime.image import read_image

__all__ = ["Dataset", "DatasetWarning"]

STORE, STORED = "store", "store:"  # before the name of a version
MAX_MERGED_SHARE = 0.3  # a larger cluster of "duplicates" means that all parts look alike, not that they recur


@dataclass(frozen=True)
class Dataset:
    """Samples of one product, and whether their split was given by the data. Iterates over its samples."""

    name: str
    samples: tuple[Sample, ...]
    layout: str
    given_split: bool = True

    @classmethod
    def open(cls, path: str | Path, test_fraction: float = 0.3, seed: int = 0, *, split: bool = True) -> Dataset:
        """Open a folder or table in any known layout (COCO, VOC, YOLO, LabelMe, CVAT, MVTec, class folders, CSV), or a
        version in the store, as store:cookies@1.

        Where the layout gives no split, a seeded one is made: `test_fraction` of each label for test, by
        group or lot, with near-duplicates on one side; with `split=False` the samples stay without.
        Raises InputError that names what was found and what was expected.
        """
        stored = str(path).removeprefix(STORED)
        path = Path(path)
        if not 0 < test_fraction < 1:
            raise InputError(f"test fraction {test_fraction} is out of range. Give a number between 0 and 1")
        if stored != str(path):
            layout, samples, name = STORE, _of_store(stored), stored
        else:
            layout, samples = formats.read(path)
            name = path.resolve().stem if path.is_file() else path.resolve().name
        given = any(sample.split for sample in samples)
        if given:
            # A row without a split in a table that has some: never trained on, never judged by mistake.
            return cls(name, tuple(sample for sample in samples if sample.split), layout)
        whole = cls(name, tuple(samples), layout, given_split=False)
        return whole.split(test_fraction, seed) if split else whole

    def split(self, test_fraction: float = 0.3, seed: int = 0) -> Dataset:
        """The same samples with a new seeded split by group. Raises InputError for a version of the store."""
        self._may_be_split()
        split = split_by_group(self.samples, self._keys(), test_fraction, seed)
        return replace(self, samples=tuple(split), given_split=False)

    def with_train_good(self, count: int, seed: int = 0) -> Dataset:
        """The same samples with whole groups of up to `count` good parts for training, all others for test. Raises
        InputError for a version of the store.
        """
        self._may_be_split()
        split = split_by_count(self.samples, self._keys(), count, seed)
        return replace(self, samples=tuple(split), given_split=False)

    def _may_be_split(self) -> None:
        if self.layout == STORE and self.given_split:
            # Its test part may be frozen, and must not get into a training by another split.
            raise InputError(f"{self.name}: a version keeps its split. Change it in the store and take another version")

    def units(self) -> list[str]:
        """What must stay together, one name per sample: its group, else its lot, near-duplicates under one name."""
        return self._keys()

    def _keys(self) -> list[str]:
        keys = [split_key(sample, index) for index, sample in enumerate(self.samples)]
        pairs = _duplicates(self.samples)
        merged = merge_groups(keys, pairs)
        largest, given = (max(Counter(names).values()) for names in (merged, keys))
        if largest > max(MAX_MERGED_SHARE * len(keys), given):
            warnings.warn(
                f"{self.name}: {largest} of {len(keys)} images are near-identical, so near-duplicates cannot be "
                "told from like parts; the split keeps only named groups together. Add a group column",
                DatasetWarning,
                stacklevel=3,
            )
            return keys
        return merged

    @property
    def train(self) -> Dataset:
        """The part to learn from."""
        return replace(self, samples=tuple(s for s in self.samples if s.split == TRAIN))

    @property
    def test(self) -> Dataset:
        """The part that no training may read."""
        return replace(self, samples=tuple(s for s in self.samples if s.split == TEST))

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __str__(self) -> str:
        counts = Counter(
            (s.split, "good" if s.defective is False else "defective" if s.defective else "unlabelled")
            for s in self.samples
        )
        parts = ", ".join(
            f"{split or ''} {count} {label}".strip() for (split, label), count in sorted(counts.items(), key=str)
        )
        return f"{self.name} ({self.layout}): {parts}"


def _of_store(name: str) -> list[Sample]:
    from sightline.store.store import Store

    with Store.open(create=False) as store:
        return list(store.samples(name))


def _duplicates(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    prints, places = [], []
    for index, sample in enumerate(samples):
        try:
            image, _ = read_image(sample.path)
        except InputError:
            continue  # named by training or evaluation, which read it too
        prints.append(fingerprint(image))
        places.append(index)
    return [(places[i], places[j]) for i, j in near_duplicates(prints)]
