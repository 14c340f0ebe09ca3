"""Learning on the pages: what stops a good part is called harmless, seen in the list, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, expect
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.core.result import Verdict
from sightline.improve.patches import PatchReader
from sightline.operations.store import add_image
from sightline.runtime.recipe import Recipe
from sightline.store.inspections import Record

Draw = Callable[..., tuple[NDArray[np.uint8], Any]]


def record(served: Served, recipe: Recipe, picture: NDArray[np.uint8]) -> int:
    """A part of the station press that was stopped, with its picture."""
    store = served.store
    store.recipes.register(recipe.data, "plates", "plates", card=recipe.card.model_dump())
    image = store.images.put(cv2.imencode(".png", picture[..., ::-1])[1].tobytes(), "part")
    view = {"view": "top", "verdict": "NG", "score": 20.0, "recipe_hash": recipe.hash, "defects": []}
    store.inspections.record_many([
        Record(
            station="press", verdict=Verdict.NG, triggered=datetime.now(UTC), product="plates", serial="p1", key="k1",
            score=20.0, recipe_hash=recipe.hash, image_hash=image.hash,
            details={"purpose": "production", "views": [view]},
        )
    ])  # fmt: skip
    return store.inspections.newest_id()


def test_what_is_harmless_is_shown_first_then_done_and_taken_back(
    served: Served, recipe: Recipe, draw: Draw, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    spotted = draw(60)[0].copy()
    spotted[20:24, 30:34] = 255
    number = record(served, recipe, spotted)
    page = enter(f"/parts/{number}", "reviewer")
    page.get_by_role("button", name="This is harmless").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("patches would join the good ones")
    expect(dialog).to_contain_text("nothing guards known defects")
    assert served.store.adaptations.page() == ()
    look(page, "harmless")
    dialog.get_by_label("What is it?").fill("a sticker")
    dialog.get_by_role("button", name="Call it harmless").click()
    expect(page.get_by_text("takes effect at the station within seconds")).to_be_visible()
    active = served.store.adaptations.active("press", recipe.hash)
    assert active is not None and (active.kind, active.author, active.note) == ("harmless", "reviewer", "a sticker")
    page.goto("/learning?station=press")
    row = page.get_by_role("row").filter(has_text="called harmless")
    expect(row).to_contain_text("a sticker")
    expect(row).to_contain_text("in effect")
    expect(page.get_by_label("Learning by itself")).to_be_disabled()  # for engineers
    look(page, "learning")
    row.get_by_role("button", name="Take back").click()
    expect(page.get_by_role("row").filter(has_text="called harmless")).to_contain_text("taken back")
    page.wait_for_load_state("networkidle")


def test_an_engineer_switches_learning_and_admits_a_suggestion(served: Served, recipe: Recipe, enter: Enter) -> None:
    served.store.recipes.register(recipe.data, "plates", "plates", card=recipe.card.model_dump())
    data, told = PatchReader(recipe, threads=1).own.to_bytes(), {"added": 12, "parts": 24}
    served.store.adaptations.add("press", recipe.hash, 1, "learned", data, told, "station press", state="suggested")
    page = enter("/learning?station=press", "engineer")
    page.get_by_label("Learning by itself").select_option("suggest")
    expect(page.get_by_text("Switched.")).to_be_visible()
    assert served.store.adaptations.mode("press") == "suggest"
    row = page.get_by_role("row").filter(has_text="learned by itself")
    expect(row).to_contain_text("12 patches · from 24 parts")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save Changes as CSV").click()
    saved = saving.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert saving.value.suggested_filename == "changes.csv"
    assert saved[0].startswith("Change,When,Station,What,About") and "12 patches · from 24 parts" in saved[1]
    assert saved[1].split(",")[1].endswith("Z") or "+00:00" in saved[1]
    row.get_by_role("button", name="Admit").click()
    expect(row).to_contain_text("in effect")
    page.wait_for_load_state("networkidle")


def test_an_engineer_sets_when_a_recipe_is_improved(
    served: Served, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    picture = cv2.imencode(".png", np.full((24, 32, 3), 90, np.uint8))[1].tobytes()
    add_image(served.store, "plates", "1.png", picture, "ann")
    page = enter("/learning", "engineer")
    panel = page.get_by_role("region", name="Retraining")
    panel.get_by_label("New labels").fill("20")
    panel.get_by_label("after an alarm").check()
    panel.get_by_role("button", name="Set", exact=True).click()
    expect(panel).to_contain_text("after 20 new labels, after an alarm")
    look(page, "retraining")
    panel.get_by_role("button", name="End it").click()
    expect(panel.get_by_role("table")).to_have_count(0)
    assert served.store.schedules.page() == ()
    page.wait_for_load_state("networkidle")
