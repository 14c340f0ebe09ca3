"""Splits: what belongs together stays together, and every label has its share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.split import split_by_count, split_by_group, split_key


def _good(count: int) -> list[Sample]:
    return [Sample(Path(f"good{i}.png"), False) for i in range(count)]


def _bad(count: int, *types: str) -> list[Sample]:
    return [Sample(Path(f"{types}{i}.png"), True, types) for i in range(count)]


def _alone(samples: list[Sample]) -> list[str]:
    return [f"{i:04}" for i in range(len(samples))]


def _sides(samples: list[Sample]) -> Counter[tuple[str | None, str]]:
    return Counter((sample.split, "|".join(sample.types) or "good") for sample in samples)


def test_a_key_is_the_group_or_else_the_lot_or_else_the_image() -> None:
    assert split_key(Sample(Path("a"), False, group="g", lot="l"), 3) == "group:g"
    assert split_key(Sample(Path("a"), False, lot="l"), 3) == "lot:l"
    assert split_key(Sample(Path("a"), False), 3) == "image:3"
    assert split_key(Sample(Path("a"), False, group="1"), 0) != split_key(Sample(Path("b"), False, lot="1"), 1)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_split(seed: int) -> None:
    samples = _good(60) + _bad(20, "dent")
    keys = [f"group {(i * 7) % 17}" for i in range(len(samples))]
    split = split_by_group(samples, keys, 0.3, seed)
    sides: dict[str, set[str | None]] = {}
    for sample, key in zip(split, keys, strict=True):
        sides.setdefault(key, set()).add(sample.split)
    assert all(len(side) == 1 for side in sides.values())
    assert {sample.split for sample in split} == {"train", "test"}


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.8])
def test_each_label_has_its_share(fraction: float) -> None:
    samples = _good(100) + _bad(40, "dent") + _bad(20, "crack")
    sides = _sides(split_by_group(samples, _alone(samples), fraction))
    for label, count in (("good", 100), ("dent", 40), ("crack", 20)):
        assert sides["test", label] == pytest.approx(fraction * count, abs=1)
        assert sides["train", label] + sides["test", label] == count


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_class_is_on_both_sides(seed: int) -> None:
    samples = _good(50) + _bad(2, "rare") + _bad(10, "dent") + _bad(2, "dent", "rare")
    sides = _sides(split_by_group(samples, _alone(samples), 0.5, seed))
    for label in ("rare", "dent|rare"):
        assert sides["test", label] == sides["train", label] == 1


@pytest.mark.parametrize("seed", range(5))
def test_good_parts_make_up_for_the_groups_of_rare_classes(seed: int) -> None:
    """Two trays hold ten good parts and one rare defect each; twenty good parts lie loose."""
    samples = _good(40) + _bad(2, "rare")
    keys = ["tray a"] * 10 + ["tray b"] * 10 + [f"{i:04}" for i in range(20)] + ["tray a", "tray b"]
    sides = _sides(split_by_group(samples, keys, 0.5, seed))
    assert sides["test", "rare"] == 1
    assert sides["test", "good"] == 20


def test_nothing_but_the_split_changes() -> None:
    samples = _good(10) + _bad(5, "dent")
    split = split_by_group(samples, _alone(samples))
    assert [(s.path, s.defective, s.types) for s in split] == [(s.path, s.defective, s.types) for s in samples]


def test_equal_seeds_give_equal_splits() -> None:
    samples = _good(40)
    splits = [[s.split for s in split_by_group(samples, _alone(samples), 0.3, seed)] for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]


def test_one_group_stays_whole_and_for_training() -> None:
    samples = _good(10)
    assert {s.split for s in split_by_group(samples, ["all"] * 10, 0.9)} == {"train"}


@pytest.mark.parametrize(("count", "kept"), [(3, 3), (5, 5), (6, 5), (10, 5)])
def test_five_good_parts_stay_for_training(count: int, kept: int) -> None:
    samples = _good(count)
    assert _sides(split_by_group(samples, _alone(samples), 0.9))["train", "good"] == kept


@pytest.mark.parametrize("count", [1, 7, 20])
def test_a_count_takes_that_many_good_parts(count: int) -> None:
    samples = _good(20) + _bad(5, "dent")
    sides = _sides(split_by_count(samples, _alone(samples), count))
    assert sides["train", "good"] == count
    assert sides["test", "dent"] == 5
    assert sides["train", "dent"] == 0


def test_a_count_takes_whole_groups_only() -> None:
    samples = _good(20)
    split = split_by_count(samples, [f"group {i // 4}" for i in range(20)], 10)
    assert Counter(sample.split for sample in split) == {"train": 8, "test": 12}
    assert all(len({s.split for s in split[start : start + 4]}) == 1 for start in range(0, 20, 4))


def test_a_defect_goes_where_its_group_goes() -> None:
    samples = _good(4) + _bad(4, "dent")
    split = split_by_count(samples, ["a", "b", "c", "d"] * 2, 2, seed=3)
    assert [s.split for s in split[:4]] == [s.split for s in split[4:]]


def test_a_count_is_seeded() -> None:
    samples = _good(40)
    splits = [[s.split for s in split_by_count(samples, _alone(samples), 10, seed)] for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]


def test_a_count_below_every_group_is_an_error() -> None:
    with pytest.raises(InputError, match="no group has 3 good parts or fewer: raise the number"):
        split_by_count(_good(8), ["a"] * 4 + ["b"] * 4, 3)
