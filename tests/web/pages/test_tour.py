"""The tour of a first visit: offered once, led by keys, left at any time, taken again from the help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.data.dataset import Dataset

Look = Callable[[Page, str], None]
pytestmark = pytest.mark.first_visit
INSIDE = """() => {
  const inside = one => { const {left, top, right, bottom} = one.getBoundingClientRect();
    return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight; };
  return inside(document.querySelector('dialog.tour'));
}"""


@pytest.fixture
def site(served: Served, evaluated: str, parts_folder: Path) -> Served:
    """A server with samples and a measured recipe."""
    served.store.add(Dataset.open(parts_folder).samples, "plates", parts_folder)
    return served


def test_the_tour_leads_through_real_pages_by_keys(site: Served, enter: Enter, look: Look) -> None:
    page = enter("/", "engineer")
    offer = page.get_by_role("complementary", name="Tour")
    expect(offer).to_contain_text("7 steps")
    look(page, "tour-offer")
    offer.get_by_role("button", name="Take the tour").press("Enter")
    tour = page.get_by_role("dialog")
    seen = []
    for step in range(1, 8):
        expect(tour).to_contain_text(f"Step {step} of 7")
        expect(page.locator(".spot")).to_be_visible()
        expect(tour.locator(".primary")).to_be_focused()
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(600)  # until the frame has come to where it belongs
        assert page.evaluate(INSIDE), step
        seen.append(page.url.removeprefix(site.url).partition("/")[2].partition("/")[0])
        look(page, f"tour-{step}")
        if step == 4:
            page.keyboard.press("ArrowLeft")
            expect(tour).to_contain_text("Step 3 of 7")
            page.keyboard.press("ArrowRight")
            expect(tour).to_contain_text("Step 4 of 7")
        if step < 7:
            page.keyboard.press("Enter")
    assert seen == ["", "review", "parts", "label", "collect", "decide", "statistics"]
    page.keyboard.press("Enter")
    expect(tour).to_be_hidden()
    page.wait_for_url(f"{site.url}/")
    page.reload()
    page.wait_for_selector("aside.rail")
    page.wait_for_load_state("networkidle")
    expect(offer).to_be_hidden()


def test_it_is_left_by_escape_and_taken_again_from_the_help_by_whoever_may_see_less(
    site: Served, enter: Enter, context: BrowserContext
) -> None:
    page = enter("/statistics", "operator")
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Take the tour").click()
    tour = page.get_by_role("dialog")
    expect(tour).to_contain_text("Step 1 of 5")
    expect(page.locator(".spot")).to_be_visible()
    assert page.locator(".spot").evaluate("one => getComputedStyle(one).transitionDuration") == "0s"
    page.keyboard.press("Escape")
    expect(tour).to_be_hidden()
    expect(page.locator(".spot")).to_be_hidden()
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Help").click()
    page.get_by_role("button", name="Take the tour").click()
    for step in range(1, 6):  # on a phone the card does not lie over what it is about
        expect(tour).to_contain_text(f"Step {step} of 5")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(600)
        assert page.evaluate(INSIDE), step
        spot, card = page.locator(".spot").bounding_box(), tour.bounding_box()
        assert spot is not None and card is not None
        assert spot["y"] >= -4 and (spot["y"] + 60 < card["y"] or spot["y"] >= card["y"] + card["height"]), step
        if step < 5:
            page.keyboard.press("ArrowRight")
    tour.get_by_role("button", name="Leave").click()
    expect(tour).to_be_hidden()
    page.wait_for_load_state("networkidle")
    other = enter("/parts", "operator")  # the same browser
    other.wait_for_load_state("networkidle")
    expect(other.get_by_role("button", name="Take the tour")).to_be_hidden()


def test_keys_of_the_page_wait_while_the_tour_is_there_and_it_speaks_german(site: Served, enter: Enter) -> None:
    page = enter("/", "reviewer")
    page.evaluate("localStorage.setItem('language', 'de')")
    page.reload()
    page.get_by_role("button", name="Rundgang beginnen").click()
    tour = page.get_by_role("dialog")
    expect(tour).to_contain_text("Schritt 1 von 7")
    page.keyboard.press("ArrowRight")
    expect(tour).to_contain_text("Zweifelhafte Teile kommen zu Ihnen")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(1)
    page.wait_for_load_state("networkidle")
