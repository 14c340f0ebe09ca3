"""The bounds of rates against scipy's quantiles of the beta distribution."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from sightline.evaluate.statistics import binomial

TAILS = (0.999, 0.5, 0.1, 0.05, 0.025, 0.005, 1e-4, 1e-9)


@pytest.mark.parametrize("of", [1, 2, 3, 17, 30, 100, 999, 10_000, 123_456, 10**6, 10**7])
def test_bounds_are_quantiles_of_the_beta_distribution(of: int) -> None:
    drawn = np.random.default_rng(of).integers(0, of + 1, 4)
    counts = {0, 1, 2, of // 100, of // 3, of // 2, of - 1, of, *map(int, drawn)}
    for count in sorted(counts & set(range(of + 1))):
        for tail in TAILS:
            asked = f"{count} of {of}, tail {tail}"
            lower = stats.beta.ppf(tail, count, of - count + 1) if count else 0.0
            upper = stats.beta.isf(tail, count + 1, of - count) if count < of else 1.0
            assert binomial.lower(count, of, tail) == pytest.approx(lower, rel=1e-9, abs=0), asked
            assert binomial.upper(count, of, tail) == pytest.approx(upper, rel=1e-9, abs=0), asked


def test_bounds_meet_the_usual_call_at_the_usual_confidences() -> None:
    for of in range(1, 60):
        for count in range(of):
            for confidence in (0.8, 0.9, 0.95, 0.99):
                expected = stats.beta.ppf(confidence, count + 1, of - count)
                assert binomial.upper(count, of, 1.0 - confidence) == pytest.approx(expected, rel=1e-11)


def test_no_parts_promise_nothing() -> None:
    assert (binomial.lower(0, 0, 0.025), binomial.upper(0, 0, 0.025)) == (0.0, 1.0)


def test_a_bound_of_ten_million_parts_is_quick() -> None:
    binomial.upper(3, 100, 0.05)
    start = time.process_time()
    binomial.upper(5_000_000, 10**7, 0.05)
    assert time.process_time() - start < 0.25
