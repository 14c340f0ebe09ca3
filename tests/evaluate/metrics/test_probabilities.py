"""Confidence: calibration error, Brier score, temperature."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.evaluate.metrics.probabilities import fit_temperature, reliability, softmax
from sightline.evaluate.statistics.intervals import clopper_pearson


def loss(logits, truth, temperature):
    """Mean negative log-likelihood, part by part."""
    total = 0.0
    for row, kind in zip(logits, truth, strict=True):
        total -= row[kind] / temperature - np.log(sum(np.exp(value / temperature) for value in row))
    return total / len(truth)


def drawn(temperature, parts=3000, kinds=4, seed=0):
    """Logits (N, K), and types drawn from softmax(logits / temperature)."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (parts, kinds))
    chance = softmax(logits / temperature)
    return logits, (chance.cumsum(axis=1) < random.random((parts, 1))).sum(axis=1)


def test_the_table_by_hand() -> None:
    found = reliability([0.9, 0.1, 0.8, 0.2, 0.6, 0.4], [1, 0, 1, 1, 0, 0], bins=3)
    assert [(row.lowest, row.highest, row.right.count, row.right.of) for row in found.bins] == [
        (0.1, 0.2, 1, 2), (0.4, 0.6, 0, 2), (0.8, 0.9, 2, 2)
    ]  # fmt: skip
    assert [row.mean for row in found.bins] == pytest.approx([0.15, 0.5, 0.85])
    assert found.ece == pytest.approx((0.35 + 0.5 + 0.15) / 3)
    assert (found.bins[1].right.lower, found.bins[1].right.upper) == clopper_pearson(0, 2)
    assert json.loads(json.dumps(found.to_json()))["bins"][2]["right"]["count"] == 2


def test_equal_confidences_share_a_bin_whatever_the_order() -> None:
    predicted, right = np.array([0.5] * 7 + [0.9] * 5), np.arange(12) % 2 == 0
    found = reliability(predicted, right, bins=4)
    assert [row.right.of for row in found.bins] == [7, 5]
    shuffled = np.random.default_rng(0).permutation(12)
    assert reliability(predicted[shuffled], right[shuffled], bins=4) == found


def test_bins_hold_equally_many_parts() -> None:
    random = np.random.default_rng(0)
    predicted = random.random(100)
    found = reliability(predicted, random.random(100) < predicted)
    assert [row.right.of for row in found.bins] == [10] * 10
    assert found.parts == 100
    assert len(reliability([0.1, 0.9], [0, 1], bins=10).bins) == 2


def test_honest_probabilities_have_a_small_error_and_boasting_ones_a_large() -> None:
    random = np.random.default_rng(1)
    chance = random.random(20000)
    right = random.random(20000) < chance
    assert reliability(chance, right).ece < 0.015
    assert reliability(np.full(20000, 0.99), right).ece == pytest.approx(0.49, abs=0.01)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_is_found_again(temperature: float) -> None:
    logits, truth = drawn(temperature)
    found = fit_temperature(logits, truth)
    assert found.value == pytest.approx(temperature, rel=0.1)
    assert not found.bounded
    assert found.before == pytest.approx(loss(logits, truth, 1.0))
    assert found.after == pytest.approx(loss(logits, truth, found.value))
    nearby = [loss(logits, truth, found.value * factor) for factor in (0.999, 1.001)]
    assert min(nearby) >= found.after


def test_the_minimum_is_the_smallest_of_a_grid() -> None:
    logits, truth = drawn(3.0, parts=40, kinds=3, seed=5)
    found = fit_temperature(logits, truth)
    grid = [loss(logits, truth, temperature) for temperature in np.geomspace(0.02, 50, 400)]
    assert found.after <= min(grid) + 1e-12
    assert found.after == pytest.approx(min(grid), abs=1e-3)
    shifted = fit_temperature(logits + 500.0, truth)
    assert shifted.value == pytest.approx(found.value)


def test_a_sample_that_determines_no_temperature_says_so() -> None:
    right = fit_temperature([[2.0, 0.0], [0.0, 1.0]], [0, 1])
    assert (right.bounded, right.value) == (True, pytest.approx(0.01))
    wrong = fit_temperature([[2.0, 0.0], [0.0, 1.0]], [1, 0])
    assert (wrong.bounded, wrong.value) == (True, pytest.approx(100.0))
    flat = fit_temperature([[1.0, 1.0]], [0])
    assert (flat.bounded, flat.value, flat.after) == (True, 1.0, pytest.approx(np.log(2)))
    assert json.loads(json.dumps(right.to_json()))["bounded"] is True


def test_softmax_is_stable_and_sums_to_one() -> None:
    found = softmax([[1000.0, 1000.0], [-1000.0, 0.0]])
    assert found == pytest.approx(np.array([[0.5, 0.5], [0.0, 1.0]]))
    assert softmax([[1.0, 0.0]])[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_nothing_gives_none() -> None:
    assert (reliability([], []).ece, reliability([], []).bins) == (None, ())


def test_bad_input_is_refused_with_a_remedy() -> None:
    for wrong in ([1.5], [np.nan], [-0.1]):
        with pytest.raises(InputError, match="softmax"):
            reliability(wrong, [True])
    with pytest.raises(InputError, match="Hold some labelled parts"):
        fit_temperature(np.empty((0, 2)), [])
    with pytest.raises(InputError, match="not a finite"):
        fit_temperature([[np.nan, 0.0]], [0])
    with pytest.raises(ValueError, match="Give one of each"):
        reliability([0.5], [])
    with pytest.raises(ValueError, match="at least 1"):
        reliability([0.5], [True], bins=0)
    with pytest.raises(ValueError, match="N types"):
        fit_temperature([0.5, 0.5], [0])
