"""Two recipes compared from the app: the parts on which they differ, by pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.data.dataset import Dataset
from sightline.operations.recipes import revise
from sightline.web.server import Worker


@pytest.mark.slow
def test_a_comparison_shows_the_parts_with_other_verdicts_side_by_side(
    served: Served, kept: str, enter: Enter, parts_folder: Path, look: Callable[[Page, str], None]
) -> None:
    served.store.add(Dataset.open(parts_folder).samples, "plates", parts_folder)
    strict = revise(served.store, kept, -2000.0, -1000.0, "a test", "ann").hash  # all parts are NG to it
    working = Worker(served.store, served.folder / "work")
    try:
        page = enter(f"/recipes/{strict}", "engineer")
        page.get_by_label("Beside").select_option(kept)
        page.get_by_label("Compare both on the test part of").select_option("plates")
        page.get_by_role("button", name="Compare", exact=True).click()
        expect(page.get_by_role("heading", name="Comparison 1")).to_be_visible()
        parts = page.locator("article.change")
        expect(parts.first).to_be_visible(timeout=120_000)
    finally:
        working.close()
    found = served.store.jobs.get(1).result["comparison"]
    expect(parts).to_have_count(len(found["changed"]))
    expect(parts.first.locator("canvas")).to_have_count(2)
    for which, side in zip(("first", "second"), parts.first.locator("figure").all(), strict=True):
        expect(side.locator(".verdict")).to_have_text(found["changed"][0][which]["verdict"])
    page.wait_for_load_state("networkidle")
    look(page, "compare")
    parts.first.scroll_into_view_if_needed()
    look(page, "compare-parts")
    parts.first.get_by_role("link").click()
    page.wait_for_url(f"**/samples/{found['changed'][0]['sample_id']}")
    page.wait_for_load_state("networkidle")


def test_the_heat_of_any_recipe_over_a_kept_picture(served: Served, kept: str, parts_folder: Path) -> None:
    served.store.add(Dataset.open(parts_folder).samples, "plates", parts_folder)
    hash = served.store.catalogue.page("plates", limit=1)[0].hash
    with served.client("operator") as client:
        first = client.http.get(f"/recipes/{kept[:12]}/heat/{hash}")
        assert (first.status_code, first.headers["content-type"]) == (200, "image/png")
        again = client.http.get(f"/recipes/{kept}/heat/{hash}", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        assert client.http.get(f"/recipes/{kept}/heat/{'0' * 64}").status_code == 404
        assert client.http.get(f"/recipes/{'0' * 64}/heat/{hash}").status_code == 404
    assert httpx.get(f"{served.url}/api/v1/recipes/{kept}/heat/{hash}").status_code == 401
