"""A line without hardware: stations as they really run, and a simulated PLC on Modbus for each."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import SightlineError, SinkError
from sightline.core.result import Verdict
from sightline.core.signals import ErrorCode
from sightline.devices.sinks.handshake import VERDICTS, Inputs, Outputs
from sightline.devices.sinks.modbus import ModbusMemory
from sightline.devices.sinks.registers import OUTPUTS, read_outputs, write_inputs
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
review_ng = {review_ng}

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
POLL_S = 0.001
TIMEOUT_S = 2.0
NAMES = {number: verdict for verdict, number in VERDICTS.items()}
LOG = logging.getLogger("sightline.line.simulation")


@dataclass(frozen=True)
class Setup:
    """What is simulated: a recipe, a folder with pictures of parts, how many stations, and how fast parts come.

    `keep` says whether pictures of NG and REVIEW parts are kept, `review_ng` about which share of NG parts people are
    asked; `camera` is text that is added to the camera's settings, `more` to the stations' files.
    """

    recipe: Path
    parts: Path
    folder: Path
    stations: int = 1
    per_second: float = 5.0
    deadline_ms: float = 100.0
    threads: int = 1
    keep: bool = False
    review_ng: float = 0.0
    camera: str = ""
    more: str = ""


@dataclass
class Tally:
    """What one PLC has counted so far."""

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
        self.stopping = threading.Event()
        self._run = f"{int(time.time()):x}"  # part ids of one run are none of another's
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
                if outputs is not None and outputs.station_error == ErrorCode.CANNOT_START:
                    raise SightlineError(f"{tally.station} cannot start. Its log in {self.setup.folder} says why")
                if time.monotonic() > until or not self._watching.is_alive():
                    raise SightlineError(f"{tally.station} did not become ready. Look into {self.setup.folder}")
                time.sleep(0.05)

    def run(self, parts: int) -> None:
        """Have every PLC present so many parts at the setup's takt; returns when all are sorted, or at `stopping`.

        Raises SightlineError where a PLC's program failed: parts that were not presented are no result.
        """
        failed: list[str] = []
        lines = [
            threading.Thread(target=self._feed, args=(tally, parts, failed), daemon=True) for tally in self.tallies
        ]
        for line in lines:
            line.start()
        for line in lines:
            line.join()
        if failed:
            raise SightlineError(failed[0])

    def close(self) -> None:
        """Stop feeding, then the stations in order."""
        self.stopping.set()
        for tally in self.tallies:
            tally.plc.disconnect()
        self.supervisor.stopping.set()
        self._watching.join(timeout=30)

    def _feed(self, tally: Tally, parts: int, failed: list[str]) -> None:
        try:
            self._present(tally, parts)
        except Exception as error:
            LOG.exception("the PLC of %s failed", tally.station)
            failed.append(f"the PLC of {tally.station} failed after {len(tally.sorted)} parts: {error}")

    def _present(self, tally: Tally, parts: int) -> None:
        takt_s, start, first = 1 / self.setup.per_second, time.monotonic(), len(tally.sorted)
        for number in range(parts):
            due = start + number * takt_s
            wait = due - time.monotonic()
            if self.stopping.wait(max(0.0, wait)):
                return
            tally.late_starts += wait < -takt_s
            tally.note(tally.plc.sort(f"{self._run}-{first + number + 1:06}"))

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
            recipe_name=setup.recipe.stem, keep=str(setup.keep).lower(), review_ng=setup.review_ng,
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


@dataclass(frozen=True, slots=True)
class Sorted:
    """What the PLC did with a part: `accepted` only with a valid OK in time; `ms` from trigger to valid, as it saw it.

    `trouble` says in words why there was no answer; "" where there was one.
    """

    part_id: str
    verdict: Verdict | None
    accepted: bool
    valid: bool
    late: bool
    error: int
    ms: float | None
    trouble: str = ""


class Plc:
    """A PLC's program for trials: raise the trigger, wait for the verdict, acknowledge, sort the part.

    It is connected to the station at `host`:`port` whenever it can be, and speaks the registers of a real one
    (docs/how-to/sinks/modbus.md).
    """

    def __init__(self, host: str, port: int, patience_s: float = 0.5) -> None:
        self._where, self._patience_s = (host, port), patience_s
        self._memory: ModbusMemory | None = None
        self._lock = threading.RLock()  # whoever looks, resets or pulls the cable does so between two exchanges
        self._beat = 0
        self._recipe_id = 0
        self.away = False  # for trials: the cable is pulled
        self.requested: int | None = None  # for trials: a recipe to request before the next part

    def sort(self, part_id: str) -> Sorted:
        """Have one part inspected and decide where it goes; whatever is unclear is rejected."""
        start = time.monotonic()
        requested, self.requested = self.requested, None
        if requested is not None:
            self.change_over(requested, self._patience_s)
        try:
            if (left := self._read()).valid:
                # The link was lost before its acknowledgement: that part was sorted out long ago, and the result goes.
                self._acknowledge(left.part_id)
            self._until(lambda outputs: outputs.ready, self._patience_s, "the station was not ready")
            triggered = time.monotonic()
            self._write(trigger=True, part_id=part_id)
            told = self._until(
                lambda outputs: outputs.valid and outputs.part_id == part_id, self._patience_s, "no answer"
            )
            ms = (time.monotonic() - triggered) * 1e3
            self._acknowledge(part_id)
        except (SinkError, OSError) as error:
            self.disconnect()
            return Sorted(part_id, None, False, False, False, 0, None, str(error) or type(error).__name__)
        except TimeoutError as error:
            with suppress(SinkError, OSError):
                self._write()
            waited = (time.monotonic() - start) * 1e3
            return Sorted(part_id, None, False, False, False, 0, None, f"{error} for {waited:.0f} ms")
        verdict = NAMES.get(told.verdict)
        accepted = verdict is Verdict.OK and told.inspected and not told.late and not told.error
        return Sorted(part_id, verdict, accepted, told.inspected, told.late, told.error, ms)

    def change_over(self, recipe_id: int, timeout_s: float = 2.0) -> float | None:
        """Request a recipe; the milliseconds until the station has it, None where it has not."""
        start = time.monotonic()
        try:
            self._recipe_id = recipe_id
            self._write(recipe_request=True)
            self._until(lambda outputs: outputs.recipe_done, timeout_s, "no changeover")
            self._write()
        except (SinkError, OSError, TimeoutError):
            return None
        return (time.monotonic() - start) * 1e3

    def reset(self) -> None:
        """Clear the station's error."""
        with suppress(SinkError, OSError):
            self._write(reset=True)
            time.sleep(0.01)
            self._write()

    def look(self) -> Outputs | None:
        """What the station says now; None where it cannot be reached."""
        try:
            return self._read()
        except (SinkError, OSError):
            self.disconnect()
            return None

    def disconnect(self) -> None:
        """Let go of the connection; the next part opens it again."""
        with self._lock:
            memory, self._memory = self._memory, None
            if memory is not None:
                with suppress(SinkError, OSError):
                    memory.close()

    def _acknowledge(self, part_id: str) -> None:
        self._write(acknowledge=True, part_id=part_id)
        self._until(lambda outputs: not outputs.valid, self._patience_s, "the acknowledgement was not taken")
        self._write()

    def _connected(self) -> ModbusMemory:
        if self.away:
            raise SinkError("the PLC is away. Plug it in again")
        if self._memory is None:
            # A PLC reads what the station writes, at 100, and writes what the station reads, at 0.
            self._memory = ModbusMemory(*self._where, unit=1, inputs=100, outputs=0, timeout_s=TIMEOUT_S)
            self._write()
        return self._memory

    def _read(self) -> Outputs:
        with self._lock:
            return read_outputs(self._connected().read(OUTPUTS))

    def _write(self, part_id: str = "", **levels: bool) -> None:
        with self._lock:
            memory = self._connected()
            self._beat = (self._beat + 1) % 0x10000
            inputs = Inputs(heartbeat=self._beat, recipe_id=self._recipe_id, part_id=part_id, **levels)
            memory.write(0, write_inputs(inputs))

    def _until(self, holds: Callable[[Outputs], bool], timeout_s: float, otherwise: str) -> Outputs:
        until = time.monotonic() + timeout_s
        while True:
            outputs = self._read()
            if holds(outputs):
                return outputs
            if time.monotonic() > until:
                raise TimeoutError(f"{otherwise} (error {outputs.error})" if outputs.error else otherwise)
            time.sleep(POLL_S)
