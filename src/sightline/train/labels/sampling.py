"""Which part is learned from when, and which parts are held out together: by group, and fair to rare classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError, SettingError
from sightline.train.images.loader import warn

Indices = NDArray[np.int64]


class BalancedOrder:
    """An endless order of images that is fair to rare classes, in epochs of `units` draws.

    A unit is a group's images of one class: near-identical images share a draw and take turns in it. A class with n
    units has a share of the draws in proportion to n ** (1 - power): as they come at 0, equal at 1. Nothing is left to
    luck: after any number of epochs a class has its share to within one draw, and its units differ by one draw at most.
    """

    def __init__(
        self,
        labels: Sequence[Hashable],
        groups: Sequence[Hashable],
        batch: int,
        power: float = 0.5,
        seed: int = 0,
    ) -> None:
        """`labels` and `groups` name the class and the group of each image; equal names belong together.

        A label may be a tuple of types; the image then belongs to the rarest of them, and () is a class of its own.
        Raises InputError or SettingError.
        """
        if len(labels) != len(groups) or not len(labels):
            raise InputError(f"{len(labels)} labels for {len(groups)} groups. Give one of each per image")
        if batch < 1:
            raise SettingError(f"a batch of {batch} images is too small. Give 1 or more")
        if not 0 <= power <= 1:
            raise SettingError(f"power {power} is out of range. Give 0 (as they come) to 1 (equal per class)")
        self._batch, self._seed = batch, seed
        self._classes = _units(labels, groups)
        sizes = np.array([len(units) for units in self._classes], float)
        shares = sizes ** (1 - power) / (sizes ** (1 - power)).sum()
        self.units = int(sizes.sum())
        self._ends = np.cumsum(shares) * self.units  # where each class's draws end within an epoch
        self._ends[-1] = self.units
        # Away from whole numbers, so that rounding of `_ends` decides nothing.
        self._offset = float(np.random.default_rng(seed).uniform(0.25, 0.75))

    def epoch(self, number: int) -> Indices:
        """The images of an epoch, (units,) int64, in the order they are drawn."""
        before, after = self._draw_counts(number), self._draw_counts(number + 1)
        images = [
            image
            for kind, (first, end) in enumerate(zip(before, after, strict=True))
            for image in self._images(kind, first, end)
        ]
        order = np.random.default_rng((self._seed, 1, number)).permutation(self.units)
        return np.array(images, np.int64)[order]

    def batches(self, start: int = 0) -> Iterator[Indices]:
        """Endless batches of image indices, (batch,) int64, from step `start`: the same as had the others been taken.

        Epochs follow each other without a gap, so a batch may hold the end of one and the begin of the next.
        """
        if start < 0:
            raise SettingError(f"step {start} is below 0. Count steps from 0")
        number, skipped = divmod(start * self._batch, self.units)
        waiting = self.epoch(number)[skipped:]
        while True:
            while len(waiting) < self._batch:
                number += 1
                waiting = np.concatenate([waiting, self.epoch(number)])
            yield waiting[: self._batch]
            waiting = waiting[self._batch :]

    def _draw_counts(self, epochs: int) -> list[int]:
        """How often each class was drawn in so many epochs; their sum is a whole number of epochs."""
        return np.diff(np.floor(np.concatenate([[0.0], self._ends]) * epochs + self._offset)).astype(int).tolist()

    def _images(self, kind: int, first: int, end: int) -> Iterator[int]:
        """The images of a class's draws `first` to `end`: its units in shuffled passes, a unit's images in turn."""
        units = self._classes[kind]
        begin = np.random.default_rng((self._seed, 2, kind)).integers(2**32, size=len(units)).tolist()
        for turn in range(first // len(units), -(-end // len(units))):
            shuffled = np.random.default_rng((self._seed, 3, kind, turn)).permutation(len(units)).tolist()
            start = turn * len(units)
            for unit in shuffled[max(0, first - start) : max(0, end - start)]:
                yield units[unit][(begin[unit] + turn) % len(units[unit])]


def grouped_folds(
    labels: Sequence[Hashable], groups: Sequence[Hashable], k: int, seed: int = 0, strict: bool = True
) -> Indices:
    """The fold, 0..k-1, of each image, (N,) int64: whole groups, every class spread as evenly as its groups allow.

    A label may be a tuple of types; each type then counts by itself, and () is a class of its own. None is an image
    that nobody has labelled. Groups of rare classes are dealt first, each to the fold that lacks its classes most.
    Warns of classes that fewer than `k` groups show; raises InputError where only one does, for such a class could be
    learned or held out, not both. Where not `strict`, such classes are dealt like any other, without a word.
    """
    if len(labels) != len(groups):
        raise InputError(f"{len(labels)} labels for {len(groups)} groups. Give one of each per image")
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    if not 2 <= k <= len(members):
        raise InputError(f"{len(members)} groups cannot make {k} folds. Use 2 folds up to as many as there are groups")
    held = [Counter(name for index in images for name in _names(labels[index])) for images in members.values()]
    totals = sum(held, Counter())
    if strict:
        _check_groups(held, totals, k)
    fold_of = _deal(held, totals, [len(images) for images in members.values()], k, seed)
    folds = np.empty(len(labels), np.int64)
    for images, fold in zip(members.values(), fold_of, strict=True):
        folds[images] = fold
    return folds


def _deal(held: list[Counter[Hashable]], totals: Counter[Hashable], sizes: list[int], k: int, seed: int) -> list[int]:
    """The fold of each group: rarest class first, larger groups first, then at random."""
    rng = np.random.default_rng(seed)
    order = sorted(rng.permutation(len(held)).tolist(), key=lambda i: (min(totals[n] for n in held[i]), -sizes[i]))
    filled: list[Counter[Hashable]] = [Counter() for _ in range(k)]
    images = [0] * k
    fold_of = [0] * len(held)
    for group in order:
        lacks = [_excess(filled[fold], held[group], totals) for fold in range(k)]
        *_, fold = min(zip(lacks, images, rng.permutation(k).tolist(), range(k), strict=True))
        filled[fold] += held[group]
        images[fold] += sizes[group]
        fold_of[group] = fold
    return fold_of


def _excess(filled: Counter[Hashable], group: Counter[Hashable], totals: Counter[Hashable]) -> float:
    """What a fold would then hold more than an even deal, by squares: the fullest is passed over first."""
    return round(sum((2 * filled[name] + count) * count / totals[name] ** 2 for name, count in group.items()), 9)


def _check_groups(held: list[Counter[Hashable]], totals: Counter[Hashable], k: int) -> None:
    for name in sorted(totals, key=str):
        count = sum(name in counts for counts in held)
        if name is None or count >= k:
            continue
        called = "good" if name == () else str(name)
        if count < 2:
            raise InputError(
                f"'{called}' is shown by 1 group only, so it can be learned or held out, not both. "
                "Add parts of another group, or leave that label out"
            )
        warn(f"'{called}' is shown by {count} groups, so {k - count} of {k} folds hold out none. Use {count} folds")


def _names(label: Hashable) -> tuple[Hashable, ...]:
    """The classes that a label counts for."""
    return tuple(dict.fromkeys(label)) if isinstance(label, tuple) and label else (label,)


def _units(labels: Sequence[Hashable], groups: Sequence[Hashable]) -> list[list[list[int]]]:
    """Image indices by class and unit, in the order of first appearance."""
    groups_of: dict[Hashable, set[Hashable]] = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        for name in _names(label):
            groups_of[name].add(group)
    found: dict[Hashable, dict[Hashable, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, (label, group) in enumerate(zip(labels, groups, strict=True)):
        rarest = min(_names(label), key=lambda name: (len(groups_of[name]), str(name)))
        found[rarest][group].append(index)
    return [list(units.values()) for units in found.values()]
