"""What the web API costs over a million inspections in SQLite, and idle. Writes web.json and web.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
from sqlalchemy import insert

from sightline.core.result import Verdict
from sightline.operations import people
from sightline.store.store import Store
from sightline.store.tables.line import HourRow, InspectionRow, JobRow, ReviewRow

HERE = Path(__file__).parent
ROWS, RUNS, WANTED_MS = 1_000_000, 40, 50
START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = timedelta(days=30) / ROWS  # a month
NAME, PASSWORD = "ann", "a long password"
DAY = {"since": "2026-03-15T00:00:00Z", "until": "2026-03-16T00:00:00Z"}
ROUTES = {
    "inspections": ("/inspections", {}),
    "inspections, 500": ("/inspections", {"limit": 500}),
    "of a verdict": ("/inspections", {"verdict": "NG"}),
    "of two verdicts and a station": ("/inspections", {"verdict": ["NG", "REVIEW"], "station": "station 1"}),
    "of a lot": ("/inspections", {"lot": "lot 200"}),
    "of a serial": ("/inspections", {"serial": "S00123456"}),
    "of a day": ("/inspections", DAY),
    "late ones (there are none)": ("/inspections", {"late": True}),
    "a product and a type": ("/inspections", {"product": "plates", "type": "crack", "verdict": "NG"}),
    "reviews": ("/reviews", {}),
    "open reviews": ("/reviews", {"state": "open"}),
    "jobs": ("/jobs", {}),
    "audit": ("/audit", {}),
    "users": ("/users", {}),
    "recipes": ("/recipes", {}),
    "versions": ("/versions", {}),
    "products": ("/products", {}),
    "samples": ("/samples", {}),
    "stations": ("/stations", {}),
    "hours of a month": ("/statistics/hours", {"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"}),
    "stations of a month": ("/statistics/stations", {"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"}),
    "lots of a day": ("/statistics/lots", DAY),
    "p-chart of a month": ("/statistics/p-chart", {"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"}),
    "p-chart of the lots of a day": ("/statistics/p-chart", {**DAY, "subgroup": "lot"}),
    "places of defects, a month": (
        "/statistics/places",
        {"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"},
    ),
    "latency of a day": ("/statistics/latency", DAY),
    "latency of two days, a station": (
        "/statistics/latency",
        {"since": "2026-03-15T00:00:00Z", "until": "2026-03-17T00:00:00Z", "station": "station 1"},
    ),
    "inspections as CSV": ("/inspections.csv", {"lot": "lot 200"}),
    "what waits for review": ("/reviews/summary", {}),
    "a part in review": ("/reviews/5000/part", {}),
    "types of a month": ("/statistics/types", {"since": "2026-03-01T00:00:00Z", "until": "2026-04-01T00:00:00Z"}),
}
LISTS = [name for name, (path, _) in ROUTES.items() if not path.startswith("/statistics")]
WANTED_FIGURES_MS = 300


def row(number, dice):
    """One part of a line with four stations: 96 % OK, 2.5 % NG, 1.5 % REVIEW."""
    verdict = Verdict.OK if dice < 0.96 else Verdict.NG if dice < 0.985 else Verdict.REVIEW
    moment = START + number * STEP
    return {
        "station": f"station {number % 4}", "verdict": str(verdict), "triggered": moment, "score": dice,
        "p_value": dice, "product": "plates", "lot": f"lot {number // 2000}", "serial": f"S{number:08}",
        "line": "line 1", "types": {"crack": 0.9} if verdict is Verdict.NG else {},
        "details": found(number) if verdict is not Verdict.OK else {},
        "signalled": moment + timedelta(milliseconds=40 + 20 * dice),
        "image_hash": f"{number:064x}", "late": False, "shadow": False, "key": f"k{number}",
    }  # fmt: skip


def found(number):
    """What a station records of a view with a defect, whose outline has 40 points."""
    x, y = number % 600, number % 400
    contour = [[x + step, y + step] for step in range(40)]
    defect = {"type": "crack", "score": 2.5, "box": [x, y, 40, 40], "area_px": 800.0, "contour": contour}
    return {"mode": "production", "views": [{"view": "view", "size": [640, 480], "score": 2.5, "defects": [defect]}]}


def fill(store):
    """A month of a line, ten thousand reviews, a thousand jobs and as many lines of audit."""
    dice, counts = np.random.default_rng(0).random(ROWS), {}
    for first in range(0, ROWS, 20_000):
        rows = [row(number, float(dice[number])) for number in range(first, first + 20_000)]
        for one in rows:
            hour = int((one["triggered"].timestamp()) // 3600)
            key = hour, one["station"], one["verdict"]
            counts[key] = counts.get(key, 0) + 1
        with store.database.recording() as connection:
            connection.execute(insert(InspectionRow), rows)
    hours = [{"hour": h, "station": s, "verdict": v, "count": count} for (h, s, v), count in sorted(counts.items())]
    many = {"types": [], "note": "", "created": START, "purpose": "review"}
    reviews = [
        {"inspection_id": n + 1, "reason": "near", "priority": n % 7, "state": "open", **many} for n in range(10_000)
    ]
    jobs = [{"kind": "train", "arguments": {}, "state": "done", "author": NAME, "created": START} for _ in range(1000)]
    with store.database.recording() as connection:
        connection.execute(insert(HourRow), hours)
        connection.execute(insert(ReviewRow), reviews)
        connection.execute(insert(JobRow), jobs)
    for number in range(1000):
        store.audit.note(NAME, "test", f"thing {number}")
    store.settle()


def first_byte(client, path, query, server):
    """Median, 99th percentile and worst ms from the request to the first byte of its answer's body.

    And ms of processor time that the server spent on each: other load of the machine hardly changes that.
    """
    times, spent = [], cpu_s(server)
    for _ in range(RUNS):
        start = time.perf_counter()
        with client.stream("GET", path, params=query) as answer:
            chunks = answer.iter_raw()
            begun = next(chunks)
            times.append((time.perf_counter() - start) * 1e3)
            assert answer.status_code == 200, (path, begun)
            deque(chunks, maxlen=0)  # to its end: what is left of one answer would stand in the way of the next
    return {
        "median_ms": round(float(np.median(times)), 1),
        "p99_ms": round(float(np.percentile(times, 99)), 1),
        "worst_ms": round(max(times), 1),
        "cpu_ms": round((cpu_s(server) - spent) / RUNS * 1e3, 1),
    }


def cpu_s(pid):
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid):
    """Resident memory of a process, in MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024)


