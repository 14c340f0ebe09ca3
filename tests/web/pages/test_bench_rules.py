"""What the bench shows of which part, and what nobody may overlook: the pages' own modules, without a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.web.conftest import running

from sightline.store.store import Store

# A camera that shows one part, or none, to an `Eye` whose judge answers at once, or when it is told to.
STAGE = """async () => {
  const base = document.querySelector("script[type=module]").src.replace("main.js", "");
  const { Eye, Server } = await import(base + "eye.js");
  const size = { width: 320, height: 240, videoWidth: 320, videoHeight: 240 };
  const film = Object.assign(document.createElement("canvas"), size);
  const draw = film.getContext("2d", { willReadFrequently: true });
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const box = [100, 60, 120, 120], counted = [], waiting = [];
  const outline = [[100, 60], [220, 60], [220, 180], [100, 180]];
  const parts = [{ box, outline }];
  const answer = { state: "ready", verdict: "OK", view: box, score: 1, reason: "", defects: [], parts };
  const show = (part) => {
    draw.fillStyle = "#808080";
    draw.fillRect(0, 0, 320, 240);
    for (let n = 0, chance = 7; part && n < 144; n++) {
      chance = (chance * 16807) % 2147483647;
      draw.fillStyle = chance % 2 ? "#202020" : "#e0e0e0";
      draw.fillRect(100 + (n % 12) * 10, 60 + Math.floor(n / 12) * 10, 10, 10);
    }
  };
  const later = () => new Promise((done) => waiting.push(done));
  const judge = { open: true, device: true, look: () => (bench.quick ? Promise.resolve(answer) : later()) };
  const eye = new Eye({
    video: film, canvas: document.createElement("canvas"), judge: () => judge, changed: () => {},
    counted: (part) => counted.push(part.number), left: () => eye.take(),
  });
  // Time goes on by frames, and stands still while one is encoded.
  let clock = 1e6;
  performance.now = () => clock;
  const settled = async () => { do await pause(1); while (eye.busy && !waiting.length); };
  const run = async (ms) => {
    for (const end = clock + ms; clock < end; clock += 25) { eye.frame(); await settled(); }
  };
  const say = async () => { waiting.shift()(answer); await settled(); };
  window.bench = { quick: true, eye, film, show, run, say, counted, Server };
  eye.seen = performance.now();
  show(true);
}"""


@pytest.fixture(scope="module")
def quiet_page(
    browser: Browser, made_store: Callable[[Path], Store], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A page of the app that does nothing, for its modules."""
    folder = tmp_path_factory.mktemp("stage")
    with made_store(folder) as store, running(store, folder) as served:
        page = browser.new_page()
        page.goto(f"{served.url}/login")
        page.wait_for_selector("[name=password]")
        yield page
        page.close()


@pytest.fixture
def stage(quiet_page: Page) -> Page:
    quiet_page.evaluate(STAGE)
    return quiet_page


def test_an_answer_counts_for_no_part_that_was_put_there_since(stage: Page) -> None:
    assert stage.evaluate("""async () => {
      const { eye, run, say, show, counted } = bench;
      eye.armed = false;
      await run(600);
      Object.assign(bench, { quick: false });
      eye.armed = true;
      await run(200);  // a look is under way
      show(false);
      await run(500);
      show(true);  // another part, alike, at the same place
      await run(200);
      await say();
      return [counted.length, eye.state.part];
    }""") == [0, None]


def test_a_verdict_goes_with_its_part_however_slow_the_judge_is(stage: Page) -> None:
    assert stage.evaluate("""async () => {
      const { eye, run, say, show, counted } = bench;
      await run(900);
      const first = eye.state.part.number;
      bench.quick = false;
      await run(200);
      show(false);
      await run(500);
      show(true);
      await run(200);
      await say();
      const between = eye.state.part;
      bench.quick = true;
      await run(900);
      return [first, between, eye.state.part.number, counted];
    }""") == [1, None, 2, [1, 2]]


