"""From pictures to a first verdict, with a real worker; and jobs that are cancelled or outlive a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.operations.store import add_image
from sightline.store.annotations import GOOD, Annotation
from sightline.web.server import Worker

WIZARD_S = 300


@pytest.mark.slow
@pytest.mark.expects("status of 404")  # the findings of a product that was not checked yet
def test_the_wizard_leads_from_a_folder_to_a_first_verdict(
    served: Served, enter: Enter, parts_folder: Path, look: Callable[[Page, str], None]
) -> None:
    begun = time.monotonic()
    working = Worker(served.store, served.folder / "work")
    try:
        page = enter("/collect", "engineer")
        page.get_by_label("Product").fill("plates")
        page.set_input_files("input[webkitdirectory]", parts_folder)
        page.get_by_role("button", name="Add the pictures").click()
        expect(page.get_by_text("Import done")).to_be_visible(timeout=60_000)
        look(page, "collect")
        page.get_by_label("Effort").select_option("quick")
        page.get_by_role("button", name="Learn", exact=True).click()
        expect(page.get_by_text("image AUROC")).to_be_visible(timeout=WIZARD_S * 1000)
        page.get_by_role("link", name="Judge a picture").click()
        page.set_input_files("input[type=file]", parts_folder / "images/stain/100.png")
        expect(page.locator("section.panel .verdict")).to_be_visible(timeout=60_000)
        assert time.monotonic() - begun < WIZARD_S
        page.goto("/jobs")
        expect(page.get_by_role("link", name="Measurement 3")).to_be_visible()
        look(page, "jobs")
    finally:
        working.close()


def test_a_waiting_job_is_cancelled_with_a_reason_and_one_at_work_outlives_the_server(
    served: Served, enter: Enter, look: Callable[[Page, str], None]
) -> None:
    for number in range(2):
        served.store.jobs.add("check", {"kind": "check", "product": f"plates {number}"}, "engineer")
    page = enter("/jobs/2", "engineer")
    page.get_by_role("button", name="Cancel it").click()
    page.get_by_label("Why").fill("the wrong product")
    page.locator("dialog[open]").get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("Cancelled by engineer")).to_be_visible()
    look(page, "job")
    assert served.store.jobs.get(2).state == "cancelled"
    assert served.store.jobs.get(1).state == "queued"


def test_whoever_may_not_ask_for_work_sees_it_all_the_same(served: Served, enter: Enter) -> None:
    served.store.jobs.add("check", {"kind": "check", "product": "plates"}, "engineer")
    page = enter("/jobs/1", "operator")
    expect(page.get_by_text("Asked for by engineer")).to_be_visible()
    assert page.get_by_role("button", name="Cancel it").count() == 0


def test_a_search_is_begun_within_limits_and_tells_what_it_chose(
    served: Served, enter: Enter, parts_folder: Path, look: Callable[[Page, str], None]
) -> None:
    for file in sorted((parts_folder / "images/good").glob("*.png"))[:6]:
        sample = add_image(served.store, "plates", file.name, file.read_bytes(), "engineer")
        served.store.annotations.add(sample.id, Annotation(label=GOOD, author="engineer"))
    page = enter("/collect?product=plates", "engineer")
    page.get_by_text("Search for better settings").click()
    page.get_by_label("Trials at most").fill("3")
    look(page, "collect-search")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("Search waiting")).to_be_visible()
    job = served.store.jobs.claim("a worker")
    assert job is not None
    assert (job.kind, job.arguments["trials"], job.arguments["budget_minutes"]) == ("search", 3, 60)
    chosen = {"settings": {"bank_size": 4096}, "why": "trial 2 costs least", "ended": "trials", "trials": 3}
    served.store.jobs.finish(job.id, "a worker", {"search": chosen, "files": ["report.html"]})
    expect(page.get_by_text("3 trials; trial 2 costs least")).to_be_visible()
    expect(page.get_by_text("4096")).to_be_visible()
    expect(page.get_by_role("link", name="Report")).to_be_visible()
