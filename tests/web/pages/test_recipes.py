"""Recipes and thresholds: moved by hand with what it costs, saved as a new recipe, promoted and rolled back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.operations.store import add_image
from sightline.runtime.recipe import Recipe


def test_a_moved_threshold_shows_its_price_and_becomes_a_new_recipe(
    served: Served, evaluated: str, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    page = enter(f"/decide/{evaluated}", "engineer")
    page.wait_for_selector(".histogram .handle")
    expect(page.get_by_text("escapes")).to_be_visible()
    look(page, "decide")
    save = page.get_by_role("button", name="Save as a new recipe")
    expect(save).to_be_disabled()
    page.get_by_label("Takt, s").fill("10")
    page.get_by_role("button", name="Set the limits by this").click()
    expect(page.get_by_text("parts a shift in REVIEW")).to_be_visible()
    look(page, "decide-load")
    expect(save).to_be_enabled()
    page.get_by_role("button", name="Back to the recipe's own").click()
    expect(save).to_be_disabled()
    handle = page.get_by_role("slider", name="NG above")
    before = float(handle.get_attribute("aria-valuenow") or "nan")
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    moved = float(handle.get_attribute("aria-valuenow") or "nan")
    assert moved > before
    save.click()
    page.get_by_label("Why").fill("limit samples of May")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(lambda url: "/recipes/" in url and evaluated not in url)
    (child,) = served.store.recipes.lineage(evaluated)[1]
    assert child.card["band"]["high"] == pytest.approx(moved)


def test_promote_and_roll_back_with_a_reason_each(
    served: Served, evaluated: str, recipe: Recipe, train_tiny: Callable[..., Recipe], parts: object, enter: Enter,
    look: Callable[[Page, str], None],
) -> None:  # fmt: skip
    served.store.recipes.set_state(evaluated, "promoted", "ann")
    other = train_tiny(parts.train, seed=5)  # type: ignore[attr-defined]
    card = other.card.model_dump(mode="json")
    newer = served.store.recipes.register(other.data, "plates", "newer.onnx", "ann", card=card).hash
    page = enter(f"/recipes/{newer}", "engineer")
    page.get_by_role("button", name="Promote").click()
    page.get_by_label("Why").fill("better on May's lots")
    page.locator("dialog[open]").get_by_role("button", name="Promote").click()
    expect(page.get_by_text("It is promoted.")).to_be_visible()
    look(page, "recipe")
    page.get_by_role("button", name="Roll back").click()
    page.get_by_label("Why").fill("calls reflections defects")
    page.locator("dialog[open]").get_by_role("button", name="Roll back").click()
    page.wait_for_url(f"**/recipes/{evaluated}")
    expect(page.get_by_text("It is promoted.")).to_be_visible()
    reasons = [entry.reason for entry in served.store.audit.page(limit=20)]
    assert {"better on May's lots", "calls reflections defects"} <= set(reasons)


def test_an_operator_judges_a_picture_and_changes_nothing(
    served: Served, evaluated: str, enter: Enter, parts_folder: Path, look: Callable[[Page, str], None]
) -> None:
    page = enter(f"/bench%3Fpicture=1%26recipe={evaluated}", "operator")
    page.set_input_files("input[type=file]", parts_folder / "images/stain/100.png")
    expect(page.locator("section.panel .verdict.NG")).to_be_visible()
    look(page, "bench")
    page.goto(f"/recipes/{evaluated}")
    expect(page.get_by_role("heading", name="What it promises")).to_be_visible()
    assert page.get_by_role("button", name="Promote").count() == 0


def test_a_type_is_taught_from_chosen_samples(served: Served, evaluated: str, enter: Enter, parts_folder: Path) -> None:
    files = sorted((parts_folder / "images/stain").glob("*.png"))[:2]
    samples = [add_image(served.store, "plates", file.name, file.read_bytes(), "ann").id for file in files]
    page = enter("/samples?product=plates", "engineer")
    boxes = page.get_by_role("checkbox", name="Choose")
    expect(boxes).to_have_count(2)
    for box in boxes.all():
        box.check()
    page.get_by_role("button", name="Teach a type").click()
    page.get_by_label("Type", exact=True).last.fill("smudge")
    page.get_by_role("button", name="Teach it").click()
    expect(page.get_by_role("heading", name="Teaching")).to_be_visible()
    asked = served.store.jobs.page(None, "teach", None, 1)[0].arguments
    assert (asked["recipe"], asked["type"], sorted(asked["samples"])) == (evaluated, "smudge", sorted(samples))
