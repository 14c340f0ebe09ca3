"""What changes under an open page: an image is deleted, a job's samples are; and a store of a newer version."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.web.api.test_parts import judged
from tests.web.conftest import Served
from tests.web.pages.conftest import Enter

from sightline.operations.store import add_image
from sightline.store.annotations import GOOD, Annotation
from sightline.store.images import image_key, thumbnail_key
from sightline.store.store import Store
from sightline.web.server import Worker

WORK_MS = 90_000


@pytest.mark.expects("status of 404")
def test_an_image_that_is_deleted_under_a_review_is_told_and_the_part_skipped(
    served: Served, kept: str, enter: Enter, parts_folder: Path
) -> None:
    for number, name in enumerate(("images/stain/100.png", "images/good/00.png")):
        judged(served, kept, f"k{number}", {"top": parts_folder / name}, serial=f"S{number}")
    gone = served.store.inspections.get(1).image_hash or ""
    for key in (image_key(gone, "image/png"), thumbnail_key(gone)):
        served.store.images.blobs.remove(key)
    page = enter("/review", "reviewer")
    expect(page.get_by_text("no picture of this part is kept any more")).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator(".review .picture canvas").first).to_be_visible()
    page.keyboard.press("o")
    expect(page.get_by_text("Nothing to review")).to_be_visible()
    states = {review.inspection_id: review.state for review in served.store.reviews.page(limit=10)}
    assert states == {1: "skipped", 2: "answered"}


@pytest.mark.expects("status of 404")
def test_an_image_that_goes_between_the_claim_and_the_look_is_told_in_its_place(
    served: Served, kept: str, enter: Enter, parts_folder: Path
) -> None:
    judged(served, kept, "k", {"top": parts_folder / "images/stain/100.png"}, serial="S")
    gone = served.store.inspections.get(1).image_hash or ""
    page = enter("/", "reviewer")
    page.route(f"**/images/{gone}", lambda route: (served.store.images.blobs.remove(image_key(gone, "image/png")),
                                                  route.continue_())[1])  # fmt: skip
    page.goto("/review")
    expect(page.locator(".review .missing")).to_contain_text("is missing")
    page.keyboard.press("s")
    expect(page.get_by_text("Nothing to review")).to_be_visible()


def test_a_job_whose_samples_are_deleted_before_it_begins_says_so(
    served: Served, enter: Enter, parts_folder: Path
) -> None:
    numbers = []
    for file in sorted((parts_folder / "images/good").glob("*.png")):
        sample = add_image(served.store, "plates", file.name, file.read_bytes(), "engineer")
        served.store.annotations.add(sample.id, Annotation(label=GOOD, author="engineer"))
        numbers.append(sample.id)
    page = enter("/collect?product=plates", "engineer")
    page.get_by_role("button", name="Learn", exact=True).click()
    expect(page.get_by_text("Training waiting")).to_be_visible()
    served.store.catalogue.delete(numbers, "engineer", "they are of another product")
    working = Worker(served.store, served.folder / "work")
    try:
        expect(page.get_by_role("alert")).to_contain_text("plates", timeout=WORK_MS)
        assert "Traceback" not in page.locator("main").inner_text()
    finally:
        working.close()
    (job,) = served.store.jobs.page()
    assert job.state == "failed" and job.error


def test_serve_tells_of_a_store_of_a_newer_version_and_nothing_else(
    made_store: Callable[[Path], Store], tmp_path: Path
) -> None:
    made_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "store.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '0999'")
        database.commit()
    command = ["-m", "sightline", "serve", "--port", "0", "--no-browser", "--db", str(tmp_path / "store.db")]
    done = subprocess.run([sys.executable, *command], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "written by a newer Sightline (schema 0999" in done.stderr and "pip install -U sightline" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
