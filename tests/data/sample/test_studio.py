"""Damage: the mask and the weight of a difference between two drawings."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.data.sample.product import Flaw
from sightline.data.sample.studio import VISIBLE, measure


def _grey(side: int = 100) -> np.ndarray:
    return np.full((3, side, side), 0.25, np.float32)


def test_no_difference_is_no_damage() -> None:
    damage = measure(_grey(), _grey())
    assert not damage.mask.any()
    assert damage.weight == 0


def test_mask_is_the_changed_square_and_weight_its_area_times_contrast() -> None:
    spoiled = _grey()
    spoiled[1, 20:30, 40:60] = 0.36
    damage = measure(_grey(), spoiled)
    expected = np.zeros((100, 100), bool)
    expected[20:30, 40:60] = True
    assert np.array_equal(damage.mask, expected)
    assert damage.weight == pytest.approx(0.1 * 200 / 100**2, rel=1e-4)


def test_a_change_below_sight_is_not_in_the_mask() -> None:
    spoiled = _grey()
    spoiled[:, 50:, :] = (0.5 + 0.9 * VISIBLE) ** 2
    assert not measure(_grey(), spoiled).mask.any()


def test_a_change_at_the_corner_stays_on_the_image() -> None:
    spoiled = _grey()
    spoiled[:, :3, :3] = 0.9
    assert measure(_grey(), spoiled).mask.sum() == 9


def test_more_damage_never_gets_a_lower_grade() -> None:
    flaw: Flaw[None, None] = Flaw(lambda scene, plan, good, chance: good, major=0.1, critical=0.2)
    assert [flaw.grade(damage) for damage in (0.0, 0.09, 0.1, 0.19, 0.2, 1.0)] == [1, 1, 2, 2, 3, 3]
