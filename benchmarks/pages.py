"""What the app's pages cost over a million inspections in SQLite, in Chromium. Writes pages.json and pages.md.

The store holds no pictures: what pictures cost is their bytes. `usable` ends when what a person came for can be seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from sightline.operations import people
from sightline.store.store import Store
from web import NAME, PASSWORD, ROWS, cpu_s, fill, memory_mb

HERE = Path(__file__).parent
RUNS, FIRST_BYTE_MS, USABLE_MS, SCROLL_MS = 5, 300, 1500, 100
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
MARCH = "hours=720&until=2026-03-31T00:00:00Z"
STEP = """() => new Promise((done) => {
  const begun = performance.now();
  scrollBy(0, 600);
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
})"""
PAGES = {
    "live, no station": ("/", ".empty"),
    "parts": ("/parts", ".thumb"),
    "parts, NG of a station": ("/parts?verdict=NG&station=station%201", ".thumb"),
    "one part": ("/parts/123456", "section.panel dl"),
    "samples, none": ("/samples", ".empty"),
    "lab": ("/jobs", "tbody tr"),
    "recipes, none": ("/recipes", ".empty"),
    "statistics": (f"/statistics?{MARCH}", "section.panel"),
    "figures of the reviews": ("/review/figures", "section.panel"),
    "audit": ("/site?tab=audit", "tbody tr"),
}


def look(browser, url, cookies, path, wanted):
    """Median ms to the first byte and until the page is usable, in browsers that know nothing; kB and requests."""
    first, usable, sizes = [], [], []
    for _ in range(RUNS):
        context = browser.new_context(base_url=url)
        context.add_cookies(cookies)
        page = context.new_page()
        got = []
        page.on("response", lambda one, got=got: got.append(one))
        start = time.perf_counter()
        page.goto(path, wait_until="commit")
        first.append(page.evaluate("performance.getEntriesByType('navigation')[0].responseStart"))
        page.wait_for_selector(wanted)
        usable.append((time.perf_counter() - start) * 1e3)
        sizes.append((sum(int(one.headers.get("content-length", 0)) for one in got) / 1e3, len(got)))
        context.close()
    kb, requests = np.median(sizes, axis=0)
    return {
        "first_byte_ms": round(float(np.median(first))), "usable_ms": round(float(np.median(usable))),
        "usable_worst_ms": round(max(usable)), "kb": round(float(kb)), "requests": int(requests),
    }  # fmt: skip


def scroll(browser, url, cookies):
    """Worst and median ms of a step in the gallery, from the wheel to the next drawn frame, over 1,000 parts."""
    context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto("/parts")
    page.wait_for_selector(".thumb")
    times = []
    while page.locator(".thumb").count() < 1000:
        times.append(page.evaluate(STEP))
        page.wait_for_timeout(60)
    context.close()
    return {"steps": len(times), "median_ms": round(float(np.median(times)), 1), "worst_ms": round(max(times), 1)}


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        database = Path(folder) / "store.db"
        with Store.open(database) as store:
            fill(store)
            people.set_up(store, NAME, PASSWORD)
        command = [sys.executable, "-m", "sightline", "serve", "--port", "0", "--no-browser", "--db", str(database)]
        process = subprocess.Popen([*command, "--set", f"folder={folder}/work"], stderr=subprocess.PIPE, text=True)
        try:
            url = ""
            while not url:
                url = process.stderr.readline().partition(" is on ")[2].strip()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
                context = browser.new_context(base_url=url)
                page = context.new_page()
                page.goto("/login")
                page.fill("[name=name]", NAME)
                page.fill("[name=password]", PASSWORD)
                page.press("[name=password]", "Enter")
                page.wait_for_selector("aside.rail")
                cookies = context.cookies()
                figures = {name: look(browser, url, cookies, *page) for name, page in PAGES.items()}
                scrolled = scroll(browser, url, cookies)
                before = cpu_s(process.pid)
                page.wait_for_timeout(20_000)  # a page stays open, and nobody touches it
                watched = {"cpu_percent": round((cpu_s(process.pid) - before) * 5, 2), "mb": memory_mb(process.pid)}
                browser.close()
        finally:
            process.terminate()
            process.wait(30)
    load = round(os.getloadavg()[0], 1)
    result = {"rows": ROWS, "load_average": load, "pages": figures, "gallery": scrolled, "open_page": watched}
    (HERE / "pages.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "pages.md").write_text(describe(result))
    print(describe(result))


def describe(result):
    """The figures as a readable table."""
    gallery, watched = result["gallery"], result["open_page"]
    lines = [
        "# The app's pages",
        "",
        f"`python benchmarks/pages.py`: {result['rows']:,} inspections in SQLite, Chromium beside the server on two "
        f"cores (load average {result['load_average']}), {RUNS} fresh browsers a page. Wanted: first byte within "
        f"{FIRST_BYTE_MS} ms, usable within {USABLE_MS}.",
        "",
        "| page | first byte, ms | usable, ms | worst | kB | requests |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {one['first_byte_ms']} | {one['usable_ms']} | {one['usable_worst_ms']} | {one['kb']} "
            f"| {one['requests']} |"
            for name, one in result["pages"].items()
        ),
        "",
        f"A step in the gallery, from the wheel to the drawn frame, over {gallery['steps']} steps: "
        f"median {gallery['median_ms']} ms, worst {gallery['worst_ms']} (wanted: {SCROLL_MS}). With a page open that "
        f"nobody touches, the server takes {watched['cpu_percent']} % of a core and {watched['mb']} MB "
        "(wanted: 3 % and 300 MB).",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
