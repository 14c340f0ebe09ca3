"""The subset covers every cluster before it returns to any, and goes on from what is given."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.data.curation.diverse import pick

POINTS = (np.repeat(np.eye(5) * 50, 20, axis=0) + np.random.default_rng(0).normal(size=(100, 5))).astype(np.float32)


def test_every_cluster_is_seen_before_any_twice() -> None:
    chosen = pick(POINTS, 5).indices
    assert {index // 20 for index in chosen} == set(range(5))


def test_what_is_given_counts_as_chosen() -> None:
    chosen = pick(POINTS, 3, given=(0, 21)).indices
    assert {index // 20 for index in chosen} == {2, 3, 4}


def test_the_radius_shrinks() -> None:
    radii = [pick(POINTS, count).radius for count in (1, 5, 20, 100)]
    assert radii == sorted(radii, reverse=True) and radii[-1] == 0


def test_equal_images_can_all_be_picked_once() -> None:
    assert sorted(pick(np.ones((4, 3), np.float32), 4).indices) == [0, 1, 2, 3]


@pytest.mark.parametrize(("count", "given"), [(0, ()), (101, ()), (100, (3,)), (1, (100,))])
def test_what_cannot_be_picked_is_an_error(count: int, given: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        pick(POINTS, count, given)
