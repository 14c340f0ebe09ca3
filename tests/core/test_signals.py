"""A signal: OK must have been earned, and its JSON is plain."""

from __future__ import annotations

import json
import math

import pytest

from sightline.core.result import Verdict
from sightline.core.signals import Signal


@pytest.mark.parametrize("wrong", [{"valid": False}, {"late": True}, {"error": 2}])
def test_an_ok_that_was_not_earned_cannot_be_made(wrong):
    with pytest.raises(ValueError, match="Send NG"):
        Signal(part_id="1", verdict=Verdict.OK, **{"valid": True, **wrong})
    assert Signal(part_id="1", verdict=Verdict.NG, **{"valid": True, **wrong}).verdict is Verdict.NG


def test_json_has_times_in_utc_and_no_number_that_is_none():
    signal = Signal(part_id="1", verdict=None, valid=False, score=math.inf, triggered=0.0, decided=0.0415)
    values = json.loads(json.dumps(signal.to_json()))
    assert values["score"] is None and values["verdict"] is None and values["captured"] is None
    assert values["triggered"] == "1970-01-01T00:00:00.000+00:00" and values["decided"].endswith("00:00.041+00:00")
    assert signal.key != Signal(part_id="1", verdict=None, valid=False).key
