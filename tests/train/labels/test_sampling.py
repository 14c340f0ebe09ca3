"""The order of learning and the folds: groups kept together, rare classes favoured, the same for the same seed."""

from __future__ import annotations

import itertools
import warnings
from collections import Counter, defaultdict
from collections.abc import Hashable

import numpy as np
import pytest

from sightline.core.errors import InputError, SettingError
from sightline.train.images.loader import TrainingWarning
from sightline.train.labels.sampling import BalancedOrder, grouped_folds

# 20 groups of good parts, one of them photographed 30 times, 4 groups of scratches, 1 crack.
LABELS = ["good"] * 49 + ["scratch"] * 8 + ["crack"]
GROUPS = [*(f"g{i}" for i in range(19)), *["often"] * 30, *(f"s{i // 2}" for i in range(8)), "c"]


def _drawn(order: BalancedOrder, epochs: int) -> list[int]:
    return [int(i) for number in range(epochs) for i in order.epoch(number)]


@pytest.mark.parametrize("power", [0.0, 0.3, 0.5, 1.0])
def test_classes_are_drawn_by_a_power_of_their_groups(power: float) -> None:
    order, epochs = BalancedOrder(LABELS, GROUPS, 4, power), 12
    counts = Counter(LABELS[i] for i in _drawn(order, epochs))
    weights = {"good": 20 ** (1 - power), "scratch": 4 ** (1 - power), "crack": 1.0}
    for name, weight in weights.items():
        assert abs(counts[name] - epochs * 25 * weight / sum(weights.values())) <= 1


def test_without_power_every_group_comes_once_an_epoch() -> None:
    order = BalancedOrder(LABELS, GROUPS, 4, power=0)
    for number in range(5):
        assert sorted(GROUPS[i] for i in order.epoch(number)) == sorted(set(GROUPS))


def test_groups_of_a_class_are_drawn_alike_and_share_out_their_images() -> None:
    drawn = _drawn(BalancedOrder(LABELS, GROUPS, 4), 40)
    groups = Counter(GROUPS[i] for i in drawn)
    good = [count for name, count in groups.items() if name.startswith(("g", "often"))]
    assert max(good) - min(good) <= 1
    images = Counter(i for i in drawn if GROUPS[i] == "often")
    assert max(images.values()) - min(images.values()) <= 1 and len(images) == min(30, groups["often"])


def test_batches_can_be_taken_up_anywhere() -> None:
    order = BalancedOrder(LABELS, GROUPS, 7, seed=3)
    whole = [batch.tolist() for batch in itertools.islice(order.batches(), 30)]
    assert all(len(batch) == 7 for batch in whole)
    for start in (0, 1, 4, 17):
        again = BalancedOrder(LABELS, GROUPS, 7, seed=3).batches(start)
        assert [batch.tolist() for batch in itertools.islice(again, 5)] == whole[start : start + 5]
    assert list(itertools.chain(*whole))[: 3 * 25] == _drawn(order, 3)


def test_seeds_decide_the_order() -> None:
    first, again, other = (_drawn(BalancedOrder(LABELS, GROUPS, 4, seed=seed), 2) for seed in (1, 1, 2))
    assert first == again and first != other
    assert first[:25] != first[25:]


def test_a_batch_may_be_larger_than_an_epoch() -> None:
    batches = BalancedOrder(["a", "b"], [0, 1], 5).batches()
    assert sorted(Counter(next(batches).tolist()).values()) == [2, 3]


def test_an_image_of_several_types_is_drawn_as_its_rarest() -> None:
    labels: list[Hashable] = [(), (), (), (), ("scratch",), ("scratch",), ("scratch", "crack")]
    drawn = Counter(_drawn(BalancedOrder(labels, list(range(7)), 2, power=1.0), 30))
    assert abs(drawn[6] - 70) <= 1 and abs(drawn[4] + drawn[5] - 70) <= 1


def test_orders_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="one of each"):
        BalancedOrder(["a"], [], 2)
    with pytest.raises(InputError, match="one of each"):
        BalancedOrder([], [], 2)
    with pytest.raises(SettingError, match="batch"):
        BalancedOrder(["a"], [0], 0)
    with pytest.raises(SettingError, match="power"):
        BalancedOrder(["a"], [0], 2, power=1.5)
    with pytest.raises(SettingError, match="step"):
        next(BalancedOrder(["a"], [0], 2).batches(-1))


def _parts(seed: int = 0) -> tuple[list[Hashable], list[int]]:
    """Groups of one to six images of one class each, unequal in size."""
    rng = np.random.default_rng(seed)
    labels: list[Hashable] = []
    groups: list[int] = []
    for group in range(90):
        size = int(rng.integers(1, 7))
        labels += ["good" if group < 60 else "scratch" if group < 80 else "crack"] * size
        groups += [group] * size
    order = rng.permutation(len(labels))
    return [labels[i] for i in order], [groups[i] for i in order]


@pytest.mark.parametrize("k", [2, 5, 10])
def test_folds_keep_groups_and_spread_every_class(k: int) -> None:
    labels, groups = _parts()
    folds = grouped_folds(labels, groups, k)
    assert folds.dtype == np.int64 and set(folds.tolist()) == set(range(k))
    where = defaultdict(set)
    for group, fold in zip(groups, folds.tolist(), strict=True):
        where[group].add(fold)
    assert all(len(observed) == 1 for observed in where.values())
    for name in ("good", "scratch", "crack"):
        counts = Counter(fold for label, fold in zip(labels, folds.tolist(), strict=True) if label == name)
        even = sum(counts.values()) / k
        assert max(abs(counts[fold] - even) for fold in range(k)) <= 6  # the largest group


def test_folds_are_the_same_for_the_same_seed_only() -> None:
    labels, groups = _parts()
    first, again, other = (grouped_folds(labels, groups, 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_folds_spread_each_of_several_types() -> None:
    rng = np.random.default_rng(0)
    labels: list[Hashable] = [
        tuple(name for name, share in (("a", 0.5), ("b", 0.3), ("c", 0.1)) if rng.random() < share) for _ in range(200)
    ]
    folds = grouped_folds(labels, list(range(200)), 4)
    for name in ("a", "b", "c"):
        counts = Counter(fold for label, fold in zip(labels, folds.tolist(), strict=True) if name in label)
        assert max(counts.values()) - min(counts[fold] for fold in range(4)) <= 3, name


def test_folds_say_what_is_missing() -> None:
    with pytest.raises(InputError, match=r"'crack' is shown by 1 group only.*Add parts of another group"):
        grouped_folds(LABELS, GROUPS, 2)
    with pytest.warns(TrainingWarning, match="'scratch' is shown by 4 groups, so 1 of 5 folds hold out none"):
        grouped_folds(LABELS[:-1], GROUPS[:-1], 5)
    with pytest.raises(InputError, match="'good' is shown by 1 group"):
        grouped_folds([(), ("a",), ("a",)], [0, 1, 2], 2)
    with pytest.raises(InputError, match="cannot make 3 folds"):
        grouped_folds(["a", "a"], [0, 1], 3)
    with pytest.raises(InputError, match="one of each"):
        grouped_folds(["a", "a"], [0], 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grouped_folds(["a", "a", None], [0, 1, 2], 2)  # nobody has labelled the last
