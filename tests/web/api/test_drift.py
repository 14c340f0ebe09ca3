"""Drift over the API: everybody sees alarms, operators acknowledge them, engineers alone accept how it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.drifting import RECIPE, Part, record_burst
from tests.web.conftest import Served

from sightline.core.errors import SightlineError
from sightline.improve.charts import LEARNED, NAMES
from sightline.operations import drift

BEFORE = LEARNED + 100
Drift = Callable[..., None]


@pytest.fixture
def drifting(served: Served, part: Part) -> Drift:
    """Records parts of the station press, those after the first 300 moved by deviations, and has them watched."""

    def record(count: int = 150, **moved: float) -> None:
        first = served.store.inspections.newest_id() + 1
        numbers = range(first, BEFORE + 1 + count if first == 1 else first + count)
        records = [replace(part(number, moved if number > BEFORE else None), id=None) for number in numbers]
        served.store.inspections.record_many(records)
        drift.watch(served.store)

    return record


def test_an_alarm_is_seen_by_all_and_acknowledged_once(served: Served, drifting: Drift) -> None:
    with served.client("operator") as client:
        assert client.get("/drift") == {"every": 10, "alarms": [], "views": []}
        drifting(sharpness=-7.0)
        (alarm,) = client.get("/alarms", station="press")
        assert (alarm["cause"], alarm["state"], alarm["view"], alarm["recipe_hash"]) == ("lens", "open", "top", RECIPE)
        assert "Focus" in alarm["remedy"]
        assert alarm["moved"][0].startswith("sharpness")
        assert client.get("/alarms", station="saw") == []
        done = client.post(f"/alarms/{alarm['id']}/acknowledge", {"note": "ring fixed"})
        assert (done["state"], done["author"], done["note"]) == ("acknowledged", "operator", "ring fixed")
        assert client.get("/alarms") == []
        with pytest.raises(SightlineError, match="acknowledged by operator already"):
            client.post(f"/alarms/{alarm['id']}/acknowledge", {})
        with pytest.raises(SightlineError, match="no alarm 99"):
            client.post("/alarms/99/acknowledge", {})
    with served.client("administrator") as client:
        entry = client.get("/audit", subject=f"alarm {alarm['id']}")["items"][0]
        assert (entry["action"], entry["author"], entry["reason"]) == ("acknowledge", "operator", "ring fixed")


def test_charts_have_their_limits_and_points(served: Served, drifting: Drift) -> None:
    drifting(brightness=-5.0)
    with served.client("operator") as client:
        found = client.get("/drift", station="press")
        (view,) = found["views"]
        assert (view["reference"], view["parts"], view["needed"]) == ("production", BEFORE + 150, LEARNED)
        assert [chart["name"] for chart in view["charts"]] == list(NAMES)
        light = view["charts"][0]
        assert light["unit"] == "%"
        assert light["change"] < -5
        assert max(down for down, _ in light["points"]) > 0.5
        assert [one["cause"] for one in found["alarms"]] == ["light"]
        assert client.get("/drift", station="saw")["views"] == []


def test_only_an_engineer_accepts_how_it_is(served: Served, drifting: Drift) -> None:
    drifting(red=6.0, blue=-6.0)
    with served.client("operator") as client:
        (alarm,) = client.get("/alarms")
        with pytest.raises(SightlineError, match="needs the role engineer"):
            client.post(f"/alarms/{alarm['id']}/acknowledge", {"accept": True})
        assert client.get("/alarms")[0]["state"] == "open"
    with served.client("engineer") as client:
        done = client.post(f"/alarms/{alarm['id']}/acknowledge", {"accept": True, "note": "new lamp"})
        assert done["accepted"]
        drifting(50, red=6.0, blue=-6.0)
        (view,) = client.get("/drift")["views"]
        assert (view["reference"], view["learned"]) == ("learning", 50)


def test_a_recipe_that_says_nothing_is_learned_first(served: Served, part: Part) -> None:
    served.store.inspections.record_many([replace(part(number), id=None) for number in range(1, 40)])
    drift.watch(served.store)
    with served.client("operator") as client:
        (view,) = client.get("/drift")["views"]
        assert (view["reference"], view["learned"], view["charts"]) == ("learning", 39, [])


def test_more_defects_than_usual_are_shown_with_what_they_share_and_named_by_a_reviewer(
    served: Served, part: Part
) -> None:
    record_burst(served.store, part, "press")
    drift.watch(served.store)
    with served.client("operator") as client:
        (alarm,) = client.get("/alarms", station="press")
        assert alarm["cause"] == "defects"
        assert "parts were not OK" in alarm["moved"][0]
        found = client.get(f"/alarms/{alarm['id']}/parts")
        assert found["not_ok"] == len(found["parts"]) >= 10
        assert {"kind": "lot", "value": "L7"}.items() <= found["common"][0].items()
        numbers = [one["inspection"] for one in found["parts"]]
        with pytest.raises(SightlineError, match="reviewer"):
            client.post("/inspections/type", {"inspections": numbers, "type": "chip"})
    with served.client("reviewer") as client:
        with pytest.raises(SightlineError, match="was OK"):
            client.post("/inspections/type", {"inspections": [1], "type": "chip"})
        samples = client.post("/inspections/type", {"inspections": numbers, "type": "chip"})["samples"]
        assert len(samples) == len(numbers)
        said = client.get(f"/samples/{samples[0]}/annotations")["items"][-1]
        assert (said["label"], said["types"], said["author"]) == ("defective", ["chip"], "reviewer")
