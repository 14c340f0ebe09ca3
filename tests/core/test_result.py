"""The band: every score has one verdict, and what is no measurement is never OK."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from sightline.core.result import Band, Defect, Result, Verdict

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


# Results become plain JSON, whatever was measured.

CONTOUR = np.array([[1, 2], [3, 2], [3, 5]], np.int32)


def _defect(**changes: object) -> Defect:
    values = {"type": "dent", "score": 3.14159, "box": (1, 2, 3, 4), "contour": CONTOUR, "area_px": 9.04}
    return Defect(**{**values, **changes})  # type: ignore[arg-type]


def test_a_defect_becomes_json() -> None:
    assert json.loads(json.dumps(_defect(area_mm2=0.123456).to_json())) == {
        "type": "dent",
        "score": 3.1416,
        "box": [1, 2, 3, 4],
        "area_px": 9.0,
        "area_mm2": 0.1235,
        "contour": [[1, 2], [3, 2], [3, 5]],
    }


def test_an_unknown_scale_leaves_square_millimetres_out() -> None:
    assert _defect().to_json()["area_mm2"] is None


def test_a_result_becomes_json() -> None:
    result = Result(
        verdict=Verdict.NG,
        score=1.234567,
        p_value=0.0476190,
        ood_distance=1.25,
        reason="the type decided",
        defects=(_defect(),),
        source="bäd 部品.png",
        warnings=("16 bits",),
        times_ms={"infer": 4.56789},
    )
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert values["defects"] == [_defect().to_json()]
    del values["defects"]
    assert values == {
        "image": "bäd 部品.png",
        "verdict": "NG",
        "score": 1.23457,
        "p_value": 0.04762,
        "ood_distance": 1.25,
        "reason": "the type decided",
        "grade": None,
        "warnings": ["16 bits"],
        "times_ms": {"infer": 4.568},
    }


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_failed_measurement_is_still_json(score: float) -> None:
    result = Result(verdict=Verdict.NG, score=score, p_value=score, defects=(_defect(score=score),))
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (values["verdict"], values["score"], values["p_value"]) == ("NG", None, None)
    assert values["defects"][0]["score"] is None


def test_results_cannot_be_changed() -> None:
    result = Result(verdict=Verdict.NG, score=1.0, p_value=0.1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.verdict = Verdict.OK  # type: ignore[misc]
    with pytest.raises(TypeError):
        result.times_ms["infer"] = 1.0  # type: ignore[index]
