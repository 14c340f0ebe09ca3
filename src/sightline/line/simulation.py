"""A line without hardware: stations as they really run, a PLC on Modbus, and pictures of parts for the camera."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import SightlineError
from sightline.line.plc import Plc, Sorted
from sightline.line.supervisor import Supervisor

READY_S = 120.0
LAST = 12  # sorted parts that a person is shown

STATION = """name = "{name}"
line = "simulated"
deadline_ms = {deadline_ms}
folder = "{name}"
database = "{database}"
images = "{images}"
threads = {threads}

[[views]]
name = "top"
camera = {{ kind = "fake", images = "{parts}", control = "{control}", repeats_max = 1{camera} }}

[[recipes]]
name = "{recipe_name}"
id = 1
file = "{recipe}"

[controller]
kind = "modbus"
port = {port}

[keep]
ng = {keep}
review = {keep}

[health]
port = {health}
"""


@dataclass(frozen=True)
class Setup:
    """What is simulated: a recipe, a folder with pictures of parts, how many stations, and how fast parts come.

    `keep` says whether pictures of NG and REVIEW parts are kept; `camera` is text that is added to the camera's
    settings, `more` to the stations' files.
    """

    recipe: Path
    parts: Path
    folder: Path
    stations: int = 1
    per_second: float = 5.0
    deadline_ms: float = 100.0
    threads: int = 1
    keep: bool = False
    camera: str = ""
    more: str = ""


@dataclass
class Tally:
    """What one PLC has seen so far."""

    station: str
    port: int
    health: int
    control: Path
    recipe: Path
    plc: Plc
    counts: Counter[str] = field(default_factory=Counter)
    last: deque[Sorted] = field(default_factory=lambda: deque(maxlen=LAST))
    sorted: list[Sorted] = field(default_factory=list)
    late_starts: int = 0

    def note(self, part: Sorted) -> None:
        """Count a part."""
        name = "no answer" if part.trouble else str(part.verdict or "none")
        self.counts[name] += 1
        self.counts["accepted"] += part.accepted
        self.counts["late"] += part.late
        self.last.append(part)
        self.sorted.append(part)

    def figures(self) -> dict[str, Any]:
        """Counts, share of accepted parts, and ms from trigger to verdict as the PLC saw them."""
        times = np.array([part.ms for part in self.sorted if part.ms is not None] or [np.nan])
        parts = len(self.sorted)
        return {
            "station": self.station,
            "parts": parts,
            **{name: self.counts[name] for name in ("OK", "NG", "REVIEW", "none", "no answer", "late", "accepted")},
            "yield": self.counts["accepted"] / parts if parts else None,
            "ms_p50": round(float(np.quantile(times, 0.5)), 2),
            "ms_p99": round(float(np.quantile(times, 0.99)), 2),
            "ms_max": round(float(times.max()), 2),
            "late_starts": self.late_starts,
        }


class Simulation:
    """Stations under a supervisor, and a PLC for each. Use it as a context manager."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        setup.folder.mkdir(parents=True, exist_ok=True)
        self.tallies = [self._prepare(f"station-{number + 1}") for number in range(setup.stations)]
        self.supervisor = Supervisor([setup.folder / f"{tally.station}.toml" for tally in self.tallies])
        self._watching = threading.Thread(target=self.supervisor.run, name="supervisor", daemon=True)
        self._watching.start()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until every PLC sees its station ready. Raises SightlineError."""
        until = time.monotonic() + timeout_s
        for tally in self.tallies:
            while (outputs := tally.plc.look()) is None or not outputs.ready:
                if time.monotonic() > until or not self._watching.is_alive():
                    raise SightlineError(f"{tally.station} did not become ready. Look into {self.setup.folder}")
                time.sleep(0.05)

    def run(self, parts: int) -> None:
        """Have every PLC present so many parts at the setup's takt; returns when all are sorted."""
        lines = [threading.Thread(target=self._feed, args=(tally, parts)) for tally in self.tallies]
        for line in lines:
            line.start()
        for line in lines:
            line.join()

    def close(self) -> None:
        """Stop the stations in order."""
        for tally in self.tallies:
            tally.plc.disconnect()
        self.supervisor.stopping.set()
        self._watching.join(timeout=30)

    def _feed(self, tally: Tally, parts: int) -> None:
        takt_s, start, first = 1 / self.setup.per_second, time.monotonic(), len(tally.sorted)
        for number in range(parts):
            due = start + number * takt_s
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            else:
                tally.late_starts += wait < -takt_s
            tally.note(tally.plc.sort(f"{first + number + 1:06}"))

    def _prepare(self, name: str) -> Tally:
        setup, (port, health) = self.setup, free_ports(2)
        control = setup.folder / f"{name}.fault"
        control.write_text("")
        recipe = setup.folder / f"{name}.onnx"  # of its own, so that a fault of one station is not one of all
        recipe.write_bytes(setup.recipe.read_bytes())
        text = STATION.format(
            name=name, deadline_ms=setup.deadline_ms, threads=setup.threads, port=port, health=health,
            database=(setup.folder / "line.db").resolve(), images=(setup.folder / "images").resolve(),
            parts=setup.parts.resolve(), control=control.resolve(), recipe=recipe.resolve(),
            recipe_name=setup.recipe.stem, keep=str(setup.keep).lower(),
            camera=setup.camera,
        )  # fmt: skip
        (setup.folder / f"{name}.toml").write_text(text + setup.more, encoding="utf-8")
        return Tally(name, port, health, control, recipe, Plc("127.0.0.1", port))


def free_ports(count: int) -> Sequence[int]:
    """Free ports on loopback."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
