"""What was learned reaches the station within seconds, is named in the records, and goes again when it is undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.core.result import Verdict
from sightline.improve.self_learning import Learner
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.recipe import Recipe
from sightline.store.store import Store

FLAWED = 4  # the number of the flawed part among the pictures that the drawn camera shows


def learned(recipe: Recipe, picture: Any) -> Adaptation:
    """The recipe with all of one picture admitted."""
    learner = Learner(recipe, [])
    found = learner.forgive(None, picture, (0, 0, picture.shape[1], picture.shape[0]), 1)
    assert found.adaptation is not None, found.reason
    return found.adaptation


@pytest.fixture
def flawed_only(pictures: list[Any]) -> list[Any]:
    """One flawed part again and again; a pixel differs, as no camera takes the same picture twice."""
    shown = [pictures[FLAWED].copy() for _ in range(6)]
    for number, picture in enumerate(shown):
        picture[0, 0] = number
    pictures[:] = shown
    return pictures


def test_what_a_person_called_harmless_is_ok_within_ten_seconds_and_can_be_undone(
    flawed_only: list[Any], bench: Callable[..., Any], recipe: Recipe
) -> None:
    with bench(repeat_s=0) as one:
        assert one.inspect("p1").verdict is Verdict.NG
        adaptation = learned(recipe, flawed_only[0])
        with Store.open(one.settings.folder / "sightline.db") as store:
            made = store.adaptations.add("desk", recipe.hash, 1, "harmless", adaptation.to_bytes(), {}, "eva")
            one.until(lambda: one.devices.worker.adaptations.get(recipe.hash) == made.digest, 10)
            assert one.inspect("p2").verdict is not Verdict.NG
            undone = adaptation.without(1).to_bytes()
            again = store.adaptations.add("desk", recipe.hash, 2, "undo", undone, {}, "eva", based_on=made.id)
            one.until(lambda: one.devices.worker.adaptations.get(recipe.hash) == again.digest, 10)
            assert one.inspect("p3").verdict is Verdict.NG
        views = {record.serial: record.details["views"][0] for record in one.records()}
        assert "adaptation" not in views["p1"]
        assert views["p2"]["adaptation"] == made.digest and views["p3"]["adaptation"] == again.digest


def test_a_worker_that_dies_comes_back_with_what_was_learned(
    flawed_only: list[Any], bench: Callable[..., Any], recipe: Recipe
) -> None:
    with bench(repeat_s=0) as one:
        adaptation = learned(recipe, flawed_only[0])
        with Store.open(one.settings.folder / "sightline.db") as store:
            made = store.adaptations.add("desk", recipe.hash, 1, "harmless", adaptation.to_bytes(), {}, "eva")
        one.until(lambda: one.devices.worker.adaptations.get(recipe.hash) == made.digest, 10)
        restarts = one.devices.worker.restarts
        one.devices.worker._process.kill()
        one.until(lambda: one.devices.worker.restarts > restarts and one.devices.worker.ready, 60)
        assert one.inspect("p1").verdict is not Verdict.NG
        # A power cut: the station starts with the file that it has, whatever the store says later.
        assert (one.settings.folder / "adaptations" / f"{recipe.hash[:16]}.npz").is_file()


def test_a_damaged_adaptation_leaves_the_recipe_as_it_is(
    flawed_only: list[Any], bench: Callable[..., Any], recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    with bench(repeat_s=0) as one:
        with Store.open(one.settings.folder / "sightline.db") as store:
            store.adaptations.add("desk", recipe.hash, 1, "harmless", b"not an adaptation", {}, "eva")
        one.until(lambda: "damaged" in one.devices.adaptations.fault, 10)
        assert one.inspect("p1").verdict is Verdict.NG and one.devices.worker.adaptations == {}


def test_a_station_that_asks_for_signed_recipes_learns_nothing_unless_told_to(
    tmp_path: Path, recipe_file: Path
) -> None:
    from sightline.line.adaptations import Adaptations

    asked = []
    closed = Adaptations("desk", tmp_path, ["a" * 64], lambda: asked.append(1), on=False)  # type: ignore[arg-type,return-value]
    closed.close()
    assert not asked and closed.files == {}
