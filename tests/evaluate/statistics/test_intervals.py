"""Exact binomial bounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from sightline.evaluate.statistics.intervals import clopper_pearson, mean_of_all_right, rate, upper_bound


@pytest.mark.parametrize(("count", "of"), [(0, 20), (1, 20), (2, 40), (7, 9), (20, 20), (3, 5000)])
def test_bounds_solve_the_binomial_tail_equations(count: int, of: int) -> None:
    lower, upper = clopper_pearson(count, of, 0.9)
    if count:
        assert stats.binom.sf(count - 1, of, lower) == pytest.approx(0.05, abs=1e-9)
    else:
        assert lower == 0.0
    if count < of:
        assert stats.binom.cdf(count, of, upper) == pytest.approx(0.05, abs=1e-9)
        assert upper == pytest.approx(stats.beta.ppf(0.95, count + 1, of - count))
    else:
        assert upper == 1.0
    assert upper_bound(count, of, 0.95) == pytest.approx(upper)


def test_the_rule_of_the_house_twenty_good_parts_promise_at_most_13_9_percent() -> None:
    assert round(100 * upper_bound(0, 20), 1) == 13.9
    assert upper_bound(0, 20) == pytest.approx(1 - 0.05 ** (1 / 20))


def test_no_parts_promise_nothing() -> None:
    assert upper_bound(0, 0) == 1.0
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert rate(0, 0).value is None


def test_the_upper_bound_covers_at_its_confidence() -> None:
    draws = np.random.default_rng(0).binomial(30, 0.1, 2000)
    bounds = np.array([upper_bound(count, 30) for count in range(31)])
    assert (bounds[draws] >= 0.1).mean() >= 0.95 - 0.015


def test_the_mean_of_rates_without_a_failure_is_bounded_by_the_worst_rates_that_fit() -> None:
    assert mean_of_all_right([17]) == pytest.approx(clopper_pearson(17, 17)[0])
    assert mean_of_all_right([]) == mean_of_all_right([0]) == 0.0
    assert mean_of_all_right([0, 20]) == pytest.approx(clopper_pearson(20, 20)[0] / 2)
    tried = np.array([4, 9, 60])
    found = optimize.minimize(
        np.mean, [0.9, 0.9, 0.99], bounds=[(1e-6, 1.0)] * 3, method="SLSQP", options={"ftol": 1e-12},
        constraints={"type": "ineq", "fun": lambda rates: np.sum(tried * np.log(rates)) - np.log(0.025)},
    )  # fmt: skip
    assert mean_of_all_right(list(tried)) == pytest.approx(found.fun, abs=1e-5)
    assert mean_of_all_right([5, 5, 5, 5]) < mean_of_all_right([20, 20, 20, 20]) < 1.0


def test_rate_carries_count_sample_and_bound() -> None:
    observed = rate(2, 40, 0.95)
    assert (observed.count, observed.of, observed.confidence) == (2, 40, 0.95)
    assert observed.value == 0.05
    assert observed.upper == pytest.approx(upper_bound(2, 40))


@pytest.mark.parametrize(("count", "of", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 0.0)])
def test_impossible_questions_are_refused(count: int, of: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="Give"):
        upper_bound(count, of, confidence)


@pytest.mark.parametrize(("tried", "confidence"), [([4, -1], 0.95), ([4], 1.0)])
def test_an_impossible_mean_is_refused(tried: list[int], confidence: float) -> None:
    with pytest.raises(ValueError, match="Give"):
        mean_of_all_right(tried, confidence)
