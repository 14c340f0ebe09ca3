"""The AIAG's worked example to the printed digit, and bounds that hold in simulated plants."""

from __future__ import annotations

import numpy as np
import pytest
from tests.improve.studies.aiag import READINGS, REFERENCE, SIZES

from sightline.core.errors import InputError
from sightline.evaluate.statistics.intervals import exact_rate
from sightline.improve.studies.attribute import attribute_agreement, rate_over_parts
from sightline.improve.studies.measured import grey_zone


def test_the_manuals_example_comes_out_as_printed() -> None:
    found = attribute_agreement(READINGS, REFERENCE)
    assert [(one.first, one.second, one.table) for one in found.between] == [
        ("A", "B", ((97, 3), (6, 44))), ("A", "C", ((92, 8), (7, 43))),
        ("B", "C", ((94, 9), (5, 42))),
    ]  # fmt: skip
    assert [f"{one.kappa.value:.2f}" for one in found.between] == ["0.86", "0.78", "0.79"]
    told = {one.name: one for one in found.appraisers}
    assert [f"{one.reference.value:.2f}" for one in told.values() if one.reference] == ["0.88", "0.92", "0.77"]
    for name, effective, low, high, miss, alarm in (
        ("A", "84", "71", "93", "6.3", "4.9"),
        ("B", "90", "78", "97", "6.3", "2.0"),
        ("C", "80", "66", "90", "12.5", "8.8"),
    ):  # fmt: skip
        one = told[name]
        assert one.miss is not None and one.false_alarm is not None
        assert f"{100 * one.effectiveness.value:.0f}" == effective
        assert (f"{100 * one.effectiveness.lower:.0f}", f"{100 * one.effectiveness.upper:.0f}") == (low, high)
        # 6.25 % is printed as 6.3
        assert f"{100 * one.miss.value + 1e-9:.1f}" == miss and f"{100 * one.false_alarm.value:.1f}" == alarm
    assert (found.all_agree.count, found.all_agree.of) == (39, 50)
    assert found.all_right is not None and found.all_right.count == 39
    assert (round(100 * found.all_right.lower), round(100 * found.all_right.upper)) == (64, 88)
    # B is effective enough, and misses too much all the same: the worst figure decides.
    assert [one.judgement for one in found.appraisers] == ["unacceptable", "unacceptable", "unacceptable"]
    assert not any(one.proven for one in found.appraisers)


def test_the_manuals_grey_zones_come_out_as_printed() -> None:
    share = np.mean([np.mean(values, axis=1) for values in READINGS.values()], axis=0)
    middle = SIZES > 0.5
    names = [str(number + 1) for number in range(50)]
    high = grey_zone(SIZES[middle], share[middle], [n for n, m in zip(names, middle, strict=True) if m])
    low = grey_zone(-SIZES[~middle], share[~middle], [n for n, m in zip(names, middle, strict=True) if not m])
    assert high.width is not None and low.width is not None
    assert (f"{low.width:.6f}", f"{high.width:.6f}") == ("0.024135", "0.023448")


def test_readings_without_a_reference_have_agreement_only() -> None:
    found = attribute_agreement({"ann": [[0, 0], [1, 1], [0, 1]], "bob": [[0], [1], [1]]})
    assert found.all_right is None and found.judgement is None
    assert [one.effectiveness.count for one in found.appraisers] == [2, 3]
    assert found.appraisers[1].within is None and found.between[0].table == ((1, 1), (0, 1))


@pytest.mark.parametrize("reference", [0, 1])
def test_a_rate_that_no_part_could_show_leaves_the_judgement_open(reference: int) -> None:
    right = [[reference] * 3] * 30
    found = attribute_agreement({"ann": right, "bob": [[1 - reference] * 3] * 10 + right[10:]}, [reference] * 30)
    assert [one.judgement for one in found.appraisers] == ["undecided", "unacceptable"]
    assert found.judgement == "unacceptable" and not found.appraisers[0].proven
    assert attribute_agreement({"ann": right}, [reference] * 30).judgement == "undecided"


@pytest.mark.parametrize("reference", [[2, 0], [-1, 0], [0.5, 0], [0]])
def test_a_reference_that_is_none_is_refused(reference: list[float]) -> None:
    with pytest.raises(InputError):
        attribute_agreement({"ann": [[0], [1]]}, reference)


@pytest.mark.parametrize(
    "wrong",
    [{"ann": [[0, 2]]}, {"ann": [[0.9]]}, {"ann": [[256]]}, {"ann": [0, 1]}, {}, {"ann": [[0]], "bob": [[0], [1]]}],
)
def test_what_is_no_study_is_refused(wrong: dict[str, list[list[int]]]) -> None:
    with pytest.raises(InputError):
        attribute_agreement(wrong)


def test_the_bounds_of_rates_hold_in_simulated_plants() -> None:
    """Each plant draws parts that are missed with a probability of their own; the true rate is that over all parts."""
    rng = np.random.default_rng(7)
    held = {"miss": 0, "all trials right": 0}
    plants, trials = 500, 3
    for _ in range(plants):
        rate, spread, parts = rng.uniform(0.02, 0.3), rng.uniform(1, 8), int(rng.integers(10, 50))
        others = (1 - rate) * spread
        wrong = rng.random((parts, trials)) < rng.beta(rate * spread, others, parts)[:, None]
        miss = rate_over_parts(int(wrong.sum()), wrong.size, parts)
        right = exact_rate(int((~wrong).all(axis=1).sum()), parts)
        # E[(1 - p) ** trials] of the beta distribution.
        truth = float(np.prod([(others + k) / (spread + k) for k in range(trials)]))
        held["miss"] += miss.lower <= rate <= miss.upper
        held["all trials right"] += right.lower <= truth <= right.upper
    assert min(held.values()) >= 0.94 * plants, held
