"""Rollouts over the API: engineers bring a recipe to stations, everybody sees how it goes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.web.conftest import Served

from sightline.core.errors import SightlineError
from sightline.core.result import Verdict
from sightline.store.inspections import Record


def test_a_recipe_is_brought_to_stations_and_taken_back(served: Served, evaluated: str) -> None:
    for station in ("press", "saw"):
        served.store.inspections.record(Record(station=station, verdict=Verdict.OK, triggered=datetime.now(UTC)))
    wanted = {"recipe": evaluated, "stations": ["press", "saw"], "parts": 20}
    with served.client("engineer") as client:
        with pytest.raises(SightlineError, match="is candidate"):
            client.post("/rollouts", wanted)
        served.store.recipes.set_state(evaluated, "promoted", "ann")
        with pytest.raises(SightlineError, match="mill has recorded nothing"):
            client.post("/rollouts", {**wanted, "stations": ["mill"]})
        begun = client.post("/rollouts", wanted)
        assert (begun["state"], begun["stations"], begun["author"]) == ("canary", ["press", "saw"], "engineer")
        with pytest.raises(SightlineError, match="under way"):
            client.post("/rollouts", wanted)
    with served.client("operator") as client:
        (found,) = client.get("/rollouts")
        (row,) = found["assignments"]
        assert (row["station"], row["recipe_hash"], row["runs"]) == ("press", evaluated, False)
        with pytest.raises(SightlineError, match="engineer"):
            client.post(f"/rollouts/{found['id']}/roll-back", {"reason": "no"})
    with served.client("engineer") as client:
        back = client.post(f"/rollouts/{begun['id']}/roll-back", {"reason": "overkill in lot 12"})
        assert (back["state"], back["reason"]) == ("rolled back", "overkill in lot 12")
        with pytest.raises(SightlineError, match="no rollout 99"):
            client.post("/rollouts/99/roll-back", {"reason": "no"})
