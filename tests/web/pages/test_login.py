"""The door: the first user, logging in and out, and where it never leads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.web.conftest import PASSWORD, Serve, Served
from tests.web.pages.conftest import Enter


def test_a_new_server_leads_to_its_first_user(browser: Browser, serve: Serve) -> None:
    served = serve(empty=True)
    page = browser.new_page(base_url=served.url)
    page.goto("/")
    page.wait_for_url("**/setup")
    page.get_by_label("Set-up token").fill("wrong")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("alert")).to_contain_text("token")
    page.get_by_label("Set-up token").fill(served.setup_token)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Live")).to_be_visible()
    expect(page.get_by_text("No station yet")).to_be_visible()
    page.context.close()


@pytest.mark.expects("status of 404")
def test_login_leads_to_where_one_wanted_to_go_and_logout_ends_it(enter: Enter) -> None:
    page = enter("/live/press", "operator")
    expect(page.get_by_role("heading", name="There is no station press")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.goto("/live/press")
    page.wait_for_url("**/login?to=%2Flive%2Fpress")


@pytest.mark.parametrize(
    "target",
    [
        *("//elsewhere.example/x", "https://elsewhere.example/", "javascript:alert(1)", "/\\elsewhere.example"),
        *("/%5Celsewhere.example", "/%09/elsewhere.example", "/.//elsewhere.example", "/%2F/elsewhere.example"),
    ],
)
def test_login_leads_to_no_other_site(enter: Enter, served: Served, target: str) -> None:
    page = enter(target)
    page.wait_for_url(lambda url: "/login" not in url)
    assert page.evaluate("location.origin") == served.url
    expect(page.locator(".toast.bad")).to_have_count(0)


def test_a_wrong_password_says_so(context: BrowserContext, look: Callable[[Page, str], None]) -> None:
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    look(page, "login")


def test_german(browser: Browser, serve: Serve) -> None:
    page = browser.new_page(base_url=serve().url, locale="de-DE")
    page.goto("/login")
    expect(page.get_by_role("button", name="Anmelden")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "de"
    page.context.close()
