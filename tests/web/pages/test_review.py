"""The review queue by keyboard: quick, nothing lost, and two people never undo each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.web.api.test_parts import judged
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.core.result import Verdict
from sightline.runtime.recipe import Recipe

PARTS = 20


@pytest.fixture
def queue(served: Served, recipe: Recipe, parts_folder: Path) -> Served:
    """A server whose line has sent 20 parts to a person."""
    card = recipe.card.model_dump(mode="json")
    kept = served.store.recipes.register(recipe.data, "plates", "plates.onnx", "ann", card=card).hash
    files = sorted((parts_folder / "images/stain").glob("*.png")) + sorted((parts_folder / "images/good").glob("*.png"))
    for number in range(PARTS):
        judged(served, kept, f"k{number}", {"top": files[number % len(files)]}, serial=f"S{number}")
    return served


def shown(page: Page, answered: int) -> None:
    """Wait until a part is there to decide, after so many answers."""
    expect(page.get_by_text(f"{answered} answered here")).to_be_visible()
    page.wait_for_selector(".review .picture canvas")


def test_twenty_parts_are_reviewed_by_keyboard_at_the_pace_of_a_hand(
    queue: Served, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    page = enter("/review", "reviewer")
    shown(page, 0)
    look(page, "review")
    begun = time.monotonic()
    for number in range(PARTS):
        shown(page, number)
        page.keyboard.press("n" if number % 2 else "o")
    took = time.monotonic() - begun
    assert took < 60 * PARTS / 30, f"{PARTS} parts took {took:.0f} s: fewer than 30 a minute"
    expect(page.get_by_text(f"{PARTS} answered here")).to_be_visible()
    reviews = queue.store.reviews.page(state="answered", limit=50)  # repeats that were mixed in among them
    assert [review.answer for review in reviews].count("good") == PARTS / 2


def test_undo_brings_the_part_back_and_zoom_heat_and_boxes_are_at_hand(queue: Served, enter: Enter) -> None:
    page = enter("/review", "reviewer")
    shown(page, 0)
    first = page.locator(".review .picture canvas").first.get_attribute("aria-label")
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Zoom")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("z")
    page.keyboard.press("o")
    shown(page, 1)
    page.keyboard.press("u")
    shown(page, 0)
    assert page.locator(".review .picture canvas").first.get_attribute("aria-label") == first
    box = page.locator(".review .picture.marks canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 80, steps=4)
    page.mouse.up()
    page.keyboard.press("n")
    shown(page, 1)
    review = next(iter(queue.store.reviews.page(state="answered", limit=1)))
    (region,) = review.regions
    assert region["box"][2] > 3 and region["view"] == "top"


def test_a_good_part_that_was_ng_needs_a_reason(queue: Served, enter: Enter, parts_folder: Path) -> None:
    files = {"top": parts_folder / "images/stain/100.png"}
    recipe = queue.store.inspections.get(1).recipe_hash
    part = judged(queue, recipe or "", "ng", files, verdict=Verdict.NG)
    with queue.client("engineer") as client:
        number = client.post("/reviews", {"reason": "asked", "inspection_id": part, "priority": 99})["id"]
    page = enter("/review", "reviewer")
    shown(page, 0)
    page.keyboard.press("o")
    expect(page.get_by_text("Say why this part is good")).to_be_visible()
    page.keyboard.type("a reflection")
    page.keyboard.press("Enter")
    page.keyboard.press("o")
    shown(page, 1)
    assert (queue.store.reviews.get(number).answer, queue.store.reviews.get(number).note) == ("good", "a reflection")


@pytest.mark.expects("status of 409")
def test_of_two_at_once_the_second_is_told_and_goes_on(queue: Served, enter: Enter) -> None:
    page = enter("/review", "reviewer")
    shown(page, 0)
    claimed = [review.id for review in queue.store.reviews.page(state="claimed", limit=50)]
    for number in claimed:  # its ten minutes are over, and somebody else was quicker
        queue.store.reviews.skip(number, "reviewer")
    with queue.client("administrator") as client:
        for review in client.post("/reviews/claim", {"count": PARTS}):
            client.post(f"/reviews/{review['id']}/answer", {"answer": "good"})
    with queue.client("engineer") as client:
        client.post("/reviews", {"reason": "asked", "inspection_id": 1})
    page.keyboard.press("o")
    expect(page.locator(".toast.bad")).to_contain_text("administrator")
    shown(page, 0)


def test_nothing_is_lost_when_the_browser_closes(queue: Served, enter: Enter) -> None:
    page = enter("/review", "reviewer")
    shown(page, 0)
    page.keyboard.press("o")
    shown(page, 1)
    page.close()
    again = enter("/review", "reviewer")
    shown(again, 0)
    assert len(queue.store.reviews.page(state="answered", limit=50)) == 1
    left = [*queue.store.reviews.page(state="open", limit=50), *queue.store.reviews.page(state="claimed", limit=50)]
    assert len(left) == PARTS - 1
