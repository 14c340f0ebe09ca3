"""Splits by group: what belongs together (one part, one lot, near-duplicates) stays on one side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sightline.core.errors import InputError
from sightline.core.sample import TEST, TRAIN, Sample

GOOD = "good"
ALONE = "image:"  # before the key of a sample without group and lot
MIN_TRAIN_GOOD = 5  # a recipe needs as many; a small dataset keeps them for training


def split_key(sample: Sample, index: int) -> str:
    """What must stay together with a sample: its group, else its lot, else itself alone."""
    if sample.group is not None:
        return f"group:{sample.group}"
    return f"lot:{sample.lot}" if sample.lot is not None else f"{ALONE}{index}"


def split_by_group(
    samples: Sequence[Sample], keys: Sequence[str], test_fraction: float = 0.3, seed: int = 0
) -> list[Sample]:
    """Samples with `split` set; whole groups go to test until each label has its share there.

    Groups with the rarest label are dealt first, each to the side that lacks it most, so that small
    classes land on both sides where their groups allow it. At least `MIN_TRAIN_GOOD` good parts stay for
    training, where there are as many.
    """
    labels = ["|".join(sample.types) or (GOOD if sample.defective is False else "other") for sample in samples]
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    totals: dict[str, int] = defaultdict(int)
    for key, label in zip(keys, labels, strict=True):
        counts[key][label] += 1
        totals[label] += 1
    test = _deal(counts, totals, test_fraction, np.random.default_rng(seed))
    return [replace(s, split=TEST if key in test else TRAIN) for s, key in zip(samples, keys, strict=True)]


def _deal(
    counts: dict[str, dict[str, int]], totals: dict[str, int], fraction: float, rng: np.random.Generator
) -> set[str]:
    keys = sorted(counts)
    order = [keys[i] for i in rng.permutation(len(keys))]
    order.sort(key=lambda key: min(totals[label] for label in counts[key]))  # stable: random within a rarity
    filled: dict[str, int] = defaultdict(int)
    test: set[str] = set()
    for key in order:
        rarest = min(counts[key], key=lambda label: totals[label])
        goal = fraction * totals[rarest]
        spared = totals[GOOD] - filled[GOOD] - counts[key][GOOD] >= min(MIN_TRAIN_GOOD, totals[GOOD])
        # To test only if that leaves the rarest label nearer to its share than before.
        if spared and abs(filled[rarest] + counts[key][rarest] - goal) < abs(filled[rarest] - goal):
            test.add(key)
            for label, count in counts[key].items():
                filled[label] += count
    return test


def split_by_count(samples: Sequence[Sample], keys: Sequence[str], train_good: int, seed: int = 0) -> list[Sample]:
    """Samples with `split` set: whole groups up to `train_good` good parts for training, the rest for test.

    Defective samples that share a group with a training part go to training, too.
    """
    good: dict[str, int] = defaultdict(int)
    for sample, key in zip(samples, keys, strict=True):
        good[key] += sample.defective is False
    names = sorted(key for key, count in good.items() if count)
    taken, train = 0, set()
    for i in np.random.default_rng(seed).permutation(len(names)):
        if taken + good[names[i]] <= train_good:
            taken += good[names[i]]
            train.add(names[i])
    if not taken:
        raise InputError(f"no group has {train_good} good parts or fewer: raise the number of training parts")
    return [replace(s, split=TRAIN if key in train else TEST) for s, key in zip(samples, keys, strict=True)]
