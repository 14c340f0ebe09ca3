"""Exact and bootstrap intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.evaluate.metrics.image import image_auroc
from sightline.evaluate.statistics.intervals import auroc_statistic, bootstrap, clopper_pearson, exact_rate


def mean_of(values):
    return lambda weights: float(np.average(values, weights=weights))


def test_a_rate_carries_its_sample_and_its_exact_interval() -> None:
    observed = exact_rate(3, 12)
    assert (observed.count, observed.of, observed.value) == (3, 12, 0.25)
    assert (observed.lower, observed.upper) == clopper_pearson(3, 12)
    assert exact_rate(0, 0).value is None
    assert json.loads(json.dumps(observed.to_json()))["of"] == 12


def test_the_interval_of_a_mean_agrees_with_theory() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = bootstrap(mean_of(values), 400, rounds=2000)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.lower == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.upper == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(30.0)
    assert bootstrap(mean_of(values), 30, seed=4) == bootstrap(mean_of(values), 30, seed=4)
    assert bootstrap(mean_of(values), 30, seed=4) != bootstrap(mean_of(values), 30, seed=5)


def test_a_group_is_drawn_whole_so_copies_of_a_part_promise_no_more() -> None:
    values = np.random.default_rng(1).normal(size=20)
    alone = bootstrap(mean_of(values), 20, seed=2)
    copied = bootstrap(mean_of(np.repeat(values, 10)), 200, groups=[f"lot {n // 10}" for n in range(200)], seed=2)
    assert (copied.lower, copied.upper) == (pytest.approx(alone.lower), pytest.approx(alone.upper))
    independent = bootstrap(mean_of(np.repeat(values, 10)), 200, seed=2)
    assert independent.upper - independent.lower < (alone.upper - alone.lower) / 2


def test_where_nothing_varies_or_exists_there_is_no_interval() -> None:
    same = bootstrap(mean_of(np.ones(50)), 50)
    assert (same.value, same.lower, same.upper) == (1.0, None, None)
    one_group = bootstrap(mean_of(np.arange(9.0)), 9, groups=["a"] * 9)
    assert (one_group.value, one_group.lower) == (4.0, None)
    assert bootstrap(mean_of(np.empty(0)), 0).value is None
    assert bootstrap(lambda weights: None, 5).value is None
    rare = auroc_statistic(np.arange(40.0), np.arange(40) >= 38)
    assert bootstrap(rare, 40).value == 1.0
    assert bootstrap(rare, 40).lower is None


def test_the_auroc_of_weights_equals_that_of_repeated_parts() -> None:
    random = np.random.default_rng(3)
    labels = random.random(60) < 0.4
    scores = np.round(random.normal(size=60) + labels, 1)
    scores[5] = np.nan
    weights = random.multinomial(60, np.full(60, 1 / 60))
    statistic = auroc_statistic(scores, labels)
    assert statistic(np.ones(60, np.int64)) == pytest.approx(image_auroc(scores, labels))
    assert statistic(weights) == pytest.approx(image_auroc(np.repeat(scores, weights), np.repeat(labels, weights)))
    assert statistic(labels.astype(np.int64)) is None


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="Give at least 100"):
        bootstrap(mean_of(np.arange(3.0)), 3, rounds=10)
    with pytest.raises(ValueError, match="one group per part"):
        bootstrap(mean_of(np.arange(3.0)), 3, groups=["a"])
    with pytest.raises(ValueError, match=r"0\.95"):
        bootstrap(mean_of(np.arange(3.0)), 3, confidence=1.0)
    with pytest.raises(ValueError, match="one label per score"):
        auroc_statistic([1.0], [True, False])
