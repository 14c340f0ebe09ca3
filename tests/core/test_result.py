"""Results become plain JSON, whatever was measured."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from sightline.core.band import Verdict
from sightline.core.result import Defect, Result

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
