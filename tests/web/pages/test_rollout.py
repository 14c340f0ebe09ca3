"""A recipe brought to stations from its page, watched there, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from playwright.sync_api import Page, expect
from tests.web.conftest import Desk, Served
from tests.web.pages.conftest import Enter

from sightline.core.result import Verdict
from sightline.operations import rollouts
from sightline.store.inspections import Record
from sightline.store.rollouts import ROLLED_BACK


def test_an_engineer_brings_a_recipe_to_a_station_and_takes_it_back(
    served: Served, desk: Desk, evaluated: str, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    served.store.recipes.set_state(evaluated, "promoted", "ann")
    old = [Record(station="desk", verdict=Verdict.OK, triggered=datetime.now(UTC), recipe_hash="a" * 64)] * 40
    served.store.inspections.record_many(old)
    page = enter(f"/recipes/{evaluated}", "engineer")
    panel = page.get_by_role("region", name="Rollouts")
    expect(panel).to_contain_text("Nothing was rolled out from here")
    panel.get_by_role("button", name="Roll out to stations").click()
    dialog = page.locator("dialog[open]")
    expect(dialog.get_by_role("button", name="Roll it out")).to_be_disabled()
    dialog.get_by_label("desk").check()
    dialog.get_by_label("Parts at each station").fill("30")
    dialog.get_by_role("button", name="Roll it out").click()
    expect(panel).to_contain_text("at the canary")
    product = served.store.recipes.find(evaluated).product
    served.store.rollouts.report("desk", product, "a" * 64)
    served.store.rollouts.report("desk", product, evaluated)
    expect(panel).to_contain_text("desk (canary): runs it", timeout=15_000)
    look(page, "rollout")
    fine = [Record(station="desk", verdict=Verdict.OK, triggered=datetime.now(UTC), recipe_hash=evaluated)] * 30
    served.store.inspections.record_many(fine)
    rollouts.advance(served.store)
    expect(panel).to_contain_text("0 of 30 parts not OK, 0 of 40 before", timeout=15_000)
    panel.get_by_role("button", name="Take it back").click()
    page.get_by_label("Why").fill("calls reflections defects")
    page.locator("dialog[open]").get_by_role("button", name="Take it back").click()
    expect(panel).to_contain_text("rolled back")
    assert served.store.rollouts.page()[0].state == ROLLED_BACK
    page.wait_for_load_state("networkidle")
