"""Self-learning over the API: engineers switch it, reviewers call parts harmless and take it back; all is audited."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.web.conftest import Served

from sightline.core.errors import SightlineError
from sightline.improve.patches import PatchReader
from sightline.operations.store import add_image
from sightline.runtime.recipe import Recipe

PICTURE = cv2.imencode(".png", np.full((24, 32, 3), 90, np.uint8))[1].tobytes()


def test_a_mode_is_switched_by_engineers_and_seen_by_all(served: Served) -> None:
    with served.client("operator") as client:
        assert client.get("/stations/press/learning") == {"station": "press", "mode": "off", "changes": []}
        with pytest.raises(SightlineError, match="engineer"):
            client.call("PUT", "/stations/press/learning", json={"mode": "on"})
    with served.client("engineer") as client:
        assert (
            client.call("PUT", "/stations/press/learning", json={"mode": "suggest", "note": "trial"})["mode"]
            == "suggest"
        )
        with pytest.raises(SightlineError):
            client.call("PUT", "/stations/press/learning", json={"mode": "sometimes"})
    with served.client("administrator") as client:
        (entry,) = [one for one in client.get("/audit")["items"] if one["action"] == "self-learning"]
        assert (entry["subject"], entry["reason"], entry["author"]) == ("station press", "trial", "engineer")


def test_suggestions_are_admitted_once(served: Served, recipe: Recipe) -> None:
    served.store.recipes.register(recipe.data, "plates", "plates", card=recipe.card.model_dump())
    data = PatchReader(recipe, threads=1).own.to_bytes()
    found = served.store.adaptations
    first = found.add("press", recipe.hash, 1, "learned", data, {"added": 12}, "station press", state="suggested")
    with served.client("operator") as client:
        (seen,) = client.get("/learning", station="press")
        assert (seen["id"], seen["state"], seen["details"]) == (first.id, "suggested", {"added": 12, "based_on": None})
        with pytest.raises(SightlineError, match="engineer"):
            client.post(f"/learning/{first.id}/decide", {"admit": True})
    with served.client("engineer") as client:
        assert client.post(f"/learning/{first.id}/decide", {"admit": True})["state"] == "active"
        with pytest.raises(SightlineError, match="is active"):
            client.post(f"/learning/{first.id}/decide", {"admit": False})
        with pytest.raises(SightlineError, match="no change 99"):
            client.post("/learning/99/undo", {})


def test_a_part_without_a_picture_cannot_be_called_harmless(served: Served) -> None:
    with served.client("reviewer") as client, pytest.raises(SightlineError, match="inspection"):
        client.post("/inspections/4711/harmless", {"view": "view"})


def test_an_engineer_sets_when_recipes_are_improved(served: Served) -> None:
    add_image(served.store, product := "plates", "1.png", PICTURE, "ann")
    path, wanted = f"/schedules/{product}", {"labels": 5, "days": 7, "drift": True}
    with served.client("reviewer") as client, pytest.raises(SightlineError, match="engineer"):
        client.call("PUT", path, json=wanted)
    with served.client("engineer") as client:
        with pytest.raises(SightlineError, match="no product nothing"):
            client.call("PUT", "/schedules/nothing", json=wanted)
        (one,) = client.call("PUT", path, json=wanted)
        assert wanted.items() <= one.items()
        assert (one["product"], one["author"]) == (product, "engineer")
        assert client.get("/schedules") == [one]
        client.call("DELETE", path)
        assert client.get("/schedules") == []
