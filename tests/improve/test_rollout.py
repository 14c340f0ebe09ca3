"""A rollout goes on after enough parts, and back at the first reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.improve.rollout import Watched, grown, judge
from sightline.store.rollouts import Tally

FINE = Watched("press", True, "", (), Tally(200, 4, 0), Tally(1000, 20, 1))


@pytest.mark.parametrize(("watched", "answer", "why"), [
    (FINE, "go on", "4 of 200 parts not OK, 20 of 1000 before"),
    (replace(FINE, after=Tally(199, 4, 0)), "wait", "199 of 200 parts"),
    (replace(FINE, runs=False, after=Tally(0, 0, 0)), "wait", "not taken it over"),
    (replace(FINE, runs=False, fault="no signature"), "roll back", "no signature"),
    (replace(FINE, alarms=("defects",)), "roll back", "alarm is open"),
    (replace(FINE, after=Tally(30, 8, 0)), "roll back", "8 of 30 parts were not OK, 20 of 1000 before"),
    (replace(FINE, after=Tally(20, 0, 5)), "roll back", "5 of 25 parts ended in an error"),
    (replace(FINE, after=Tally(0, 0, 3), before=Tally(0, 0, 0)), "roll back", "3 of 3 parts"),
    (replace(FINE, after=Tally(200, 150, 0), before=Tally(0, 0, 0)), "go on", "0 of 0 before"),
])  # fmt: skip
def test_the_answer_and_why(watched: Watched, answer: str, why: str) -> None:
    said = judge(watched, 200)
    assert said[0] == answer
    assert why in said[1]


def test_a_recipe_that_is_as_good_is_seldom_taken_back_at_one_look() -> None:
    rng = np.random.default_rng(3)
    wrong = [grown(int(rng.binomial(200, 0.03)), 200, int(rng.binomial(1000, 0.03)), 1000) for _ in range(2000)]
    assert np.mean(wrong) <= 0.01


def test_one_that_is_much_worse_is_taken_back() -> None:
    rng = np.random.default_rng(4)
    right = [grown(int(rng.binomial(200, 0.12)), 200, int(rng.binomial(1000, 0.03)), 1000) for _ in range(500)]
    assert np.mean(right) >= 0.95
