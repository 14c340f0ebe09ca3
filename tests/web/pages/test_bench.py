"""The bench in a real browser whose camera shows a film of sample parts: what is said, drawn and recorded."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.web.conftest import Served
from tests.web.pages import bench_film as film
from tests.web.pages.conftest import CHROMIUM, QUIET, WAIT_MS

from sightline.core.errors import InputError
from sightline.operations import browser_runtime
from sightline.operations.bench import Bench
from sightline.operations.judges import Judges
from sightline.runtime.session import TOLERANCE
from sightline.store.book import Page as BookPage

# Follows the page's own copy of each frame: its number, and where the part is drawn in it.
WATCH = """() => {
  const video = document.querySelector(".sight video"), shown = document.querySelector(".sight canvas");
  const desk = document.createElement("canvas"), draw = CanvasRenderingContext2D.prototype.drawImage;
  let frame = null;
  window.seen = [];
  CanvasRenderingContext2D.prototype.drawImage = function (from, ...more) {
    if (from === video) frame = this.canvas;
    return draw.call(this, from, ...more);
  };
  const look = () => {
    video.requestVideoFrameCallback(look);
    if (!frame) return;
    const context = desk.getContext("2d", { willReadFrequently: true });
    draw.call(context, frame, 0, 0);
    let number = 0;
    for (let bit = 0; bit < BITS; bit++) {
      if (context.getImageData(DOT * (bit + 1) + DOT / 2, DOT / 2, 1, 1).data[0] > 128) number |= 1 << bit;
    }
    window.seen.push([number, shown.dataset.box]);
  };
  video.requestVideoFrameCallback(look);
}""".replace("BITS", str(film.BITS)).replace("DOT", str(film.DOT_PX))


@pytest.fixture(scope="module")
def shot(
    parts_shown: tuple[list[film.Part], film.Part], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[tuple[str, film.Hand | None]]]:
    """The film, and what is true of each of its frames."""
    (*_, good), flawed = parts_shown
    ground, middle = good.ground, film.Hand()
    two = good.onto(good.onto(ground, film.Hand(320, 360, 0, 0.75)), film.Hand(960, 360, 0, 0.75))
    scenes = [
        film.Scene("empty", 15, ground), film.Scene("good", 45, good.shown(middle)),
        film.Scene("moving", 45, part=good), film.Scene("empty", 15, ground), film.Scene("two", 25, two),
        film.Scene("empty", 15, ground), film.Scene("flawed", 45, flawed.shown(middle)),
    ]  # fmt: skip
    file = tmp_path_factory.mktemp("film") / "film.mjpeg"
    return file, film.shoot(file, scenes)


@pytest.fixture(scope="module")
def browser(shot: tuple[Path, list[tuple[str, film.Hand | None]]]) -> Iterator[Browser]:
    """A browser whose camera is the film; it refuses the camera to pages that nobody has allowed it."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed; tests/install-system-parts.sh brings it")
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={shot[0]}"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*QUIET, *camera])
        yield found
        found.close()


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that has fetched the runtime for browsers."""
    folder = tmp_path_factory.mktemp("runtime")
    try:
        browser_runtime.browser_runtime(folder)
    except InputError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return folder


@contextmanager
def phone(browser: Browser, served: Served, allowed: bool = True) -> Iterator[BrowserContext]:
    """A phone's browser; any error in a page fails the test."""
    found = browser.new_context(
        base_url=served.url, viewport={"width": 390, "height": 844}, has_touch=True, locale="en-GB",
        permissions=["camera"] if allowed else [],
    )  # fmt: skip
    found.set_default_timeout(WAIT_MS)
    found.add_init_script("try { localStorage.setItem('tour', 'done') } catch {}")
    wrong: list[str] = []
    found.on("weberror", lambda one: wrong.append(str(one.error)))
    yield found
    found.close()
    assert wrong == []


def told(page: Page) -> str:
    return page.inner_text(".bench .banner").strip()


