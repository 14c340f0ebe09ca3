"""The bench beside a marker, and in a headset as far as a browser without one can tell."""

from __future__ import annotations

import base64
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.web.conftest import Served
from tests.web.pages import bench_film as film
from tests.web.pages.test_bench import entered, phone, told

from sightline.operations.bench import Bench
from sightline.operations.judges import Judges
from sightline.runtime.marker import draw_marker

# A camera of this size that shows `window.show(JPEG as text)`.
STILL = """() => {
  if (!navigator.mediaDevices) return; // an empty page
  const desk = Object.assign(document.createElement("canvas"), { width: 1280, height: 720 });
  window.show = (frame) => new Promise((done) => {
    const picture = new Image();
    picture.onload = () => { window.shown = picture; done(); };
    picture.src = "data:image/jpeg;base64," + frame;
  });
  navigator.mediaDevices.getUserMedia = async () => {
    setInterval(() => { if (window.shown) desk.getContext("2d").drawImage(window.shown, 0, 0); }, 60);
    return desk.captureStream();
  };
}"""


def test_a_marker_is_learned_on_the_page_and_missed_when_it_is_covered(
    learned: str, served: Served, browser: Browser, look: Callable[[Page, str], None],
    parts_shown: tuple[list[film.Part], film.Part],
) -> None:  # fmt: skip
    with phone(browser, served) as context:
        context.add_init_script(f"({STILL})()")
        page = entered(context, served, learned)
        bare = parts_shown[1].shown(film.Hand(500, 360))
        marked = bare.copy()
        sheet = cv2.resize(draw_marker(7, 30.0)[0], (250, 300), interpolation=cv2.INTER_AREA)  # 150 px are 30 mm
        marked[200:500, 960:1210] = sheet
        show = [base64.b64encode(film.jpeg(one)).decode() for one in (marked, bare)]
        page.evaluate("frame => window.show(frame)", show[0])
        page.get_by_text("Marker", exact=True).click()
        page.get_by_label("Side of its black square").fill("30")
        page.get_by_role("button", name="Learn where the part lies").click()
        page.wait_for_url("**marker=7*")
        page.evaluate("frame => window.show(frame)", show[0])
        page.wait_for_function("() => document.querySelector('.bench .banner').innerText.trim() === 'NG'")
        expect(page.locator(".found")).to_contain_text("mm")
        look(page, "bench-marker")
        page.evaluate("frame => window.show(frame)", show[1])
        expect(page.locator(".bench .told")).to_contain_text("The marker is not in view")
        assert told(page) == "NOT INSPECTED"
        page.wait_for_load_state("networkidle")
    (view,) = served.store.inspections.page()[-1].details["views"]
    assert view["marker"].startswith("7,30,") and view["mm_per_px"] == pytest.approx(0.2, rel=0.05)


# A browser on a headset, as far as the page can tell.
HEADSET = """() => {
  if (!navigator.mediaDevices) return;
  const session = new EventTarget();
  Object.assign(session, {
    updateRenderState: (state) => { window.layered = !!state.baseLayer; },
    requestAnimationFrame: (frame) => { if (window.drawn === undefined) { window.drawn = 1; setTimeout(frame, 0); } },
    end: async () => { window.ended = true; session.dispatchEvent(new Event("end")); },
  });
  window.XRWebGLLayer = class { constructor() { this.framebuffer = null; } };
  Object.defineProperty(navigator, "xr", { configurable: true, value: {
    isSessionSupported: async (mode) => mode === "immersive-ar",
    requestSession: async (mode, init) => {
      window.wanted = [mode, init.requiredFeatures, init.domOverlay.root];
      return session;
    },
  } });
}"""


def test_a_headset_is_offered_only_where_there_is_one_and_its_view_ends_cleanly(
    learned: str, served: Served, browser: Browser, parts_shown: tuple[list[film.Part], film.Part]
) -> None:
    with phone(browser, served) as context:
        context.add_init_script(f"({STILL})()")
        good = base64.b64encode(film.jpeg(parts_shown[0][-1].shown(film.Hand()))).decode()
        page = entered(context, served, learned)
        page.evaluate("frame => window.show(frame)", good)
        assert page.evaluate("navigator.xr ? navigator.xr.isSessionSupported('immersive-ar') : false") is False
        page.wait_for_function("() => document.querySelector('.bench .banner').innerText.trim() === 'OK'")
        expect(page.get_by_role("button", name="Headset", exact=True)).to_have_count(0)
        context.add_init_script(f"({HEADSET})()")
        page.reload()
        page.wait_for_selector(".bench .banner")
        page.evaluate("frame => window.show(frame)", good)
        page.get_by_text("Settings of this device").click()
        page.get_by_label("Hands-free").uncheck()
        page.get_by_role("button", name="Headset", exact=True).click()
        over = page.locator(".headset")
        expect(over.locator(".banner")).to_be_visible()
        expect(page.get_by_label("Hands-free")).to_be_checked()
        mode, features, _ = page.evaluate("[...window.wanted.slice(0, 2), window.layered && window.drawn]")
        assert (mode, features) == ("immersive-ar", ["dom-overlay"])
        assert page.evaluate("window.layered && window.wanted[2].classList.contains('headset')")
        page.wait_for_function("() => document.querySelector('.headset .banner').innerText.trim() === 'OK'")
        over.get_by_role("button", name="Leave the headset's view").click()
        expect(over).to_have_count(0)
        assert page.evaluate("window.ended")
        expect(page.get_by_role("button", name="Headset", exact=True)).to_be_enabled()
        page.wait_for_load_state("networkidle")


def smudged(frame: film.Pixels, radius: int, blur: float, veil: float) -> film.Pixels:
    """A frame behind a lens with a smudge: within it, all is blurred and greyish."""
    share = np.zeros(frame.shape[:2], np.float32)
    cv2.circle(share, (680, 330), radius, 1.0, -1)
    share = cv2.GaussianBlur(share, (0, 0), radius / 4)[..., None]
    dim = cv2.GaussianBlur(frame, (0, 0), blur) * (1 - veil) + 204 * veil
    return np.asarray(np.clip(frame * (1 - share) + dim * share, 0, 255), np.uint8)


def on_a_screen(frame: film.Pixels) -> film.Pixels:
    """A frame of a screen that shows the part: the gaps between its pixels, and their beat with the camera's."""
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    grid = 1 - 0.25 * ((x % 3 == 0) | (y % 3 == 0)) + 0.06 * np.sin(x / 7 + y / 90)
    return np.asarray(np.clip(frame * grid[..., None] * 1.15, 0, 255), np.uint8)


def test_a_dirty_lens_a_mirror_and_a_screen_are_never_ok(
    learned: str, served: Served, parts_shown: tuple[list[film.Part], film.Part]
) -> None:
    clean = parts_shown[0][-1].shown(film.Hand())
    frames = {
        "clean": clean, "mirror": np.ascontiguousarray(clean[:, ::-1]), "screen": on_a_screen(clean),
        "greasy": smudged(clean, 700, 4, 0.15), "finger": smudged(clean, 240, 8, 0.2),
        "drop": smudged(clean, 60, 8, 0.2),
    }  # fmt: skip
    bench = Bench(served.store, Judges(served.store, 1, 1, 1))
    found = {name: bench.look(learned, film.jpeg(frame)) for name, frame in frames.items()}
    assert {name for name, one in found.items() if one["verdict"] == "OK"} == {"clean"}
    assert {name for name, one in found.items() if one["state"] == "blurred"} == {"greasy", "finger"}
