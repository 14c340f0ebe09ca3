"""Who learns, who stops and who judges: whole groups, and every side has seen defects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sightline.train.labelled import Labelled
from sightline.train.tuning.split import split_parts


@pytest.mark.parametrize("count", [60, 300])
def test_no_group_is_on_two_sides(count: int, parts_of: Callable[..., list[Labelled]]) -> None:
    labelled = parts_of(count)
    split = split_parts(labelled, 0)
    assert split is not None
    sides = [split.learning, split.stopping, split.judging]
    assert sorted(index for side in sides for index in side) == list(range(count))
    units = [{labelled[index].part.unit for index in side} for side in sides]
    assert not units[0] & units[1] and not units[0] & units[2] and not units[1] & units[2]
    for side in sides:
        assert {bool(labelled[index].part.sample.defective) for index in side} == {True, False}
    assert len(split.learning) >= 0.55 * count


def test_too_little_is_said(part_of: Callable[..., Labelled]) -> None:
    assert split_parts([part_of(i, 0, i) for i in range(30)] + [part_of(90, 1, 90), part_of(91, 1, 91)], 0) is None
    one_group = [part_of(i, i % 3, i if i % 3 == 0 else 1000) for i in range(30)]
    assert split_parts(one_group, 0) is None
