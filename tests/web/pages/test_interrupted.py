"""Pages that stay open while the login ends, the server goes away, or another version comes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from tests.web.conftest import PASSWORD, Served, running
from tests.web.pages.conftest import Enter

from sightline.store.store import Store


def end_sessions(served: Served, name: str) -> None:
    """Shut a user out and in again: no session outlives that."""
    with served.client("administrator") as client:
        for disabled in (True, False):
            client.patch(f"/users/{name}", {"disabled": disabled})


def test_nothing_typed_is_lost_when_the_login_ends(served: Served, enter: Enter) -> None:
    served.store.jobs.add("check", {"kind": "check", "product": "plates"}, "engineer")
    page = enter("/jobs/1", "engineer")
    page.get_by_role("button", name="Cancel it").click()
    page.get_by_label("Why").fill("the wrong product")
    end_sessions(served, "engineer")
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    door = page.get_by_role("dialog", name="Your login has ended")
    door.get_by_label("Password of engineer").fill("wrong")
    door.get_by_role("button", name="Log in").click()
    expect(page.locator(".toast.bad").last).to_be_visible()
    door.get_by_label("Password of engineer").fill(PASSWORD)
    door.get_by_role("button", name="Log in").click()
    expect(door).to_be_hidden()
    expect(page.get_by_label("Why")).to_have_value("the wrong product")
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("Cancelled by engineer")).to_be_visible()


def test_somebody_else_goes_through_the_door_and_comes_back(served: Served, enter: Enter) -> None:
    page = enter("/statistics", "engineer")
    page.wait_for_load_state("networkidle")  # else an answer on its way meets the ended login before the click does
    end_sessions(served, "engineer")
    page.get_by_role("link", name="Recipes").click()
    page.get_by_role("button", name="I am somebody else").click()
    page.wait_for_url("**/login?to=%2Frecipes")
    page.fill("[name=name]", "operator")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    expect(page.get_by_role("heading", name="Recipes")).to_be_visible()


@pytest.mark.expects("status of 404")
def test_pages_of_an_older_version_ask_to_be_loaded_again(served: Served, enter: Enter) -> None:
    page = enter("/", "engineer")
    expect(page.get_by_role("heading", name="Live")).to_be_visible()

    def gone(route: Route) -> None:
        route.fulfill(status=404, body="{}")

    page.route("**/assets/**", gone)  # as after an upgrade: the old address names nothing any more
    page.get_by_role("link", name="Statistics").click()
    expect(page.get_by_role("alert")).to_contain_text("new version of these pages")
    page.unroute("**/assets/**", gone)
    page.get_by_role("button", name="Load again").click()
    expect(page.get_by_role("heading", name="Statistics")).to_be_visible()


@pytest.mark.expects("ERR_FAILED")
def test_a_page_that_did_not_come_is_asked_for_again(enter: Enter) -> None:
    page = enter("/", "engineer")
    expect(page.get_by_role("heading", name="Live")).to_be_visible()
    page.route("**/assets/**", lambda route: route.abort())
    page.get_by_role("link", name="Statistics").click()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/assets/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Statistics")).to_be_visible()


def test_open_pages_go_on_by_themselves_when_the_server_is_back(
    made_store: Callable[[Path], Store], tmp_path: Path, browser: Browser
) -> None:
    store = made_store(tmp_path)
    store.jobs.add("check", {"kind": "check", "product": "plates"}, "engineer")
    context = browser.new_context()
    try:
        with running(store, tmp_path) as served:
            port = int(served.url.rpartition(":")[2])
            job, review, typing = (
                opened(context, served.url, path) for path in ("/jobs/1", "/review", "/site?tab=self")
            )
            typing.get_by_label("New PIN").fill("4711")
            expect(job.get_by_text("Check waiting")).to_be_visible()
            expect(review.get_by_text("Nothing to review")).to_be_visible()
        expect(review.get_by_role("alert").first).to_contain_text("goes on by itself")
        store.jobs.cancel(1, "engineer", "while the server was away")
        with running(store, tmp_path, port=port):
            expect(job.get_by_text("Cancelled by engineer")).to_be_visible(timeout=20_000)
            expect(review.get_by_text("goes on by itself")).to_have_count(0, timeout=20_000)
            expect(typing.get_by_text("goes on by itself")).to_have_count(0, timeout=20_000)
            expect(review.get_by_text("Nothing to review")).to_be_visible()
            expect(typing.get_by_label("New PIN")).to_have_value("4711")
    finally:
        context.close()
        store.close()


def opened(context: BrowserContext, url: str, path: str) -> Page:
    """A page as the administrator sees it, logged in by the first one's cookie."""
    page = context.new_page()
    page.goto(f"{url}{path}")
    page.wait_for_selector("main.door [name=password], aside.rail")
    if page.locator("main.door").count():
        page.fill("[name=name]", "administrator")
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_selector("aside.rail")
    return page
