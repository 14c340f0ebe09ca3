"""A dataset: samples, and which of them may be learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.core.errors import InputError, warn_caller
from sightline.core.sample import TEST, TRAIN, Sample, readable_name
from sightline.data import formats
from sightline.data.account import Account, contents, take_account
from sightline.data.curation.near_duplicates import find_pairs_among, merge_groups
from sightline.data.formats.document import DatasetWarning
from sightline.data.split import ALONE, split_by_count, split_by_group, split_key
from sightline.imaging.image import find_full_scale

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
    account: Account | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        test_fraction: float = 0.3,
        seed: int = 0,
        *,
        split: bool = True,
        outside: bool = False,
    ) -> Dataset:
        """Open a folder or table in any known layout (COCO, VOC, YOLO, LabelMe, CVAT, MVTec, class folders, CSV), or a
        version in the store, as store:cookies@1.

        Where the layout gives no split, a seeded one is made: `test_fraction` of each label for test, by
        group or lot, with near-duplicates on one side; with `split=False` the samples stay without.
        `outside` allows a table to name images outside its folder. A DatasetWarning counts the pictures that are not
        read, by the reason. Raises InputError that names what was found and what was expected.
        """
        in_store, stored = str(path).startswith(STORED), str(path).removeprefix(STORED)
        path = Path(path)
        if not 0 < test_fraction < 1:
            raise InputError(f"test fraction {test_fraction} is out of range. Give a number between 0 and 1")
        if in_store:
            layout, samples, name, account = STORE, _of_store(stored), stored, None
        else:
            layout, samples = formats.read(path, outside=outside)
            account = take_account(path, layout, samples)
            name = readable_name(path.resolve().stem if path.is_file() else path.resolve().name)
        given = any(sample.split for sample in samples)
        if given:
            # A row without a split in a table that has some: never trained on, never judged by mistake.
            return cls(name, tuple(sample for sample in samples if sample.split), layout, account=account)
        whole = cls(name, tuple(samples), layout, given_split=False, account=account)
        return whole.split(test_fraction, seed) if split else whole

    def split(self, test_fraction: float = 0.3, seed: int = 0) -> Dataset:
        """The same samples with a new seeded split by group. Raises InputError for a version of the store."""
        self._may_be_split()
        return self._divided(lambda samples, keys: split_by_group(samples, keys, test_fraction, seed))

    def with_train_good(self, count: int, seed: int = 0) -> Dataset:
        """The same samples with whole groups of up to `count` good parts for training, all others for test. Raises
        InputError for a version of the store.
        """
        self._may_be_split()
        return self._divided(lambda samples, keys: split_by_count(samples, keys, count, seed))

    def _divided(self, divide: Callable[[list[Sample], list[str]], list[Sample]]) -> Dataset:
        """The same samples divided; files that cannot be decoded go to training, which names them, uncounted."""
        keys, broken = self._keys()
        whole = [index for index in range(len(self)) if index not in broken]
        divided = iter(divide([self.samples[index] for index in whole], [keys[index] for index in whole]))
        samples = [replace(s, split=TRAIN) if i in broken else next(divided) for i, s in enumerate(self.samples)]
        return replace(self, samples=tuple(samples), given_split=False)

    def _may_be_split(self) -> None:
        if self.layout == STORE and self.given_split:
            # Its test part may be frozen, and must not get into a training by another split.
            raise InputError(f"{self.name}: a version keeps its split. Change it in the store and take another version")

    def units(self) -> list[str]:
        """What must stay together, one name per sample: its group, else its lot, near-duplicates under one name."""
        return self._keys()[0]

    def _keys(self) -> tuple[list[str], set[int]]:
        """A key of what stays together for each sample, and the places of those whose files cannot be decoded."""
        keys = [split_key(sample, index) for index, sample in enumerate(self.samples)]
        full_scale = find_full_scale(sample.path for sample in self.samples)[0]
        pairs, sizes = find_pairs_among(self.samples, full_scale)
        broken = set(range(len(self.samples))) - set(sizes)  # named by training or evaluation
        most = max(MAX_MERGED_SHARE * len(keys), _largest(keys))
        merged = merge_groups(keys, pairs)
        if (largest := _largest(merged)) <= most:
            return merged, broken
        if any(key.startswith(ALONE) for key in keys):
            warn_caller(
                f"{self.name}: {largest} of {len(keys)} images are near-identical, so near-duplicates cannot be "
                "told from like parts; the split keeps only named groups and the same scene together. Add a group "
                "column",
                DatasetWarning,
            )  # where all groups are named, the names stand
        same = merge_groups(keys, [pair for pair in pairs if pair.similarity >= 1])
        return same if _largest(same) <= most else keys, broken

    @property
    def train(self) -> Dataset:
        """The part to learn from."""
        return replace(self, samples=tuple(s for s in self.samples if s.split == TRAIN))

    @property
    def test(self) -> Dataset:
        """The part that no training may read."""
        return replace(self, samples=tuple(s for s in self.samples if s.split == TEST))

    def summary(self, *, warned: bool = False) -> str:
        """What was found, for a person to check before anything is learned: files, types with counts, label words.

        `warned` leaves out the account of files where a warning has told it.
        """
        lines = [f"{self.name} ({self.layout}): {contents(self.samples)}"]
        if self.account is not None:
            lines += [] if warned and self.account.odd else [str(self.account)]
            if self.account.labels:
                lines.append(
                    "labels: " + ", ".join(f"'{name}' is {what}" for name, what in self.account.labels.items())
                )
        return "\n".join(lines)

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


def _largest(keys: Sequence[str]) -> int:
    return max(Counter(keys).values(), default=0)