def test_the_next_part_is_not_inspected_in_a_frame_from_before(stage: Page) -> None:
    assert stage.evaluate("""async () => {
      const { eye, run, say, counted } = bench;
      await run(900);
      bench.quick = false;
      await run(200);
      eye.take();
      await say();
      const then = counted.length;
      bench.quick = true;
      await run(400);
      return [then, counted.length];
    }""") == [1, 2]


def test_no_verdict_stands_while_nobody_looks(stage: Page) -> None:
    assert stage.evaluate("""async () => {
      const { eye, run, counted, Server } = bench;
      await run(900);
      const shown = eye.state.part.verdict;
      bench.quick = false;
      await run(2300);
      const closed = Object.assign(Object.create(Server.prototype), { open: false });
      return [shown, eye.state.part, counted.length, await closed.look({ blob: new Blob(["x"]) })];
    }""") == ["OK", None, 1, None]


def test_a_device_that_is_turned_takes_the_verdict_away_and_inspects_anew(stage: Page) -> None:
    assert stage.evaluate("""async () => {
      const { eye, film, run, show, counted } = bench;
      await run(900);
      const shown = eye.state.part.verdict;
      Object.assign(film, { width: 240, height: 320, videoWidth: 240, videoHeight: 320 });
      show(true);
      eye.frame();
      const then = [eye.state.part, eye.state.size];
      await run(900);
      return [shown, ...then, counted];
    }""") == ["OK", None, [240, 320], [1, 2]]


KEEP = """async ([user, key, verdict]) => {
  const base = document.querySelector("script[type=module]").src.replace("main.js", "");
  const { Kept } = await import(base + "kept.js");
  const kept = new Kept(user, () => {});
  await kept.put({ key, number: 7, verdict, bytes: new Blob(["x"]), query: { shown: new Date().toISOString() } });
  const waits = async () => user !== "bob" && (await kept.all()).parts.length > 0;
  while (await waits()) await new Promise((done) => setTimeout(done, 20));
  kept.close();
}"""


@pytest.mark.expects("status of 409")
def test_what_was_refused_or_is_graver_stays_until_it_is_read(
    enter: Callable[..., Page], kept: str, look: Callable[[Page, str], None]
) -> None:
    page = enter("/", "operator")
    page.wait_for_load_state("networkidle")

    def reply(route: Route) -> None:
        if "refused" in route.request.url:
            route.fulfill(
                status=409, json={"detail": "not inspected: the part is turned or tilted. Show the part again"}
            )
        else:
            route.fulfill(
                status=201, json={"inspection": 1, "verdict": "NG" if "graver" in route.request.url else "OK"}
            )

    page.route("**/bench/inspections*", reply)
    for key in ("part-refused", "part-graver", "part-same"):
        page.evaluate(KEEP, ["operator", key, "OK"])
    page.route("**/bench/inspections*", lambda route: route.abort())
    page.evaluate(KEEP, ["bob", "part-of-bob", "OK"])
    page.goto(f"/bench?recipe={kept}")  # after a reload, too
    alarms = page.locator(".bench .alarm[role=alert]")
    expect(alarms).to_have_count(2)
    expect(alarms.nth(0)).to_contain_text("Part 7, shown at")
    expect(alarms.nth(0)).to_contain_text("is not recorded: not inspected: the part is turned")
    expect(alarms.nth(1)).to_contain_text("is NG by the server")
    expect(page.locator(".bench")).to_contain_text("until these log in: bob (1)")
    expect(page.locator(".bench")).to_contain_text("recorded as a trial")
    look(page, "bench-alarms")
    for left in (1, 0):
        alarms.first.get_by_role("button").click()
        expect(alarms).to_have_count(left)
    page.reload()
    expect(page.locator(".bench")).to_contain_text("bob (1)")
    expect(alarms).to_have_count(0)
    page.wait_for_load_state("networkidle")
