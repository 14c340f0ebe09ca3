"""Thresholds are weighed over the API: the scores of an evaluation, and what other thresholds would have done."""

from __future__ import annotations

import pytest
from tests.evaluate.test_preview import KNOWN
from tests.web.conftest import Served

from sightline.core.errors import NotFoundError
from sightline.runtime.recipe import Recipe
from sightline.web.client import ApiError


def test_scores_come_as_lists_with_thresholds_and_prices(served: Served, evaluated: str) -> None:
    with served.client("operator") as client:
        found = client.get(f"/recipes/{evaluated}/scores")
        assert (found["data"], found["job"], found["figures"]) == ("plates@1", 4, {"escape": 0.25})
        assert found["score"] == list(KNOWN.score)
        assert found["label"].count("defective") == 4
        assert {len(found[name]) for name in ("sample", "score", "label", "type", "verdict", "floor", "unit")} == {14}
        band = client.get(f"/recipes/{evaluated}")["card"]["band"]
        assert found["thresholds"] == {"ok": band["low"], "ng": band["high"]}
        assert found["prices"]["defect_rate"] == 0.01
        served.store.evaluations.add(evaluated, "plates@2", {}, KNOWN.to_json(), "eve")
        newest = client.get(f"/recipes/{evaluated}/scores")
        assert (newest["data"], [one["data"] for one in newest["evaluations"]]) == (
            "plates@2",
            ["plates@2", "plates@1"],
        )
        assert client.get(f"/recipes/{evaluated}/scores", evaluation=found["evaluation"])["data"] == "plates@1"


def test_thresholds_are_previewed_and_nothing_is_changed(served: Served, evaluated: str) -> None:
    with served.client("operator") as client:
        form = {"ok": 6.0, "ng": 8.0, "defect_rate": 0.1, "escape_price": 100, "overkill_price": 10, "review_price": 1}
        told = client.post(f"/recipes/{evaluated}/preview-thresholds", form)
        assert told["matrix"]["defective"] == {"OK": 1, "REVIEW": 1, "NG": 2}
        assert (told["escape"]["value"], told["escape"]["of"]) == (0.25, 4)
        assert told["cost_per_1000"] == pytest.approx(3605)
        assert len(list(client.items("/recipes"))) == 1
        for wrong in ({"ok": 9, "ng": 1}, {"ok": 1}, {"ok": 1, "ng": 2, "defect_rate": 1}):
            with pytest.raises(ApiError):
                client.post(f"/recipes/{evaluated}/preview-thresholds", wrong)


def test_a_recipe_without_an_evaluation_says_what_to_do(served: Served, recipe: Recipe) -> None:
    kept = served.store.recipes.register(recipe.data, "plates", "plates.onnx", "ann").hash
    with served.client("operator") as client, pytest.raises(NotFoundError, match="a job of the kind evaluate"):
        client.get(f"/recipes/{kept}/scores")


def test_a_review_load_becomes_limits_and_changes_nothing(served: Served, evaluated: str) -> None:
    with served.client("operator") as client:
        told = client.post(f"/recipes/{evaluated}/review-plan", {"parts": 300, "takt_s": 10, "review_price": 0.5})
        card = client.get(f"/recipes/{evaluated}")["card"]
        assert told["ok"] <= told["ng"] == card["band"]["high"]
        assert told["reviews"] + told["audits"] <= 301 and 0 < told["audit_share"] < 1
        assert told["cost_per_1000"] > 0 and told["notes"]
        assert len(list(client.items("/recipes"))) == 1
        with pytest.raises(ApiError, match="a shift makes 2880 parts"):
            client.post(f"/recipes/{evaluated}/review-plan", {"parts": 3000, "takt_s": 10})