def test_a_phone_joins_by_its_link_and_inspects_what_a_hand_shows(
    learned: str, served: Served, enter: Callable[..., Page], browser: Browser,
    shot: tuple[Path, list[tuple[str, film.Hand | None]]], parts_shown: tuple[list[film.Part], film.Part],
) -> None:  # fmt: skip
    desk = enter(f"/bench?recipe={learned}", "engineer")
    desk.get_by_role("button", name="Continue on a phone").click()
    code = desk.get_by_role("img", name="QR code of the link")
    expect(code).to_be_visible()
    picture = cv2.imdecode(np.frombuffer(code.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
    link, *_ = cv2.QRCodeDetector().detectAndDecode(
        cv2.copyMakeBorder(picture, *[40] * 4, cv2.BORDER_CONSTANT, value=255)
    )
    assert link.startswith(f"{served.url}/join#")
    expect(desk.get_by_text("This address leads to this computer only")).to_be_visible()
    desk.close()

    with phone(browser, served) as context:
        page = context.new_page()
        page.goto(link)
        page.get_by_role("button", name="Log in as engineer").click()
        page.wait_for_url(f"**/bench?recipe={learned}")
        assert page.evaluate("location.hash") == ""
        expect(page.locator(".rail .foot")).to_contain_text("engineer operator")
        page.wait_for_selector(".sight canvas[data-box]")
        page.evaluate(WATCH)
        heard, ends = [], time.monotonic() + 30
        while time.monotonic() < ends and not {("OK",), ("NG",), ("two",)} <= {tuple(one) for one in heard}:
            now, why = told(page), page.inner_text(".bench .told")
            heard.append([now if now in {"OK", "NG", "REVIEW"} else "two" if "More than one" in why else why])
            page.wait_for_timeout(40)
        assert ["No part in view"] in heard
        errors = drawn(page, shot[1], parts_shown[0][-1])
        expect(page.locator(".stat", has_text="waiting to be sent")).to_contain_text("0")
        again = context.new_page()
        again.goto(link)
        expect(again.get_by_role("alert")).to_contain_text("used already")
    assert len(errors) > 20
    assert max(errors) <= 0.03, f"{np.quantile(errors, [0.5, 0.95, 1])} of the part's width"
    records = served.store.inspections.page()[::-1]
    assert {str(one.verdict) for one in records} == {"OK", "NG"}
    for one in records:
        assert (one.station, one.recipe_hash, one.details["inspected_by"]) == ("bench", learned, "engineer")
        assert one.image_hash is not None
        assert served.store.images.holds(one.image_hash)


def drawn(page: Page, truth: list[tuple[str, film.Hand | None]], part: film.Part) -> list[float]:
    """How far from the part its outline was drawn, in shares of its width, for each frame in which it moved."""
    errors = []
    for number, box in page.evaluate("window.seen"):
        name, hand = truth[number]
        if name == "moving" and hand is not None and box:
            x, y, w, h = map(float, box.split())
            errors.append(float(np.hypot(x + w / 2 - hand.x, y + h / 2 - hand.y)) / (part.wide * hand.size))
    return errors


def logged_in(context: BrowserContext, served: Served) -> Page:
    """A page of an operator."""
    with served.client("operator") as client:
        cookies = [{"name": key, "value": value, "url": served.url} for key, value in client.http.cookies.items()]
    context.add_cookies(cookies)  # type: ignore[arg-type]
    return context.new_page()


def entered(context: BrowserContext, served: Served, learned: str) -> Page:
    """The bench's page, of a person who has logged in."""
    page = logged_in(context, served)
    page.goto(f"/bench?recipe={learned}")
    page.wait_for_selector(".bench .banner")
    return page


def test_a_camera_refused_or_withdrawn_is_said_with_what_to_do_and_takes_the_verdict_away(
    learned: str, served: Served, browser: Browser
) -> None:
    with phone(browser, served, allowed=False) as context:
        page = entered(context, served, learned)
        expect(page.locator(".bench .told")).to_contain_text("The camera was refused. Allow it")
        assert told(page) == "NOT INSPECTED"
        page.get_by_text("Settings of this device").click()
        # This server has not fetched the runtime for browsers.
        expect(page.locator(".settings")).to_contain_text("sightline browser-runtime")
        context.grant_permissions(["camera"])
        page.get_by_role("button", name="Try again").click()
        page.wait_for_function("() => document.querySelector('.bench .banner').innerText.trim() === 'OK'")
        # What browsers do when it is withdrawn: the track ends, and says so.
        page.evaluate(
            "() => { const [track] = document.querySelector('.sight video').srcObject.getTracks();"
            " track.stop(); track.dispatchEvent(new Event('ended')); }"
        )
        expect(page.locator(".bench .told")).to_contain_text("its permission was withdrawn")
        assert told(page) == "NOT INSPECTED"
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector(".sight canvas[data-box]:not([data-box=''])")
        page.wait_for_load_state("networkidle")


def test_what_was_inspected_while_the_line_is_cut_is_recorded_once(
    learned: str, served: Served, browser: Browser
) -> None:
    with phone(browser, served) as context:
        context.route("**/bench/inspections*", lambda route: route.abort())
        page = entered(context, served, learned)
        page.wait_for_function("() => document.querySelector('.bench .banner').innerText.trim() === 'OK'")
        waits = page.locator(".stat", has_text="waiting to be sent")
        expect(waits).to_contain_text("1")
        page.reload()  # the phone was put away
        expect(waits).to_contain_text("1")
        assert served.store.inspections.page() == ()
        context.unroute("**/bench/inspections*")
        expect(waits).to_contain_text("0")
        page.wait_for_load_state("networkidle")
        first = served.store.inspections.page()[-1]
        assert str(first.verdict) == "OK"
        assert first.details["inspected_by"] == "operator"


def test_a_part_that_is_not_ok_is_shown_again_and_the_book_says_what_it_is(
    learned: str, served: Served, browser: Browser
) -> None:
    served.store.book.write(BookPage(product="caps", name="unknown", guideline="Wipe it, then show it again."), "ann")
    with phone(browser, served) as context:
        page = entered(context, served, learned)
        page.get_by_text("Settings of this device").click()
        page.get_by_label("Hands-free").uncheck()
        page.wait_for_function("() => document.querySelector('.bench .told').innerText.includes('More than one part')")
        page.get_by_role("button", name="Inspect", exact=True).click()
        page.wait_for_function("() => document.querySelector('.bench .banner').innerText.trim() === 'NG'")
        expect(page.locator(".lesson")).to_contain_text("Wipe it")
        high = page.get_by_role("button", name="Show it again").bounding_box()
        assert high is not None
        assert high["height"] >= 64
        page.get_by_role("button", name="Show it again").click()
        expect(page.get_by_text("2 times")).to_be_visible()
        expect(page.locator(".stat", has_text="waiting to be sent")).to_contain_text("0")
        page.wait_for_load_state("networkidle")
    again, first = served.store.inspections.page()[:2]
    assert (first.details["attempt"], again.details["attempt"]) == (1, 2)
    assert str(first.key)[:-2] == str(again.key)[:-2]


LOOK = """async ([recipe, frame]) => {
  const base = document.querySelector("script[type=module]").src.replace("main.js", "");
  if (!window.judge) {
    const { Device } = await import(base + "device.js");
    const place = await (await fetch("/api/v1/bench/place?recipe=" + recipe)).json();
    window.judge = new Device(recipe, place, () => {});
    await window.judge.ready;
  }
  const bytes = Uint8Array.from(atob(frame), (one) => one.charCodeAt(0)), canvas = document.createElement("canvas");
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  Object.assign(canvas, { width: picture.width, height: picture.height });
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(picture, 0, 0);
  return window.judge.look({ canvas });
}"""


def test_a_recipe_in_the_browser_says_what_the_server_says(
    learned: str, served: Served, browser: Browser, runtime: Path, parts_shown: tuple[list[film.Part], film.Part]
) -> None:
    (served.folder / "work").mkdir(exist_ok=True)
    (served.folder / "work" / browser_runtime.FOLDER).symlink_to(runtime / browser_runtime.FOLDER)
    (*_, good), flawed = parts_shown
    two = good.onto(good.onto(good.ground, film.Hand(320, 360, 0, 0.75)), film.Hand(960, 360, 0, 0.75))
    frames = [
        good.shown(film.Hand()), flawed.shown(film.Hand(600, 350, 2, 1.05)), good.shown(film.Hand(700, 340, -3, 0.93)),
        good.shown(film.Hand(size=0.24)), two, good.ground, np.asarray(good.shown(film.Hand()) // 3, np.uint8),
        np.asarray(cv2.GaussianBlur(good.shown(film.Hand()), (0, 0), 4), np.uint8),
    ]  # fmt: skip
    server = Bench(served.store, Judges(served.store, 1, 1, 1))
    states = set()
    with phone(browser, served) as context:
        page = logged_in(context, served)
        page.goto("/jobs")  # without a camera that takes the processor
        page.wait_for_selector("aside.rail")
        for frame in frames:
            png = cv2.imencode(".png", frame[..., ::-1])[1].tobytes()
            there, here = server.look(learned, png), page.evaluate(LOOK, [learned, base64.b64encode(png).decode()])
            states.add(there["state"])
            assert (here["state"], here["verdict"]) == (there["state"], there["verdict"])
            if there["view"] is not None:
                assert here["view"] == pytest.approx(there["view"], abs=8)
            if there["score"] is not None and list(there["view"]) == here["view"]:
                assert abs(here["score"] - there["score"]) <= TOLERANCE * max(1, abs(there["score"]))
                states.add("compared")
            if there["defects"]:
                (x, y, w, h), middle = there["defects"][0]["box"], here["defects"][0]["box"]
                assert abs(x + w / 2 - middle[0] - middle[2] / 2) < 0.1 * flawed.wide
                assert abs(y + h / 2 - middle[1] - middle[3] / 2) < 0.1 * flawed.wide
        # The page itself takes it, inspects with it, and the server agrees for the record.
        page.goto(f"/bench?recipe={learned}")
        page.get_by_text("Settings of this device").click()
        page.get_by_label("The recipe runs").select_option("device")
        expect(page.locator(".settings .facts")).to_contain_text("this device", timeout=40_000)
        # However short the part is in view on a slow machine, the count of those that are recorded stays.
        expect(page.locator(".stat", has_text="recorded")).to_contain_text(re.compile("[1-9]"), timeout=60_000)
        page.wait_for_load_state("networkidle")
    assert states >= {"ready", "far", "several", "none", "dark", "blurred", "compared"}
    assert served.store.inspections.page()[0].details["device"] is not None
