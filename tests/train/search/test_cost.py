"""Prices, the cheapest thresholds and their noise."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np
import pytest

from sightline.core.errors import SettingError
from sightline.evaluate.prices import Prices
from sightline.evaluate.statistics.intervals import upper_bound
from sightline.train.search.cost import cheapest, losses, noise

RNG = np.random.default_rng(0)
SCORES = np.round(np.concatenate([RNG.normal(0, 1, 30), RNG.normal(1.5, 1, 12)]), 1)  # rounded: there are ties
BAD = np.arange(42) >= 30


def by_hand(low: float, high: float, prices: Prices) -> float:
    escape = np.mean(SCORES[BAD] <= low)
    overkill = np.mean(SCORES[~BAD] > high)
    reviewed = np.greater(SCORES, low) & np.less_equal(SCORES, high)
    review = prices.defect_rate * reviewed[BAD].mean() + (1 - prices.defect_rate) * reviewed[~BAD].mean()
    money = prices.defect_rate * escape * prices.escape + (1 - prices.defect_rate) * overkill * prices.overkill
    return float(1000 * (money + review * (prices.review or 0.0)))


@pytest.mark.parametrize("review", [None, 0.5, 5.0])
@pytest.mark.parametrize("defect_rate", [0.01, 0.3])
def test_no_thresholds_are_cheaper(review: float | None, defect_rate: float) -> None:
    prices = Prices(defect_rate, review=review)
    cost = cheapest(SCORES, BAD, prices)
    places = [-math.inf, *np.unique(SCORES)]
    tried = [(t, t) for t in places] if review is None else list(combinations_with_replacement(places, 2))
    assert cost.value == pytest.approx(min(by_hand(low, high, prices) for low, high in tried))
    assert by_hand(cost.low, cost.high, prices) == pytest.approx(cost.value)
    assert cost.low == cost.high or review is not None


def test_the_losses_of_the_parts_add_up_to_the_cost() -> None:
    prices = Prices(0.1, review=0.5)
    lost = losses(SCORES, BAD, cost := cheapest(SCORES, BAD, prices), prices)
    assert 1000 * (0.1 * lost[BAD].mean() + 0.9 * lost[~BAD].mean()) == pytest.approx(cost.value)


def test_the_bound_takes_both_rates_at_their_limits() -> None:
    cost = cheapest([0.0, 0.1, 0.2, 5.0, 6.0], [False, False, False, True, True], Prices())
    assert (cost.value, cost.escapes.count, cost.overkills.count) == (0.0, 0, 0)
    assert 0.2 < cost.low < 5.0
    limits = upper_bound(0, 2, 0.975), upper_bound(0, 3, 0.975)
    assert cost.upper == pytest.approx(1000 * (0.01 * limits[0] * 50 + 0.99 * limits[1] * 2))


def test_a_part_without_a_score_is_never_ok() -> None:
    cost = cheapest([0.0, math.inf, math.nan, 2.0], [False, False, True, True], Prices(overkill=1e6))
    assert (cost.escapes.count, cost.overkills.count) == (0, 1)
    assert math.isfinite(cost.high)


def test_no_finite_score_at_all_makes_everything_ng() -> None:
    cost = cheapest([math.inf, math.inf], [False, True], Prices())
    assert (cost.escapes.count, cost.overkills.count) == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [{"defect_rate": 0.0}, {"defect_rate": 1.0}, {"escape": -1.0}, {"overkill": math.nan}, {"review": math.inf},
     {"escape": 0.0, "overkill": 0.0}],
)  # fmt: skip
def test_prices_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingError, match="Give"):
        Prices(**wrong)


def test_noise_is_the_standard_error_over_units() -> None:
    bad = np.arange(200) % 2 == 1
    lost = np.where(bad & (np.arange(200) < 40), 50.0, 0.0)  # 20 of 100 defective parts escape
    prices = Prices(0.5)
    expected = 1000 * 0.5 * 50 * math.sqrt(0.2 * 0.8 / 100)
    assert noise(lost, bad, range(200), prices) == pytest.approx(expected, rel=0.15)
    pairs = [index // 4 for index in range(200)]  # errors come in fours: the sample is worth less
    assert noise(lost, bad, pairs, prices) > 1.2 * expected
    assert noise(np.zeros(200), bad, range(200), prices) == 0.0
