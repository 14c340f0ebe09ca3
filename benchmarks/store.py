"""What the store costs: samples in per second, a page and a chart of a million inspections. Writes .json and .md.

`--url postgresql://...` measures a server instead of SQLite.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.store.inspections import Filter, Record
from sightline.store.store import Store

HERE = Path(__file__).parent
IMAGES, ROUNDS, ROWS, COMMITS, RUNS = 3000, 3, 1_000_000, 2000, 20
START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(days=30) / ROWS  # a month
WANTED = {"images_per_s": 150, "page_ms": 50, "chart_ms": 300, "commit_ms": 1}


def machine():
    """Cores and processor, as /proc says."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{sum(line.startswith('processor') for line in lines)} cores, {model}"


def pictures(folder, count):
    """Photos of 300 x 300 px: a smooth texture with a little noise, as PNG."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :300].astype(np.float32)
    base = 120 + 40 * np.sin(x / 17) * np.cos(y / 23)
    for number in range(count):
        image = base[..., None] + rng.normal(0, 3, (300, 300, 3)) + rng.normal(0, 5)
        path = folder / f"{number}.png"
        path.write_bytes(cv2.imencode(".png", image.clip(0, 255).astype(np.uint8))[1].tobytes())
        yield Sample(path, defective=number % 10 == 0)


def record(number, dice):
    """One part of a line with four stations: 96 % OK, 2.5 % NG, 1.5 % REVIEW."""
    roll = dice.random()
    verdict = Verdict.OK if roll < 0.96 else Verdict.NG if roll < 0.985 else Verdict.REVIEW
    moment = START + number * STEP
    return Record(
        station=f"station {number % 4}",
        verdict=verdict,
        triggered=moment,
        score=roll,
        p_value=1 - roll,
        line="line 1",
        product="plates",
        lot=f"lot {number // 2000}",
        serial=f"S{number:08}",
        types={"crack": 0.9} if verdict is Verdict.NG else {},
        recipe_hash="a" * 64,
        image_hash=f"{number:064x}",
        captured=moment + timedelta(milliseconds=10),
        inferred=moment + timedelta(milliseconds=30),
        signalled=moment + timedelta(milliseconds=31),
    )


def timed(action, runs=RUNS):
    """Median, 99th percentile and worst ms of an action."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        times.append((time.perf_counter() - start) * 1e3)
    worst = {"p99_ms": round(float(np.percentile(times, 99)), 2), "worst_ms": round(max(times), 2)}
    return {"median_ms": round(float(np.median(times)), 2), **worst}


def ingest(store, folder):
    """Samples in, as several products one after the other, and once more when all are there."""
    samples = list(pictures(folder, IMAGES))
    store.add(samples[:10], "warm-up")
    rates, before, start = [], time.process_time(), time.perf_counter()
    for number in range(ROUNDS):
        part = samples[number::ROUNDS]
        start = time.perf_counter()
        done = store.add(part, f"plates {number}", root=folder)
        rates.append(round(done.added / (time.perf_counter() - start)))
    cpu = (time.process_time() - before) / IMAGES * 1e3
    start = time.perf_counter()
    again = store.add(part, f"plates {number}", root=folder)
    return {
        "images": IMAGES,
        "kb_each": round(float(np.mean([sample.path.stat().st_size for sample in samples])) / 1e3),
        "added_per_s": rates,
        "cpu_ms_each": round(cpu, 1),
        "present_per_s": round(again.present / (time.perf_counter() - start)),
        "load_average": round(os.getloadavg()[0], 1),
    }


