"""Charts: quiet while nothing changes, loud soon after, and the same however often they are put down and taken up."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sightline.core.card import MEASURES
from sightline.evaluate.statistics.intervals import upper_bound
from sightline.improve.charts import (
    CHARTED,
    FALSE_ALARM,
    FIRST,
    LEARNED,
    NAMES,
    QUIET,
    SIZE,
    Charts,
    Drift,
    Seen,
    Surplus,
    Usual,
)
from sightline.runtime.recipe import Recipe


def stream(usual: Usual, count: int, seed: int, moved: dict[str, float] | None = None, start: int = 1) -> list[Seen]:
    """Parts of normal measures around what is usual, moved by deviations."""
    rng = np.random.default_rng(seed)
    shift = np.zeros(SIZE)
    for name, deviations in (moved or {}).items():
        shift[CHARTED.index(name)] = deviations
    rows = usual.mean + usual.scale * (rng.normal(0, 1, (count, SIZE)) + shift)
    return [Seen(start + index, row, float(rng.uniform()), True) for index, row in enumerate(rows)]


def alarms(charts: Charts, usual: Usual, parts: list[Seen]) -> list[Drift]:
    return [drift for seen in parts if (drift := charts.add(seen, usual)) is not None]


def test_unchanged_parts_raise_nothing(usual: Usual) -> None:
    charts = Charts()
    assert alarms(charts, usual, stream(usual, 5000, 1)) == []
    assert charts.standing().max() < 0.5
    assert len(charts.history) == 120


@pytest.mark.parametrize(
    "name, deviations, within", [("brightness", 3.0, 100), ("turn", -3.0, 100), ("score", 2.5, 180)]
)
def test_a_shift_is_found_soon_with_where_it_began(usual: Usual, name: str, deviations: float, within: int) -> None:
    charts = Charts()
    assert alarms(charts, usual, stream(usual, 500, 2)) == []
    (drift,) = alarms(charts, usual, stream(usual, QUIET, 3, {name: deviations}, 501))
    assert 500 < drift.number < 500 + within
    assert 480 < drift.since <= 515
    assert name in drift.crossed
    assert drift.moved[CHARTED.index(name)] == pytest.approx(deviations * 0.8, rel=0.4)


def test_a_drift_that_stays_is_told_again_only_after_a_pause(usual: Usual) -> None:
    found = alarms(Charts(), usual, stream(usual, 1200, 4, {"noise": 3.0}))
    assert 2 <= len(found) <= 5
    assert all(later.number - earlier.number > QUIET for earlier, later in pairwise(found))


def test_p_values_that_grow_small_are_found_though_no_measure_moves(usual: Usual) -> None:
    charts = Charts()
    parts = stream(usual, 3000, 5)
    assert alarms(charts, usual, parts) == []
    small = [replace(one, p_value=0.01, number=3001 + index) for index, one in enumerate(parts[:200])]
    (drift,) = alarms(charts, usual, small)
    assert drift.crossed == ("p_value",)
    assert drift.number < 3000 + 200
    unknown = replace(usual, calibrated=0)
    assert alarms(Charts(), unknown, small) == [], "how much the p-values are worth is not known"


def test_what_comes_back_before_its_cause_is_named_is_no_alarm(usual: Usual) -> None:
    charts = Charts()
    short = stream(usual, 20, 13, {"noise": 4.0}) + stream(usual, 400, 14, {"noise": -1.5}, 21)
    assert alarms(charts, usual, short) == []


def test_one_part_however_strange_alarms_of_nothing(usual: Usual) -> None:
    charts, parts = Charts(), stream(usual, 400, 6)
    parts[100] = replace(parts[100], values=usual.mean + 1e6)
    parts[200] = replace(parts[200], values=usual.mean - 1e6, p_value=0.0)
    assert alarms(charts, usual, parts) == []


def test_what_was_not_measured_moves_nothing(usual: Usual) -> None:
    charts = Charts()
    empty = [Seen(number, np.full(SIZE, np.nan), np.nan, False) for number in range(1, 400)]
    assert alarms(charts, usual, empty) == []
    assert charts.standing().max() == 0.0
    assert np.all(np.isfinite(charts.now))
    assert (charts.parts, charts.not_ok) == (399, 399)


def test_few_training_parts_allow_more(usual: Usual) -> None:
    few = replace(usual, of=np.full(SIZE, 20.0))
    assert few.allowance.min() > usual.allowance.max()
    assert np.all(few.unit > usual.unit)
    offset = stream(few, 3000, 7, {"brightness": 1.4})
    assert alarms(Charts(), few, offset) == [], "the mean of 20 parts may be this wrong"


def test_charts_that_were_put_down_go_on_as_if_they_had_not_been(usual: Usual) -> None:
    parts = stream(usual, 300, 8, {"brightness": 1.6}) + stream(usual, 300, 9, {"red": 4.0}, 301)
    whole, pieces, found = Charts(), Charts(), []
    expected = alarms(whole, usual, parts)
    for begin in range(0, len(parts), 37):
        pieces = Charts.of_json(pieces.to_json())
        found += alarms(pieces, usual, parts[begin : begin + 37])
    assert [(one.since, one.number, one.crossed) for one in found] == [
        (one.since, one.number, one.crossed) for one in expected
    ]
    assert len(expected) > 0
    assert whole.to_json() == pieces.to_json()


@pytest.mark.parametrize("told", [{}, {"up": "AAAA"}, {"parts": "many", "up": 3}])
def test_damaged_charts_begin_anew(told: dict[str, object]) -> None:
    assert Charts.of_json(told).to_json() == Charts().to_json()


def test_without_a_card_the_first_ok_parts_say_what_is_usual(usual: Usual) -> None:
    charts, parts = Charts(), stream(usual, LEARNED + 50, 10)
    for number, seen in enumerate(parts):
        assert charts.usual_here() is None or number >= LEARNED + 5
        charts.learn(replace(seen, ok=number % 50 > 4))
    here = charts.usual_here()
    assert here is not None
    assert here.source == "production"
    assert np.abs((here.mean - usual.mean) / usual.scale).max() < 0.5
    assert here.allowance[0] > usual.allowance[0], "neighbours on a line resemble each other"
    assert alarms(charts, here, stream(usual, 2000, 11)) == []
    assert alarms(charts, here, stream(usual, 200, 12, {"brightness": 4.0}))


def test_the_card_of_a_recipe_says_what_is_usual(recipe: Recipe) -> None:
    told = Usual.of_card(recipe.card)
    assert told is not None
    assert told.mean.shape == told.scale.shape == told.of.shape == (SIZE,)
    assert told.source == "training"
    assert told.calibrated == recipe.card.calibration.good
    assert Usual.of_card(recipe.card.model_copy(update={"appearance": None})) is None
    assert len(NAMES) == len(MEASURES) + 4


def count(charts: Charts, not_ok: list[bool], start: int = 1) -> list[Surplus]:
    """What is found when parts are counted, which say nothing but whether they were OK."""
    values = np.full(SIZE, np.nan)
    parts = (Seen(start + n, values, float("nan"), not bad) for n, bad in enumerate(not_ok))
    return [found for one in parts if (found := charts.count_defects(one)) is not None]


def test_more_defects_than_usual_are_found_by_the_few_parts_that_show_it() -> None:
    charts = Charts()
    usual = [n % 100 == 0 for n in range(FIRST)]
    assert count(charts, usual) == []
    assert charts.usual == pytest.approx(upper_bound(5, FIRST))
    (found,) = count(charts, [n % 10 == 0 for n in range(180)], FIRST + 1)
    assert found.since == FIRST + 1
    assert found.of < 150
    assert 9 <= found.not_ok <= 15
    assert found.usual == charts.usual


@pytest.mark.parametrize("share", [0.002, 0.02, 0.2])
def test_as_many_defects_as_usual_raise_at_most_one_in_20_000_parts(share: float) -> None:
    rng = np.random.default_rng(7)
    found, parts = 0, 0
    for _ in range(8):
        charts, stream = Charts(), rng.random(FIRST + 10_000) < share
        found, parts = found + len(count(charts, stream.tolist())), parts + 10_000
    assert found <= 80_000 * FALSE_ALARM
    assert parts == 80_000


def test_where_most_parts_are_not_ok_no_more_are_looked_for() -> None:
    assert count(Charts(), [True] * (FIRST + 500)) == []
