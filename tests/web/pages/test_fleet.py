"""The page of all stations: side by side, compared, and a new one connected."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect
from tests.web.api.test_fleet import plant
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter


def test_the_fleet_side_by_side_and_a_station_connected(
    served: Served, kept: str, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    plant(served.store, kept)
    served.store.rollouts.begin("plates", "c" * 64, ["press-2"], 10, "eva")
    page = enter("/fleet", "engineer")
    table = page.get_by_role("table", name="Stations")
    expect(table.get_by_role("row")).to_have_count(4)
    expect(table.get_by_role("row", name="press-2")).to_contain_text("behind the rollout")
    troubles = page.get_by_role("region", name="To look after")
    for said in ("is 24.0 h behind the server's", "50 records never came", "Another computer tries to send"):
        expect(troubles).to_contain_text(said)
    expect(page.get_by_text("The stations differ by more than chance (p below 0.001).")).to_be_visible()
    look(page, "fleet")
    troubles.get_by_role("button", name="It replaces the old computer").click()
    page.get_by_label("Why").fill("new computer")
    page.locator("dialog[open]").get_by_role("button", name="Do it").click()
    expect(troubles).not_to_contain_text("Another computer tries")
    page.get_by_role("button", name="Connect a station").click()
    page.get_by_label("Name of the station").fill("press-9")
    page.get_by_role("button", name="Make a token").click()
    expect(page.locator("dialog[open] pre")).to_contain_text('token = { file = "press-9.token" }')
    look(page, "connect")
    token = page.locator("dialog[open] code").inner_text()
    assert served.store.access.of_scope("station:press-9") and token.startswith("slt_")
    page.get_by_role("button", name="I have kept it").click()
    page.wait_for_load_state("networkidle")