def idle(pids, seconds=20):
    """Memory and share of one core of processes that nobody asks for anything."""
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    return {
        name: {"mb": memory_mb(pid), "cpu_percent": round((cpu_s(pid) - before[name]) / seconds * 100, 2)}
        for name, pid in pids.items()
    }


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        database = Path(folder) / "store.db"
        start = time.perf_counter()
        with Store.open(database) as store:
            fill(store)
            people.set_up(store, NAME, PASSWORD)
        filled_s = time.perf_counter() - start
        command = [sys.executable, "-m", "sightline", "serve", "--port", "0", "--db", str(database)]
        process = subprocess.Popen([*command, "--set", f"folder={folder}/work"], stderr=subprocess.PIPE, text=True)
        try:
            url = ""
            while not url:  # the worker may speak first
                url = process.stderr.readline().partition(" is on ")[2].strip()
            client = httpx.Client(base_url=url + "/api/v1", timeout=60)
            for _ in range(100):
                try:
                    assert client.post("/session", json={"name": NAME, "password": PASSWORD}).status_code == 201
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            time.sleep(5)
            found = subprocess.run(
                ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
            ).stdout
            resting = idle({"server": process.pid, "worker": int(found.split()[0])})
            figures = {name: first_byte(client, *route, process.pid) for name, route in ROUTES.items()}
            after = memory_mb(process.pid)
        finally:
            process.terminate()
            process.wait(30)
    result = {
        "rows": ROWS, "filled_s": round(filled_s), "load_average": round(os.getloadavg()[0], 1), "first_byte": figures,
        "idle": resting, "server_mb_after": after,
        "slow_lists": [name for name in LISTS if figures[name]["median_ms"] > WANTED_MS],
        "slow_figures": [name for name in ROUTES if figures[name]["median_ms"] > WANTED_FIGURES_MS],
    }  # fmt: skip
    (HERE / "web.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "web.md").write_text(page(result))
    print(page(result))


def page(result):
    """The figures as a readable table."""
    lines = [
        "# The web API",
        "",
        f"`python benchmarks/web.py`: {result['rows']:,} inspections in SQLite, a request at a time over loopback, the "
        f"session's cookie checked. Wanted: the first byte of a list within {WANTED_MS} ms, of figures within "
        f"{WANTED_FIGURES_MS}. Load average of the two cores: {result['load_average']}.",
        "",
        "| request | median, ms | p99, ms | worst, ms | processor time of the server, ms |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {one['median_ms']} | {one['p99_ms']} | {one['worst_ms']} | {one['cpu_ms']} |"
            for name, one in result["first_byte"].items()
        ),
        "",
        "Idle: "
        + "; ".join(f"{name} {one['mb']} MB, {one['cpu_percent']} % of a core" for name, one in result["idle"].items())
        + f". The server after all of this: {result['server_mb_after']} MB.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
