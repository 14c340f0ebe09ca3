"""What so many lines need: processors, memory, disk and network of stations and server, from measured unit costs.

Every unit cost has its source, and can be measured anew on the machine that asks.
"""

from __future__ import annotations

import gzip
import json
import math
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError
from sightline.core.figures import Figures
from sightline.operations.sending import ingest
from sightline.store.entries import FORMAT
from sightline.store.store import Store

ROWS, SMALL_CALLS, BATCH = 2000, 100, 500
EVERY_S = 5.0  # between two batches of a station, unless its file says otherwise
IN_USE = 0.5  # of a processor, so that a part never waits and a server has room to catch up
SQLITE_ROWS, SQLITE_CORES = 50_000_000, 0.5  # a year, and busy: beyond what was measured with SQLite
YEAR_DAYS = 365.0
HTTP_MS = 2.5  # of the server's processor for a batch, beside taking it in (benchmarks/site.md, a thousand stations)
SENT = 10  # records of a batch as stations send them in a short takt


@dataclass(frozen=True, slots=True)
class Cost(Figures):
    """A unit cost, and where it comes from."""

    value: float
    unit: str
    source: str


COSTS: Mapping[str, Cost] = {
    "inspect_ms": Cost(38.4, "processor ms of a picture", "benchmarks/spine.md: 320 x 448 px, 19.2 ms on two threads"),
    "station_mb": Cost(578.3, "MB of a station's processes", "benchmarks/line.md"),
    "row_bytes": Cost(1150, "bytes of a record in the database", "benchmarks/site.md"),
    "wire_bytes": Cost(226, "bytes of a record on the network", "sightline plan --measure"),
    "row_us": Cost(144.2, "processor us of the server for a record", "benchmarks/site.md"),
    "call_ms": Cost(5.8, "processor ms of the server for a batch", "benchmarks/site.md: 7.28 ms with ten records"),
    "server_mb": Cost(276, "MB of server and worker", "benchmarks/web.md: 179 and 97"),
}


@dataclass(frozen=True, slots=True)
class Asked(Figures):
    """Which plant: `lines` with one station each that inspects a part each `takt_s`, `hours` a day, `days` a year.

    `ng` and `review` are shares (0..1) of parts whose pictures are kept and sent, of `picture_mb` each.
    """

    lines: int
    takt_s: float
    hours: float = 16.0
    days: float = 250.0
    ng: float = 0.02
    review: float = 0.02
    picture_mb: float = 1.0
    offline_days: float = 2.0

    @property
    def parts_a_year(self) -> float:
        """Of one line."""
        return self.hours * 3600 * self.days / self.takt_s


@dataclass(frozen=True, slots=True)
class Need(Figures):
    """What one computer needs: `busy` processors on average while the line runs, and `cores` to have."""

    busy: float
    cores: int
    memory_mb: int
    records_gb_a_year: float
    pictures_gb_a_year: float
    network_mbit_s: float


@dataclass(frozen=True, slots=True)
class Plan(Figures):
    """The needs of each station, of the server, and what they rest on."""

    asked: Asked
    rows_a_year: int
    pictures_a_year: int
    station: Need
    offline_mb: float
    server: Need
    database: str
    catch_up_minutes: float
    costs: Mapping[str, Cost] = field(default_factory=dict)


def plan(asked: Asked, *, measure: bool = False, recipe: Path | None = None) -> Plan:
    """What a plant needs. `measure`: the server's unit costs are measured here first, which takes seconds; with
    `recipe`, a picture's as well. Raises InputError for what cannot be.
    """
    if asked.lines < 1 or asked.takt_s <= 0 or not 0 < asked.hours <= 24 or not 0 < asked.days <= YEAR_DAYS + 1:
        raise InputError("give at least one line, a takt above 0 s, up to 24 hours a day and 366 days a year")
    if not (0 <= asked.ng <= 1 and 0 <= asked.review <= 1 and asked.picture_mb >= 0 and asked.offline_days >= 0):
        raise InputError("shares are between 0 and 1, and sizes and days not negative")
    costs = dict(COSTS)
    if measure:
        costs |= measured()
    if recipe is not None:
        costs["inspect_ms"] = inspected(recipe)
    return _reckon(asked, costs)


def _reckon(asked: Asked, costs: Mapping[str, Cost]) -> Plan:
    cost = {name: one.value for name, one in costs.items()}
    rows = asked.parts_a_year * asked.lines
    kept = asked.ng + asked.review
    disk = asked.parts_a_year * cost["row_bytes"] / 1e9, asked.parts_a_year * kept * asked.picture_mb / 1e3
    mbit = (cost["wire_bytes"] + kept * asked.picture_mb * 1e6) * 8 / 1e6 / asked.takt_s
    busy = cost["inspect_ms"] / 1e3 / asked.takt_s
    memory = round(cost["station_mb"])
    station = Need(busy, max(2, math.ceil(busy / IN_USE)), memory, *disk, mbit)
    rate, calls = asked.lines / asked.takt_s, asked.lines * max(1 / EVERY_S, 1 / asked.takt_s / BATCH)
    calls = min(calls, rate)  # a station that inspects less often sends less often
    busy = rate * cost["row_us"] / 1e6 + calls * cost["call_ms"] / 1e3
    sqlite = rows <= SQLITE_ROWS and busy <= SQLITE_CORES
    lines = asked.lines
    memory = round(cost["server_mb"])
    server = Need(busy, max(2, math.ceil(busy / IN_USE)), memory, disk[0] * lines, disk[1] * lines, mbit * lines)
    waited = rate * asked.offline_days * asked.hours * 3600
    per_s = 1e6 / (cost["row_us"] + 1e3 * cost["call_ms"] / BATCH) - rate
    return Plan(
        asked=asked,
        rows_a_year=round(rows),
        pictures_a_year=round(rows * kept),
        station=station,
        offline_mb=asked.offline_days * asked.hours * 3600 / asked.takt_s * cost["row_bytes"] / 1e6,
        server=server,
        database="SQLite" if sqlite else "PostgreSQL",
        catch_up_minutes=waited / per_s / 60 if per_s > 0 else math.inf,
        costs=costs,
    )


