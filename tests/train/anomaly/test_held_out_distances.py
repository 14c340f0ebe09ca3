"""A part that is held out is judged by the bank that would be there without it; outliers are named, and no equals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.core.sample import Sample
from sightline.models.memory_bank import AnomalyHead, Level, nearest
from sightline.train.anomaly.held_out_distances import HeldOutDistances, find_outliers, find_owners
from sightline.train.anomaly.memory_bank import farthest_points
from sightline.train.images.loader import Part

UNITS, EACH = 12, 200


def _head() -> AnomalyHead:
    level = Level(("a",), (2,), True, np.zeros(2), np.eye(2), np.zeros((1, 2)))
    level.centre = 10.0
    return AnomalyHead({"fine": level}, 0.7, (0.03, 0.3))


def _held_out_of(offsets: list[float], seed: int = 0) -> HeldOutDistances:
    rng = np.random.default_rng(seed)
    maps = rng.normal(10, 1, (len(offsets), 1, 12, 16)) + rng.normal(0, 0.1, (len(offsets), 1, 1, 1))
    maps += np.array(offsets)[:, None, None, None]
    parts = tuple(Part(Sample(Path(f"{i}.png"), False), f"{i:016}", i) for i in range(len(offsets)))
    distances = {"fine": maps.astype(np.float32)}
    return HeldOutDistances(parts, distances, np.arange(len(offsets)), [1] * len(offsets), True)


def test_strangers_are_named_farthest_first() -> None:
    found = find_outliers(_head(), _held_out_of([0.0] * 20 + [3.0, 6.0]))
    assert [outlier.part.sample.path.name for outlier in found] == ["21.png", "20.png"]
    assert found[0].robust_z > found[1].robust_z > 4.5
    assert str(found[0]).startswith("21.png (")


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_named_among_equals(seed: int) -> None:
    assert find_outliers(_head(), _held_out_of([0.0] * 30, seed)) == ()


def test_a_fifth_of_strangers_does_not_hide_itself() -> None:
    found = find_outliers(_head(), _held_out_of([0.0] * 24 + [4.0] * 6))
    assert {outlier.part.unit for outlier in found} == set(range(24, 30))


def test_never_more_than_a_share_is_named() -> None:
    found = find_outliers(_head(), _held_out_of([0.0] * 14 + [float(9 + i) for i in range(8)]))
    assert [outlier.part.unit for outlier in found] == [21, 20, 19, 18, 17, 16]  # 6 of 22: MAX of the parts


def test_few_parts_do_not_judge_each_other() -> None:
    assert find_outliers(_head(), _held_out_of([0.0] * 8 + [9.0])) == ()


# The bank without a part


def test_a_held_out_part_scores_as_a_new_one_does() -> None:
    """Parts of one kind: without what others hold in place of its entries, a part looks stranger than a new one."""
    rng = np.random.default_rng(0)
    keys = rng.normal(size=(UNITS * EACH, 6)).astype(np.float32)
    units = np.repeat(np.arange(UNITS), EACH)
    chosen = farthest_points(keys, 300, rng)
    bank, owners = keys[chosen], find_owners(keys[chosen], units[chosen], keys, units)
    held_out, with_holes = [], []
    for unit in range(UNITS):
        own = keys[units == unit]
        held_out.append(float(nearest(own, *owners.without(bank, unit)).mean()))
        with_holes.append(float(nearest(own, bank, owners.units == unit).mean()))
    new = float(nearest(rng.normal(size=(4000, 6)).astype(np.float32), bank).mean())
    assert abs(sum(held_out) / UNITS / new - 1) < 0.025
    assert sum(with_holes) / UNITS / new > 1.05


def test_what_stands_in_is_another_units() -> None:
    keys = torch.tensor([[0.0], [0.1], [0.3]])
    units = np.array([0, 0, 1])
    owners = find_owners(keys[:1], units[:1], keys, units)
    assert owners.others.tolist() == [[keys[2].item()]] and owners.of.tolist() == [1]
    there, banned = owners.without(keys[:1], 0)
    assert there.tolist() == owners.others.tolist() and banned.tolist() == [False]
    there, banned = owners.without(keys[:1], 2)
    assert there.tolist() == keys[:1].tolist() and banned.tolist() == [False]


def test_without_another_unit_an_entry_is_banned() -> None:
    keys, units = torch.tensor([[0.0], [1.0]]), np.array([4, 4])
    owners = find_owners(keys, units, keys, units)
    assert owners.without(keys, 4)[1].tolist() == [True, True]
    assert bool(nearest(keys, *owners.without(keys, 4)).isinf().all())


def test_units_that_are_forgotten_stand_in_no_more() -> None:
    keys, units = torch.tensor([[0.0], [0.5], [9.0], [0.2]]), np.array([0, 1, 2, 1])
    owners = find_owners(keys[:3], units[:3], keys, units)
    assert owners.of.tolist() == [1, -1, -1]
    owners.keep(np.array([True, False, True]), np.array([1]))
    assert owners.units.tolist() == [0, 2]
    assert owners.of.tolist() == [-1, -1]