def inspections(store):
    dice = random.Random(0)
    start = time.perf_counter()
    for first in range(0, ROWS, 10_000):
        store.inspections.record_many([record(number, dice) for number in range(first, first + 10_000)])
    figures = {"rows": ROWS, "loaded_per_s": round(ROWS / (time.perf_counter() - start))}
    store.settle()
    one = iter([record(ROWS + number, dice) for number in range(COMMITS)])
    figures["commit"] = timed(lambda: store.inspections.record(next(one)), COMMITS)
    middle = (START + timedelta(days=15), 0)
    pages = {
        "newest": (Filter(), None),
        "middle of the month": (Filter(), middle),
        "one station": (Filter(station="station 1"), middle),
        "NG": (Filter(verdicts=(Verdict.NG,)), middle),
        "one station, NG or REVIEW": (Filter(station="station 1", verdicts=(Verdict.NG, Verdict.REVIEW)), middle),
        "one station, NG, one day": (
            Filter(
                station="station 1",
                verdicts=(Verdict.NG,),
                since=START + timedelta(days=5),
                until=START + timedelta(days=6),
            ),
            None,
        ),
        "one lot, NG": (Filter(lot="lot 77", verdicts=(Verdict.NG,)), None),
        "one serial number": (Filter(serial="S00000777"), None),
        "a product that is not there": (Filter(product="cups"), None),
        "late (none)": (Filter(late=True), None),
        "type crack": (Filter(type="crack"), None),
    }
    figures["pages"] = {
        name: timed(lambda page=page: store.inspections.page(page[0], page[1], 50)) for name, page in pages.items()
    }
    month = START, START + timedelta(days=31)
    figures["chart, all stations"] = timed(lambda: store.inspections.hourly_yield(*month))
    figures["chart, one station"] = timed(lambda: store.inspections.hourly_yield(*month, "station 1"))
    return figures


def table(figures):
    found, rows = figures["inspections"], figures["ingest"]
    lines = [
        "# What the store costs",
        "",
        f"Measured by `benchmarks/store.py` on {figures['machine']}, {figures['database']}, images on a local disk.",
        f"Other programs used both cores at the same time (load average {rows['load_average']} in the first part).",
        "Times are medians of 20 runs, of 2,000 for a commit.",
        "",
        "| what | measured | goal |",
        "|---|---|---|",
        f"| {rows['images']:,} PNG of 300 x 300 px ({rows['kb_each']} kB): hash, thumbnail, row | "
        f"{min(rows['added_per_s'])} to {max(rows['added_per_s'])} images/s | {WANTED['images_per_s']} |",
        f"| processor time of one image, both cores together | {rows['cpu_ms_each']} ms | |",
        f"| the same again: all are there | {rows['present_per_s']} images/s | |",
        f"| {found['rows']:,} inspections in batches of 10,000 | {found['loaded_per_s']:,} rows/s | |",
        f"| one inspection, committed (p99 {found['commit']['p99_ms']} ms, worst {found['commit']['worst_ms']} ms) | "
        f"{found['commit']['median_ms']} ms | {WANTED['commit_ms']} ms |",
    ]
    for name, page in found["pages"].items():
        lines.append(
            f"| page of 50: {name} (worst {page['worst_ms']} ms) | {page['median_ms']} ms | {WANTED['page_ms']} ms |"
        )
    for name in ("chart, all stations", "chart, one station"):
        lines.append(f"| hourly {name}, a month | {found[name]['median_ms']} ms | {WANTED['chart_ms']} ms |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="an empty database; else a new SQLite file")
    parser.add_argument("--out", type=Path, default=HERE / "store", help="where .json and .md go")
    parser.add_argument("--part", choices=["ingest", "inspections"], help="only this; the rest stays as it is written")
    arguments = parser.parse_args()
    desk = Path(tempfile.mkdtemp(prefix="sightline-benchmark-", dir=Path.cwd()))
    written = arguments.out.with_suffix(".json")
    figures = json.loads(written.read_text()) if arguments.part else {}
    try:
        (desk / "parts").mkdir()
        with Store.open(arguments.url or desk / "store.db", desk / "images") as store:
            figures |= {"machine": machine(), "database": "SQLite" if store.database.is_sqlite else "PostgreSQL"}
            if arguments.part != "inspections":
                figures["ingest"] = ingest(store, desk / "parts")
            if arguments.part != "ingest":
                figures["inspections"] = inspections(store)
    finally:
        shutil.rmtree(desk)
    written.write_text(json.dumps(figures, indent=2) + "\n")
    arguments.out.with_suffix(".md").write_text(table(figures))
    print(table(figures))


if __name__ == "__main__":
    main()
