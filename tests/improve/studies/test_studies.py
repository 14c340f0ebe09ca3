"""Knapp, acceptance, repeatability and capability: published figures, and cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.improve.studies.acceptance import (
    DoubleSampling,
    acceptance,
    claim,
    double_sampling,
    parts_needed,
    rule_of_three,
)
from sightline.improve.studies.knapp import knapp
from sightline.improve.studies.measured import capability, centred, repeatability, spread_index


@pytest.mark.parametrize(
    ("limit", "allowed", "parts"),
    [(0.05, 0, 59), (0.05, 1, 93), (0.05, 2, 124), (0.05, 3, 153), (0.05, 5, 208), (0.01, 0, 299), (0.001, 0, 2995),
     (0.01, 1, 473), (0.01, 5, 1049), (0.001, 5, 10511), (0.0001, 0, 29956)],
)  # fmt: skip
def test_published_sample_sizes(limit: float, allowed: int, parts: int) -> None:
    assert parts_needed(limit, allowed) == parts


def test_double_sampling_as_montgomery_has_it() -> None:
    """n1 = 50, c1 = 1, n2 = 100, c2 = 3 at 5 % NG: 0.279 in the first sample, 0.289 in all."""
    plan = DoubleSampling(50, 1, 100, 3)
    assert f"{DoubleSampling(50, 1, 100, 1).accepts(0.05):.3f}" == "0.279"
    assert f"{plan.accepts(0.05):.2f}" == "0.29"
    assert plan.expected_parts(0.0) == 50


def test_a_double_plan_keeps_its_word_and_needs_fewer_good_parts_than_a_single_one() -> None:
    plan = double_sampling(0.002, 0.05)
    assert plan.accepts(0.05) <= 0.05 and plan.accepts(0.002) >= 0.9
    assert plan.expected_parts(0.002) < parts_needed(0.05, 1)
    with pytest.raises(InputError, match="below the bad one"):
        double_sampling(0.05, 0.01)


def test_claims_are_reached_refuted_or_undecided_with_what_is_missing() -> None:
    assert rule_of_three(300) == 0.01
    assert claim("scratch", 0.01, 0, 299).answer == "reached"
    early = claim("scratch", 0.01, 0, 100)
    assert (early.answer, early.more) == ("undecided", 199)
    assert claim("scratch", 0.01, 9, 100).answer == "not reached"
    found = acceptance({"scratch": (0, 299), "overkill": (40, 1000)}, {"scratch": 0.01, "overkill": 0.02})
    assert found.answer == "not reached"
    with pytest.raises(InputError, match="dent"):
        acceptance({"scratch": (0, 299)}, {"dent": 0.01})


def test_knapp_zones_and_answer() -> None:
    people = np.array([[1] * 10, [1] * 7 + [0] * 3, [1] * 5 + [0] * 5, [1] * 3 + [0] * 7, [0] * 10])
    better = np.array([[1, 1], [1, 1], [0, 1], [0, 0], [0, 0]])
    found = knapp(people, better)
    assert (found.reject.containers, found.grey, found.accept.containers) == (2, 1, 2)
    assert found.reject.people == pytest.approx(0.85) and found.reject.machine == 1.0
    assert found.accept.people == pytest.approx(0.15) and found.answer == "passed"
    worse = knapp(people, np.array([[1, 1], [1, 0], [1, 1], [0, 0], [0, 0]]))
    assert worse.reject.machine == 0.75 and worse.answer == "failed"
    false = knapp(people, np.array([[1, 1], [1, 1], [1, 1], [1, 0], [0, 0]]))
    assert false.accept.machine == 0.25 and false.answer == "failed"
    assert knapp(np.zeros((3, 4)), np.zeros((3, 2))).answer is None


def test_capability_intervals_as_montgomery_has_them() -> None:
    """Cp 2.29 of 20 values: 1.57 to 3.01; Cpk 1.33 of 20 values: 0.88 to 1.78."""
    cp, cpk = spread_index(2.29, 19), centred(1.33, 20, 19)
    assert (f"{cp.lower:.2f}", f"{cp.upper:.2f}") == ("1.57", "3.01")
    assert (f"{cpk.lower:.2f}", f"{cpk.upper:.2f}") == ("0.88", "1.78")


def test_capability_of_values() -> None:
    x = np.tile([9.0, 11.0], 25)
    found = capability(x, 4.0, 16.0)
    assert found.within == pytest.approx(2 / 1.128379, rel=1e-6) and found.overall == pytest.approx(x.std(ddof=1))
    assert found.cp is not None and found.cp.value == pytest.approx(12 / (6 * found.within))
    assert found.cpk is not None and found.cpk.value == pytest.approx(found.cp.value)
    one_sided = capability(x, None, 10.5)
    assert one_sided.cp is None and one_sided.ppk is not None and one_sided.outside == 25
    assert capability(x, 4.0, 16.0, subgroup=2).within == pytest.approx(math.sqrt(2.0))
    with pytest.raises(InputError, match="lower one below"):
        capability(x, 5.0, 5.0)
    with pytest.raises(InputError, match="too few"):
        capability(x[:5], 0.0, 1.0)


def test_repeatability_splits_days_from_presentations() -> None:
    rng = np.random.default_rng(1)
    parts = [f"p{n}" for n in range(40) for _ in range(3) for _ in range(4)]
    days = [day for _ in range(40) for day in range(3) for _ in range(4)]
    part_of = {f"p{n}": value for n, value in enumerate(rng.normal(0, 5, 40))}
    day_of = {(part, day): rng.normal(0, 0.5) for part in part_of for day in range(3)}
    values = [part_of[p] + day_of[p, d] + rng.normal(0, 0.2) for p, d in zip(parts, days, strict=True)]
    found = repeatability(values, parts, days, ["OK"] * 479 + ["NG"])
    assert found.within.lower is not None and found.within.upper is not None
    assert found.within.lower < 0.2 < found.within.upper and found.within.of == 360
    assert found.days == pytest.approx(0.5, rel=0.2) and found.parts == pytest.approx(5, rel=0.3)
    assert found.flips == ("p39",)
    place = repeatability(rng.normal(0, 3, (480, 2)), parts, days)
    assert place.within.value == pytest.approx(3 * math.sqrt(2), rel=0.1)
    with pytest.raises(InputError, match="twice"):
        repeatability([1.0, 2.0], ["a", "b"], [1, 1])
