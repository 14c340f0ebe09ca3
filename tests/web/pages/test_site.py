"""The site and the figures: users, tokens, stations, audit; statistics and the record."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from pyarrow import parquet
from tests.web.conftest import Desk, Served
from tests.web.pages.conftest import Enter

from sightline.core.result import Verdict
from sightline.store.inspections import Record

Look = Callable[[Page, str], None]


@pytest.fixture
def line(served: Served) -> Served:
    """A server whose line has judged 120 parts of three lots in the last hours."""
    now = datetime.now(UTC)
    for number in range(120):
        verdict = Verdict.NG if number % 17 == 0 else Verdict.REVIEW if number % 23 == 0 else Verdict.OK
        part = Record(
            station=f"press-{number % 2}", verdict=verdict, triggered=now - timedelta(minutes=3 * number),
            score=number / 60, product="plates", lot=f"L{number // 40}", serial=f"S{number}", key=f"k{number}",
            types={"crack": 0.9} if verdict is Verdict.NG else {},
        )  # fmt: skip
        served.store.inspections.record(part)
    return served


def test_a_user_is_added_made_reviewer_and_shut_out_and_the_audit_says_why(
    served: Served, enter: Enter, look: Look
) -> None:
    page = enter("/site?tab=users")
    form = page.locator("section", has_text="New user")
    form.get_by_label("Name").fill("eve")
    form.get_by_label("First password").fill("a sentence that nobody guesses")
    form.get_by_role("button", name="Add").click()
    row = page.get_by_role("row", name="eve")
    row.get_by_label("Role of eve").select_option("reviewer")
    page.get_by_label("Why").fill("trained on 3 March")
    page.get_by_role("button", name="Make eve reviewer").click()
    expect(page.locator("dialog[open]")).to_be_hidden()
    row.get_by_role("button", name="Shut out").click()
    page.get_by_label("Why").fill("has left")
    page.locator("dialog[open]").get_by_role("button").first.click()
    expect(row.get_by_text("shut out")).to_be_visible()
    look(page, "users")
    user = served.store.users.get("eve")
    assert (user.role, user.disabled) == ("reviewer", True)
    page.goto("/site?tab=audit")
    expect(page.get_by_text("trained on 3 March")).to_be_visible()
    page.get_by_role("button", name="Verify the chain").click()
    expect(page.get_by_role("status").filter(has_text="all of them whole")).to_be_visible()
    look(page, "audit")


def test_a_token_is_shown_once(served: Served, enter: Enter) -> None:
    page = enter("/site?tab=tokens", "reviewer")
    page.get_by_label("For which program?").fill("mes")
    page.get_by_role("button", name="Make it").click()
    secret = page.locator("dialog[open] code").inner_text()
    page.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_role("cell", name="mes")).to_be_visible()
    page.reload()
    expect(page.get_by_role("cell", name="mes")).to_be_visible()
    assert secret not in page.content()


def test_a_station_is_named_and_answers(desk: Desk, enter: Enter) -> None:
    page = enter("/site?tab=stations")
    expect(page.get_by_role("link", name="desk")).to_be_visible()
    form = page.locator("section", has_text="Name a station")
    form.get_by_label("Name", exact=False).first.fill("other")
    form.get_by_label("Address").fill("http://127.0.0.1:9")
    form.get_by_role("button", name="Keep it").click()
    expect(page.locator(".toast.bad")).to_contain_text("does not answer")


def test_statistics_lead_to_their_parts(line: Served, enter: Enter, look: Look) -> None:
    page = enter("/statistics", "operator")
    expect(page.locator(".stat", has_text="parts").first).to_contain_text("120")
    expect(page.get_by_role("link", name="crack")).to_be_visible()
    expect(page.get_by_role("heading", name="Share of NG (p-chart)")).to_be_visible()
    look(page, "statistics")
    page.get_by_role("link", name="crack").click()
    page.wait_for_selector(".thumb .verdict.NG")
    assert page.locator(".thumb").count() == len([n for n in range(120) if n % 17 == 0])
    look(page, "parts")


def test_a_long_list_grows_as_it_is_scrolled_and_keeps_what_is_there(line: Served, enter: Enter) -> None:
    page = enter("/parts", "operator")
    page.wait_for_selector(".thumb")
    page.evaluate("document.querySelector('.thumb').dataset.mark = 'first'")
    page.mouse.move(700, 500)
    for _ in range(20):
        page.mouse.wheel(0, 600)
        page.wait_for_timeout(50)
    expect(page.locator(".thumb")).to_have_count(120)
    addresses = page.locator(".thumb").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert addresses == [f"/parts/{number}" for number in range(1, 121)]  # the newest was recorded first
    expect(page.locator(".thumb").first).to_have_attribute("data-mark", "first")


def test_filters_live_in_the_address_and_a_part_has_its_whole_record(line: Served, enter: Enter, look: Look) -> None:
    page = enter("/parts?lot=L1", "operator")
    page.wait_for_selector(".thumb")
    assert page.locator(".thumb").count() == 40
    page.get_by_label("Verdict").select_option("REVIEW")
    expect(page.locator(".thumb")).to_have_count(len([n for n in range(40, 80) if n % 23 == 0 and n % 17]))
    assert "lot=L1" in page.url and "verdict=REVIEW" in page.url
    page.locator(".thumb").first.click()
    expect(page.get_by_role("heading", name="Record")).to_be_visible()
    look(page, "part")


@pytest.mark.expects("status of 501")
def test_a_list_is_saved_as_a_table_and_a_refusal_is_told_and_not_saved(
    line: Served, enter: Enter, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = enter("/parts?lot=L1", "operator")
    page.wait_for_selector(".thumb")
    menu = page.locator("details.menu")
    page.get_by_text("Download", exact=True).press("Enter")
    look(page, "export")
    page.keyboard.press("Escape")
    expect(menu.get_by_role("button", name="CSV")).to_be_hidden()
    tables = {}
    for kind in ("CSV", "Parquet"):
        page.get_by_text("Download", exact=True).click()
        with page.expect_download() as saved:
            menu.get_by_role("button", name=kind).click()
        tables[kind] = saved.value.path()
        assert saved.value.suggested_filename == f"inspections.{kind.lower()}"
    told = [int(row["id"]) for row in csv.DictReader(tables["CSV"].read_text().splitlines())]
    assert len(told) == 40
    assert parquet.read_table(tables["Parquet"])["id"].to_pylist() == told
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    page.get_by_text("Download", exact=True).click()
    menu.get_by_role("button", name="Parquet").click()
    expect(page.locator(".toast.bad")).to_contain_text("pip install 'sightline[parquet]'")
    expect(page.get_by_role("heading", name="Parts")).to_be_visible()


def test_empty_pages_say_what_to_do_next(served: Served, enter: Enter) -> None:
    page = enter("/", "administrator")
    for path, told in (
        ("/", "No station yet"), ("/review", "Nothing to review"), ("/parts", "No such part"),
        ("/samples", "No samples yet"),
        ("/jobs", "No job yet"), ("/recipes", "No recipe yet"), ("/statistics", "No parts in this time"),
        ("/nothing", "There is no such page"),
    ):  # fmt: skip
        page.evaluate("to => { history.pushState(null, '', to); dispatchEvent(new Event('moved')); }", path)
        expect(page.get_by_text(told)).to_be_visible()


def test_a_new_site_names_the_first_steps_and_ticks_what_is_done(served: Served, enter: Enter) -> None:
    page = enter("/", "administrator")
    steps = page.locator("ol.first li")
    expect(steps).to_have_count(3)
    expect(steps.filter(has_text="✓")).to_have_count(1)  # people are there, a station and pictures are not
    steps.nth(1).get_by_role("link").click()
    expect(page.get_by_role("heading", name="1. Pictures")).to_be_visible()
    other = enter("/", "operator")
    expect(other.get_by_text("No station yet")).to_be_visible()
    expect(other.locator("ol.first")).to_have_count(0)


def test_a_question_mark_tells_what_a_page_is_for(served: Served, enter: Enter, look: Look) -> None:
    page = enter("/review", "reviewer")
    expect(page.get_by_text("Nothing to review")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_contain_text("leave it to others")
    look(page, "help")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.goto("/statistics")
    page.get_by_role("button", name="Help").click()
    expect(page.get_by_role("dialog", name="Help")).to_contain_text("p-chart")
