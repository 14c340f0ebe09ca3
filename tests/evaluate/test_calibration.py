"""Calibration: thresholds with exact bounds, and promises that say no more than the sample does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.band import Band, Verdict
from sightline.core.card import Calibration
from sightline.evaluate.bounds import upper_bound
from sightline.evaluate.calibration import Targets, calibrate

NONE = np.empty(0)


def _calibrate(
    good: NDArray[np.float64], defective: NDArray[np.float64] = NONE, **targets: float
) -> tuple[Band, Calibration]:
    return calibrate(good, defective, good, Targets(**targets))


def _shuffled(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).permutation(values)


GOOD = _shuffled(np.arange(1.0, 101.0))  # 1 to 100


# Good parts alone


def test_20_good_parts_promise_an_overkill_of_13_9_percent() -> None:
    band, calibration = _calibrate(_shuffled(np.arange(20.0)))
    assert band == Band(low=18.0, high=19.0)
    assert (calibration.overkill.count, calibration.overkill.of) == (0, 20)
    assert calibration.overkill.upper == pytest.approx(1 - 0.05 ** (1 / 20))
    assert calibration.promises[0] == "20 good parts: overkill at most 13.9% at 95% confidence"


def test_the_bound_holds_in_95_of_100_calibrations() -> None:
    """Draw calibration sets of 20 over and over: the true overkill passes the bound in about 5 % of them."""
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(2000):
        band, calibration = _calibrate(rng.random(20))
        broken += (1 - band.high) > calibration.overkill.upper  # scores are uniform: the rate above `high`
    assert 0.035 < broken / 2000 < 0.065


def test_with_few_good_parts_none_may_lie_above_the_upper_threshold() -> None:
    band, calibration = _calibrate(GOOD)
    assert band.high == 100.0
    assert calibration.overkill.count == 0


@pytest.mark.parametrize("count", [300, 1000, 5000])
def test_with_many_good_parts_as_many_lie_above_as_the_bound_allows(count: int) -> None:
    good = _shuffled(np.arange(float(count)))
    band, calibration = _calibrate(good, overkill=0.01)
    above = int((good > band.high).sum())
    assert above == calibration.overkill.count
    assert calibration.overkill.upper <= 0.01 < upper_bound(above + 1, count)


@pytest.mark.parametrize(("review", "low"), [(0.05, 95.0), (0.2, 80.0), (0.001, 100.0)])
def test_the_lower_threshold_is_an_order_statistic(review: float, low: float) -> None:
    band, calibration = _calibrate(GOOD, review=review)
    assert band.low == low
    assert calibration.review.count == int((low < GOOD).sum()) == int(review * 100)


def test_the_lower_threshold_never_passes_the_upper_one() -> None:
    band, _ = _calibrate(_shuffled(np.arange(5000.0)), overkill=0.2, review=0.01)
    assert band.low == band.high


def test_the_heat_threshold_is_an_order_statistic_of_the_peaks() -> None:
    peaks = _shuffled(np.arange(100.0, 200.0), seed=1)
    _, calibration = calibrate(GOOD, NONE, peaks, Targets(review=0.05))
    assert calibration.heat_threshold == 194.0


def test_equal_scores_are_all_ok() -> None:
    band, calibration = _calibrate(np.full(30, 2.5))
    assert band == Band(low=2.5, high=2.5)
    assert calibration.overkill.count == calibration.review.count == 0


def test_one_good_part_promises_almost_nothing() -> None:
    band, calibration = _calibrate(np.array([1.0]))
    assert band.low == band.high == 1.0
    assert calibration.overkill.upper == pytest.approx(0.95)


def test_no_good_part_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one held-out good part"):
        _calibrate(NONE)


def test_the_method_says_what_was_held_out() -> None:
    for by_group, method in ((False, "leave-one-image-out"), (True, "leave-one-group-out")):
        _, calibration = calibrate(GOOD, NONE, GOOD, Targets(), by_group)
        assert calibration.method == method


def test_the_given_scores_are_left_as_they_are() -> None:
    good, defective = GOOD.copy(), np.array([300.0, 200.0])
    calibrate(good, defective, good, Targets())
    assert np.array_equal(good, GOOD)
    assert defective.tolist() == [300.0, 200.0]


# With known defects


def test_the_gap_between_good_and_defective_goes_to_a_person() -> None:
    defective = np.array([240.0, 180.0, 200.0])
    band, calibration = _calibrate(GOOD, defective)
    assert all(band.decide(score) is Verdict.OK for score in GOOD)
    assert all(band.decide(score) is Verdict.NG for score in defective)
    assert [band.decide(score) for score in (100.1, 140.0, 179.9)] == [Verdict.REVIEW] * 3
    assert calibration.escape is not None
    assert (calibration.escape.count, calibration.escape.of) == (0, 3)


def test_overlapping_defects_pull_the_lower_threshold_down() -> None:
    defective = np.array([97.0, 99.0, 150.0])
    band, calibration = _calibrate(GOOD, defective)
    assert band.low == pytest.approx(97.0)
    assert band.low < 97.0
    assert band.high == 100.0
    assert [band.decide(score) for score in (96.0, 97.0, 99.0, 150.0)] == [
        *(Verdict.OK, Verdict.REVIEW, Verdict.REVIEW, Verdict.NG)
    ]
    assert calibration.escape is not None and calibration.escape.count == 0
    assert calibration.review.count == 4  # 97 to 100


def test_people_review_no_more_good_parts_than_was_asked_for() -> None:
    defective = np.array([10.0, 150.0])  # one defect that looks like a good part
    band, calibration = _calibrate(GOOD, defective, review=0.05)
    assert band.low == 95.0
    assert calibration.review.count == 5
    assert calibration.escape is not None and calibration.escape.count == 1


def test_tolerated_escapes_move_the_threshold_up() -> None:
    defective = np.concatenate([[150.0], np.arange(200.0, 299.0)])
    strict, _ = _calibrate(GOOD, defective, escape=0.001)
    loose, calibration = _calibrate(GOOD, defective, escape=0.01)
    assert strict.high == pytest.approx(150)
    assert loose.high == pytest.approx(200)
    assert loose.low == strict.low == 100.0
    assert calibration.escape is not None and calibration.escape.count == 0


@pytest.mark.parametrize("seed", range(20))
def test_thresholds_are_always_in_order_and_rates_true(seed: int) -> None:
    rng = np.random.default_rng(seed)
    good = rng.normal(0, 1, int(rng.integers(1, 400)))
    defective = rng.normal(rng.uniform(-1, 6), 1, int(rng.integers(0, 50)))
    targets = Targets(*rng.uniform(0.001, 0.5, 3))
    band, calibration = calibrate(good, defective, good, targets)
    verdicts = [band.decide(score) for score in good]
    assert band.low <= band.high
    assert calibration.overkill.count == verdicts.count(Verdict.NG)
    assert calibration.review.count == len(good) - verdicts.count(Verdict.OK)
    escaped = [band.decide(score) for score in defective].count(Verdict.OK)
    assert calibration.escape is None if not len(defective) else calibration.escape.count == escaped


# In words


def test_without_defects_nothing_is_promised_about_escapes() -> None:
    _, calibration = _calibrate(GOOD)
    assert calibration.promises == (
        "100 good parts: overkill at most 3.0% at 95% confidence",
        "an overkill of 1.0% needs 299 good parts to be promised",
        "5 of 100 good parts were above the OK limit: at most 10.2%",
        "no labelled defective parts: nothing can be promised about escapes",
    )


def test_a_target_that_is_met_asks_for_no_more_parts() -> None:
    _, calibration = _calibrate(np.arange(299.0), np.arange(1000.0, 1299.0))
    assert calibration.promises == (
        "299 good parts: overkill at most 1.0% at 95% confidence",
        "0 of 299 good parts were above the OK limit: at most 1.0%",
        "0 of 299 known defective parts judged OK: escape at most 1.0%",
    )


def test_a_few_defects_promise_little_about_escapes() -> None:
    _, calibration = _calibrate(GOOD, np.array([150.0, 160.0, 170.0]))
    assert calibration.promises[-2:] == (
        "0 of 3 known defective parts judged OK: escape at most 63.2%",
        "an escape of 1.0% needs 299 defective parts, all found, to be promised",
    )
