"""A real browser over a real server: what people see and press."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.web.conftest import PASSWORD, Served
from tests.web.pages import bench_film as film

import sightline
from sightline.core.sample import Sample
from sightline.runtime.recipe import Recipe

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
WAIT_MS = 20_000
# 401 before the login is the server's answer to the question who is logged in.
EXPECTED = ("status of 401",)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, for the tests of a file: Playwright's event loop runs in this thread until it is closed, and
    tests of other files need one of their own."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed; tests/install-system-parts.sh brings it")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=QUIET)
        yield found
        found.close()


@pytest.fixture
def context(browser: Browser, served: Served, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A browser that knows nobody yet. Whatever a page asked of another server, or any error in it, fails the test."""
    found = browser.new_context(base_url=served.url, viewport={"width": 1440, "height": 900}, locale="en-GB")
    found.set_default_timeout(WAIT_MS)
    if request.node.get_closest_marker("first_visit") is None:
        # Its offer would lie over the pages. A browser's own empty page, as axe opens one, keeps nothing.
        found.add_init_script("try { localStorage.setItem('tour', 'done') } catch {}")
    wrong: list[str] = []
    found.on(
        "request", lambda one: None if one.url.startswith((served.url, "blob:", "data:")) else wrong.append(one.url)
    )
    found.on("weberror", lambda one: wrong.append(str(one.error)))
    found.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    yield found
    found.close()
    expected = (*EXPECTED, *(mark.args[0] for mark in request.node.iter_markers("expects")))
    assert [one for one in wrong if not any(known in one for known in expected)] == []


Enter = Callable[..., Page]


@pytest.fixture
def enter(context: BrowserContext) -> Enter:
    """Opens a page of the app as the user of a role."""

    def log_in(path: str = "/", name: str = "administrator") -> Page:
        page = context.new_page()
        page.goto(f"/login?to={path}")
        page.fill("[name=name]", name)
        page.fill("[name=password]", PASSWORD)
        page.press("[name=password]", "Enter")
        page.wait_for_selector("aside.rail")
        return page

    return log_in


@pytest.fixture
def look() -> Callable[[Page, str], None]:
    """Looks at a page as CI can: kept as pictures in three widths and two themes where SIGHTLINE_SHOTS names a folder,
    never wider than its window, and with no serious fault for people who use it by ear or keyboard."""

    def check(page: Page, name: str) -> None:
        folder = os.environ.get("SIGHTLINE_SHOTS")
        for width, height in ((1440, 900), (1024, 768), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(150)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} px wide in a window of {width}"
            if folder:
                page.screenshot(path=f"{folder}/{name}-{width}.png")
        for theme in ("light", "dark"):
            page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
            found = Axe().run(page).response["violations"]
            told = [
                (one["id"], one["help"], one["nodes"][0]["html"][:200])
                for one in found
                if one["impact"] in {"serious", "critical"}
            ]
            assert told == [], f"{name}, {theme}"
            if folder:
                page.screenshot(path=f"{folder}/{name}-390-{theme}.png")
        page.set_viewport_size({"width": 1440, "height": 900})

    return check


@pytest.fixture(scope="session")
def parts_shown() -> tuple[list[film.Part], film.Part]:
    """Good parts, and one with a defect that anybody sees."""
    return film.sample_parts(film.GOOD + 2, 0.0), film.sample_parts(6, 1.0)[5]


@pytest.fixture(scope="session")
def by_hand(
    parts_shown: tuple[list[film.Part], film.Part], recipe: Recipe, write: Callable[[Path, film.Pixels], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Recipe, list[Path]]:  # fmt: skip
    """A recipe that has learned from parts shown by hand, and the pictures it has learned from."""
    files = film.views(parts_shown[0][: film.GOOD], tmp_path_factory.mktemp("views"), recipe.card, write)
    options = {"side_px": 192, "bank_size": 512, "sample_patches": 4000, "threads": 1, "synthetic": 12}
    return sightline.train(
        [Sample(file, False) for file in files], **options, classify=False, discriminator_weight=0.0, light_directions=0
    ), files


@pytest.fixture
def learned(served: Served, by_hand: tuple[Recipe, list[Path]]) -> str:
    """Hash of the recipe, in the server's store."""
    return film.learn(served.store, *by_hand)
