"""A pilot's running verdict: in words, with what decides next, and an exit that follows the evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.evaluate.prices import Prices
from sightline.improve.pilot import Targets, standing
from sightline.improve.rates import live_rates
from sightline.store.review_figures import Stratum

TARGETS = Targets(escape=0.3, overkill=0.01, review=0.05, parts=10_000, prices=Prices(review=0.2))


def rates(ok: tuple[int, int, int], review: tuple[int, int, int], ng: tuple[int, int, int]):  # type: ignore[no-untyped-def]
    named = zip((Verdict.OK, Verdict.REVIEW, Verdict.NG), (ok, review, ng), strict=True)
    return live_rates([Stratum(verdict, *numbers) for verdict, numbers in named])


def test_the_running_verdict_is_one_sentence_with_what_decides() -> None:
    found = standing(TARGETS, rates((12_000, 300, 0), (280, 200, 80), (200, 20, 180)))
    assert found.sentence().startswith("After 12,480 parts: escapes 0 % (0 % to ")
    assert "more parts decide" in found.sentence()
    assert "overkill at most" in found.sentence() and "goal 1.0 %: reached" in found.sentence()
    assert found.advice == "go on"


def test_scale_where_all_is_reached_and_go_on_before_enough_parts() -> None:
    good = rates((12_000, 6000, 0), (280, 200, 80), (200, 10, 190))
    assert standing(TARGETS, good).advice == "scale"
    assert standing(replace(TARGETS, parts=50_000), good).why == "12,480 of 50,000 parts have run through"


def test_redesign_where_a_goal_is_missed_and_stop_where_it_does_not_pay() -> None:
    overkill = rates((10_000, 5000, 0), (200, 100, 100), (1000, 900, 100))
    found = standing(TARGETS, overkill)
    assert found.goals[1].answer == "missed" and "goal 1.0 %: not" in found.sentence()
    assert (found.advice, found.reason) == ("redesign", "missed")
    dear = replace(TARGETS, prices=Prices(escape=1.0, overkill=5.0, defect_rate=0.001))
    assert (standing(dear, overkill).advice, standing(dear, overkill).reason) == ("stop", "missed and dear")
    # 60 alarms that stop the line at 200 each cost more than looking at nothing.
    paid = replace(TARGETS, prices=Prices(review=0.2, stop=200.0))
    reached = rates((12_000, 6000, 0), (280, 200, 80), (200, 10, 190))
    assert (standing(paid, reached, stops=2).advice, standing(paid, reached, stops=60).advice) == ("scale", "stop")


def test_what_nobody_looked_at_is_open_and_never_reached() -> None:
    found = standing(TARGETS, rates((12_000, 0, 0), (280, 0, 0), (200, 0, 0)))
    assert found.goals[0].answer == "open" and found.goals[0].more is None and found.cost is None
    assert "unknown" in found.sentence()
    with pytest.raises(InputError, match="between 0 and 1"):
        replace(TARGETS, escape=0.0)


def test_reached_and_missed_are_right_in_simulated_plants() -> None:
    """Where an answer is given, it is the wrong one in at most 6 % of the plants."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(500):
        bad, limit = rng.uniform(0.001, 0.2), 0.05
        ng = 400
        false = int(rng.binomial(ng, bad))
        seen = rng.hypergeometric(false, ng - false, 200)
        found = standing(
            replace(TARGETS, overkill=limit), rates((5000, 300, 0), (0, 0, 0), (ng, int(seen), int(200 - seen)))
        ).goals[1]
        truth = false / (5000 + false)
        wrong += (found.answer == "reached" and truth > limit) or (found.answer == "missed" and truth <= limit)
    assert wrong <= 0.06 * 500
