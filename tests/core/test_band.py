"""The band: every score has one verdict, and what is no measurement is never OK."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from sightline.core.band import Band, Verdict

BAND = Band(low=1.0, high=2.0)


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (-5.0, Verdict.OK),
        (1.0, Verdict.OK),
        (math.nextafter(1.0, 2.0), Verdict.REVIEW),
        (2.0, Verdict.REVIEW),
        (math.nextafter(2.0, 3.0), Verdict.NG),
        (1e300, Verdict.NG),
    ],
)
def test_a_threshold_belongs_to_the_better_side(score: float, verdict: Verdict) -> None:
    assert BAND.decide(score) is verdict


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_what_is_no_measurement_is_ng(score: float) -> None:
    assert BAND.decide(score) is Verdict.NG


def test_equal_thresholds_leave_nothing_to_a_person() -> None:
    band = Band(low=1.5, high=1.5)
    scores = [1.0, 1.5, math.nextafter(1.5, 2.0), 2.0]
    assert [band.decide(score) for score in scores] == [Verdict.OK, Verdict.OK, Verdict.NG, Verdict.NG]


def test_a_worse_score_never_gets_a_better_verdict() -> None:
    order = [Verdict.OK, Verdict.REVIEW, Verdict.NG]
    ranks = [order.index(BAND.decide(step / 10)) for step in range(-10, 40)]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"low threshold 2.0 lies above its high threshold 1.0"):
        Band(low=2.0, high=1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_threshold_must_be_a_number(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Band(low=value, high=value)


def test_a_band_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        BAND.low = 5.0  # type: ignore[misc]


def test_a_verdict_is_its_word() -> None:
    assert [str(verdict) for verdict in Verdict] == ["OK", "NG", "REVIEW"]
    assert Verdict("NG") is Verdict.NG
