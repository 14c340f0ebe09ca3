"""Grades: kappa, distance, and telling two grades apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.core.errors import InputError
from sightline.evaluate.metrics.grades import grade_scores


def kappa_by_table(truth, predicted):
    """Cohen's definition: one less observed over expected disagreement, cell by cell."""
    observed = expected = 0.0
    for a in truth:
        for b in predicted:
            expected += (a - b) ** 2 / len(truth)
    for a, b in zip(truth, predicted, strict=True):
        observed += (a - b) ** 2
    return 1 - observed / expected


def test_by_hand() -> None:
    found = grade_scores([0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 1, 1, 2, 0, 3, 2])
    # Squared distances: 1 + 4 + 1 = 6; by chance 8 * (1.25 + 0.9375 + 0.25 ** 2) = 18.
    assert found.kappa.value == pytest.approx(1 - 6 / 18)
    assert found.error.value == pytest.approx(4 / 8)
    assert found.adjacent.value == 7 / 8
    assert (found.adjacent_rate.count, found.adjacent_rate.of, found.exact.count) == (7, 8, 5)
    assert json.loads(json.dumps(found.to_json()))["exact"]["of"] == 8


@pytest.mark.parametrize("seed", range(4))
def test_kappa_equals_the_table_and_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 5, 90)
    predicted = np.clip(truth + random.integers(-2, 3, 90), 0, 4)
    found = grade_scores(truth, predicted)
    assert found.kappa.value == pytest.approx(kappa_by_table(truth.tolist(), predicted.tolist()))
    assert found.kappa.value == pytest.approx(sk.cohen_kappa_score(truth, predicted, weights="quadratic"))
    assert found.kappa.lower < found.kappa.value < found.kappa.upper
    assert found.error.lower < found.error.value < found.error.upper
    assert found == grade_scores(truth, predicted)


def test_kappa_at_its_ends() -> None:
    assert grade_scores([0, 1, 2], [0, 1, 2]).kappa.value == 1.0
    assert grade_scores([0, 2], [2, 0]).kappa.value == -1.0
    assert grade_scores([1, 1], [2, 2]).kappa.value == 0.0
    assert grade_scores([1, 1], [1, 1]).kappa.value is None


def test_all_right_promises_no_more_than_the_sample() -> None:
    found = grade_scores([0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2])
    assert (found.adjacent.value, found.adjacent.lower) == (1.0, None)
    assert found.adjacent_rate.lower == pytest.approx(0.025 ** (1 / 6))


def test_no_parts_give_none() -> None:
    found = grade_scores([], [])
    assert (found.kappa.value, found.error.value, found.adjacent.value, found.exact.value) == (None, None, None, None)


def test_bad_grades_are_refused_with_a_remedy() -> None:
    for wrong in ([0.5], [np.nan], [np.inf]):
        with pytest.raises(InputError, match="Number the grades"):
            grade_scores(wrong, [1])
    with pytest.raises(ValueError, match="one of each per part"):
        grade_scores([1], [1, 2])
