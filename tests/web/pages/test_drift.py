"""Drift on the pages: a note where the line is watched, what to do about it, and a word when it is done."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from playwright.sync_api import Page, expect
from tests.drifting import RECIPE, Part, record_burst
from tests.web.conftest import Desk, Served
from tests.web.pages.conftest import Enter

from sightline.core.result import Verdict
from sightline.improve.charts import LEARNED
from sightline.operations import drift
from sightline.store.embeddings import pack

BEFORE = LEARNED + 60


def record(served: Served, part: Part) -> None:
    """Parts of the station desk that become dark, with kept pictures from before and after."""
    records = [
        replace(part(number, {"brightness": -6.0} if number > BEFORE else None), id=None, station="desk")
        for number in range(1, BEFORE + 151)
    ]
    served.store.inspections.record_many(records)
    for number, level in ((BEFORE - 20, 200), (BEFORE + 120, 90)):
        data = cv2.imencode(".png", np.full((120, 160, 3), level, np.uint8))[1].tobytes()
        image = served.store.images.put(data, f"k{number}")
        served.store.inspections.set_image(f"k{number}", image.hash)
        served.store.embeddings.keep(f"k{number}", "top", image.hash, RECIPE, pack(np.ones(4)))
    drift.watch(served.store)


def test_a_drift_is_told_where_it_is_watched_and_acknowledged_where_it_is_explained(
    served: Served, desk: Desk, part: Part, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    record(served, part)
    desk.show(Verdict.OK)
    page = enter("/live/desk", "operator")
    note = page.get_by_role("alert").filter(has_text="Drift: Light")
    expect(note).to_contain_text("darker or brighter")
    note.get_by_role("link", name="What to do").click()
    expect(page.get_by_role("heading", name="Drift")).to_be_visible()
    alarm = page.get_by_role("region", name="Alarm 1")
    expect(alarm).to_contain_text("Check lamp, exposure")
    expect(alarm).to_contain_text(re.compile(r"Brightness: −1\d(\.\d+)? % \(−\d"))
    expect(alarm.get_by_role("img")).to_have_count(2)
    for name in ("Before", "After"):
        loaded = alarm.get_by_role("img", name=name)
        expect(loaded).to_be_visible()
        assert loaded.evaluate("async image => { await image.decode(); return image.naturalWidth }") > 0
    charts = page.locator(".cusum")
    expect(charts).to_have_count(14)
    assert page.get_by_label("It is to stay as it is now").count() == 0, "an operator accepts nothing"
    look(page, "drift")
    alarm.get_by_label("What was done").fill("lamp wiped")
    alarm.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("Nothing drifts.")).to_be_visible()
    row = page.get_by_role("region", name="Acknowledged alarms").get_by_role("row").nth(1)
    expect(row).to_contain_text("lamp wiped")
    expect(row).to_contain_text("operator")
    page.goto("/live/desk")
    expect(page.get_by_role("heading", name="State")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="Drift")).to_have_count(0)
    page.wait_for_load_state("networkidle")


def test_an_engineer_may_say_that_it_is_to_stay_and_germans_read_it_in_german(
    served: Served, part: Part, enter: Enter
) -> None:
    record(served, part)
    page = enter("/statistics", "engineer")
    page.get_by_role("link", name="Drift").click()
    page.get_by_role("button", name="Deutsch").click()
    alarm = page.get_by_role("region", name="Alarm 1")
    expect(alarm).to_contain_text("Lampe, Belichtung")
    alarm.get_by_label("Es soll so bleiben").check()
    alarm.get_by_role("button", name="Quittieren").click()
    expect(page.get_by_text("Nichts driftet.")).to_be_visible()
    expect(page.get_by_role("region", name="Quittierte Alarme")).to_contain_text("angenommen")
    assert served.store.alarms.page()[0].accepted
    page.wait_for_load_state("networkidle")


def test_before_the_first_parts_the_page_says_so(served: Served, enter: Enter) -> None:
    page = enter("/drift", "operator")
    expect(page.get_by_text("No charts yet")).to_be_visible()
    page.wait_for_load_state("networkidle")


def test_a_new_defect_type_is_seen_together_named_and_taught(
    served: Served, part: Part, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    bad = record_burst(served.store, part, "desk")
    drift.watch(served.store)
    page = enter("/drift", "engineer")
    alarm = page.get_by_role("region", name="Alarm 1")
    expect(alarm.get_by_role("heading", name="More defects than usual")).to_be_visible()
    expect(alarm.get_by_text(re.compile(r"Lot L7: \d+ of \d+; of others at most \d"))).to_be_visible()
    boxes = alarm.get_by_role("checkbox", name=re.compile("Choose part"))
    chosen = boxes.count()
    assert 10 <= chosen <= len(bad)
    look(page, "drift-defects")
    boxes.first.uncheck()
    alarm.get_by_label(f"Type of the {chosen - 1} chosen parts").fill("corner chip")
    alarm.get_by_role("button", name="Name it").click()
    dialog = page.get_by_role("dialog", name="Teach a type")
    expect(dialog.get_by_label("Type")).to_have_value("corner chip")
    expect(dialog.get_by_label("Name of the recipe")).to_have_value("caps")
    said = served.store.annotations.current([one.id for one in served.store.catalogue.page("caps")])
    assert [one.types for one in said.values()] == [("corner chip",)] * (chosen - 1)
    page.wait_for_load_state("networkidle")