def measured(rows: int = ROWS) -> dict[str, Cost]:
    """Unit costs of the server on this machine: a small store is filled as stations fill it."""
    source = f"measured here, {rows} records"
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "site.db") as store:
        batches = [_batch(first, min(BATCH, rows - first), rng) for first in range(0, rows, BATCH)]
        empty, begun = _size(store), time.process_time()
        for batch in batches:
            ingest(store, "plan", batch)
        row_us = (time.process_time() - begun) / rows * 1e6
        row_bytes = (_size(store) - empty) / rows
        small = [_batch(rows + number, 1, rng) for number in range(SMALL_CALLS)]
        begun = time.process_time()
        for batch in small:
            ingest(store, "plan", batch)
        call_ms = (time.process_time() - begun) / SMALL_CALLS * 1e3 - row_us / 1e3
    return {
        "row_bytes": Cost(round(row_bytes), COSTS["row_bytes"].unit, source),
        "wire_bytes": Cost(round(len(_batch(0, SENT, rng)) / SENT), COSTS["wire_bytes"].unit, source),
        "row_us": Cost(round(row_us, 1), COSTS["row_us"].unit, source),
        "call_ms": Cost(round(call_ms + HTTP_MS, 2), COSTS["call_ms"].unit, f"{source}, and {HTTP_MS} ms of HTTP"),
    }


def inspected(recipe: Path, pictures: int = 20) -> Cost:
    """Processor time of a picture by a recipe on this machine. Raises RecipeError."""
    import numpy as np

    from sightline.runtime.inspector import Inspector

    inspector = Inspector(recipe, threads=1)
    size = inspector.card.height, inspector.card.width, 3
    images = [np.random.default_rng(seed).integers(0, 255, size, np.uint8) for seed in range(3)]
    inspector.inspect(images[0])
    begun = time.process_time()
    for number in range(pictures):
        inspector.inspect(images[number % len(images)])
    ms = (time.process_time() - begun) / pictures * 1e3
    return Cost(round(ms, 1), COSTS["inspect_ms"].unit, f"measured here with {recipe.name}")


def _size(store: Store) -> int:
    """Bytes of the database, wherever SQLite has its pages now."""
    with store.database.engine.connect() as connection:
        pages, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size")
        )
        return int(pages) * int(size)


def _batch(first: int, count: int, rng: random.Random) -> bytes:
    """Records as a station of one view sends them, with figures that vary as real ones do."""
    entries = [[first + at + 1, _entry(first + at, rng)] for at in range(count)]
    head: dict[str, Any] = {"format": FORMAT, "instance": "plan", "journal": "plan", "version": "", "waiting": 0}
    head |= {"sent": time.time(), "first": first + 1, "through": first + count, "entries": entries}
    return gzip.compress(json.dumps(head).encode(), 1)


def _entry(number: int, rng: random.Random) -> dict[str, Any]:
    at, score, draw = 1.7e9 + number * 0.5 + rng.random() * 0.01, rng.random() * 3, rng.random
    verdict = "NG" if draw() < 0.02 else "REVIEW" if draw() < 0.02 else "OK"
    times = {name: round(draw() * 30, 3) for name in ("grab", "inspect", "record", "signal", "total")}
    seen = {name: round(draw(), 4) for name in ("light", "contrast", "sharpness", "x", "y", "turn")}
    defects = (
        [{"type": "stain", "box": [round(draw() * 500) for _ in range(4)], "score": score}] if verdict != "OK" else []
    )
    view = {
        "view": "top", "verdict": verdict, "score": score, "p_value": draw(), "recipe_hash": "a" * 64,
        "defects": defects,
        "times_ms": {"read": times["grab"], "run": times["inspect"]}, "warnings": [], "reason": "",
        "ood_distance": draw(), "size": [640, 480], "appearance": seen,
    }  # fmt: skip
    return {
        "kind": "part", "key": f"plan-{round(at * 1e6)}", "station": "plan", "line": "line 1", "product": "plates",
        "lot": "L1", "serial": f"S{number:08}", "triggered": at, "captured": at + draw() / 50, "verdict": verdict,
        "score": score, "p_value": view["p_value"], "types": {}, "grade": None, "recipe_hash": "a" * 64,
        "inferred": at + 0.03, "signalled": at + 0.04, "late": False, "error": None, "shadow": False,
        "details": {"recipe": "plates", "mode": "production", "purpose": "production", "source": "", "frames": [number],
                    "stages_ms": times, "views": [view]},
    }  # fmt: skip
