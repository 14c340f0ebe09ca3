"""The whole line, as it is started: supervisor, station, inspection worker, a PLC on Modbus, and faults."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import SightlineError, SinkError
from sightline.core.signals import ErrorCode
from sightline.line.faults import FAULTS, inject, status_of
from sightline.line.simulation import Setup, Simulation, Sorted, Tally

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def line(
    tmp_path_factory: pytest.TempPathFactory,
    recipe_file: Path,
    draw: Callable[..., Any],
    write: Callable[..., Path],
) -> Iterator[Simulation]:
    folder = tmp_path_factory.mktemp("line")
    for number in range(12):
        write(folder / f"parts/{number:02}.png", draw(number)[0])
    setup = Setup(recipe_file, folder / "parts", folder / "run", per_second=20, deadline_ms=400)
    with Simulation(setup) as simulation:
        simulation.wait_ready()
        yield simulation


def rows(line: Simulation, wanted: set[str]) -> dict[str, tuple[str, str]]:
    """Records by part, once the wanted ones have come from the journal into the database."""
    until = time.monotonic() + 10
    while True:
        with closing(sqlite3.connect(line.setup.folder / "line.db")) as database:
            found = database.execute("SELECT serial, verdict, details FROM inspections WHERE shadow = 0").fetchall()
        kept = {serial: (verdict, details) for serial, verdict, details in found}
        if wanted <= set(kept) or time.monotonic() > until:
            return kept
        time.sleep(0.1)


def test_parts_are_sorted_and_every_one_is_recorded(line: Simulation) -> None:
    line.run(30)
    (tally,) = line.tallies
    assert tally.counts["no answer"] == 0 and tally.counts["OK"] > 20
    kept = rows(line, {part.part_id for part in tally.sorted})
    assert {part.part_id: str(part.verdict) for part in tally.sorted} == {k: v[0] for k, v in kept.items()}


@dataclass
class Shown:
    """What a PLC and the station's port show while a fault lasts, and what the port showed before."""

    before: dict[str, Any]
    status: dict[str, Any]
    parts: list[Sorted]
    lost_frames: float

    @property
    def errors(self) -> set[int]:
        return {part.error for part in self.parts}

    def is_new(self, pid: str) -> bool:
        """Whether that process was replaced, and the station is ready again."""
        return bool(self.status.get("ready")) and self.status[pid] != self.before[pid]


def gives(code: ErrorCode) -> Callable[[Shown], bool]:
    return lambda shown: code in shown.errors


def shows(code: ErrorCode) -> Callable[[Shown], bool]:
    return lambda shown: shown.status.get("error") == code


EFFECTS: dict[str, Callable[[Shown], bool]] = {
    "camera_unplugged": gives(ErrorCode.CAMERA_LOST),
    "camera_silent": gives(ErrorCode.CAMERA_TIMEOUT),
    "camera_frozen": gives(ErrorCode.CAMERA_STALE),
    "picture_late": gives(ErrorCode.CAMERA_TIMEOUT),
    "frame_truncated": gives(ErrorCode.CAMERA_BAD_FRAME),
    "frame_unreadable": gives(ErrorCode.CAMERA_BAD_FRAME),
    "frame_stale": gives(ErrorCode.CAMERA_STALE),
    "frame_wrong_size": gives(ErrorCode.CAMERA_BAD_FRAME),
    "packets_lost": lambda shown: shown.lost_frames > 0,
    "worker_killed": lambda shown: shown.is_new("worker_pid"),
    "worker_hangs": lambda shown: ErrorCode.LATE in shown.errors and shown.is_new("worker_pid"),
    "station_killed": lambda shown: shown.is_new("pid"),
    "station_hangs": lambda shown: shown.is_new("pid"),
    "plc_lost": lambda shown: "the PLC is away" in shown.parts[-1].trouble,
    "database_locked": lambda shown: shown.status.get("records_waiting", 0) > 0 and shown.parts[-1].accepted,
    "disk_full": gives(ErrorCode.RECORD_FAILED),
    "recipe_corrupt": shows(ErrorCode.RECIPE_NOT_USABLE),
    "recipe_replaced": lambda shown: shown.is_new("worker_pid") and shown.parts[-1].accepted,
    "recipe_unknown": shows(ErrorCode.UNKNOWN_RECIPE),
}


def lost_frames(tally: Tally) -> float:
    """How many frames the camera has lost, by the station's metrics."""
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{tally.health}/metrics", timeout=2) as answer:
        found = re.search(r"^sightline_camera_dropped\{.*\} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0
    return 0.0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_its_effect_and_afterwards_the_line_runs_again(line: Simulation, fault: str) -> None:
    (tally,) = line.tallies
    before, first, lost = status_of(tally), len(tally.sorted), lost_frames(tally)
    undo = inject(fault, line, tally)
    try:
        until = time.monotonic() + 40
        while True:
            line.run(2)
            shown = Shown(before, status_of(tally), tally.sorted[first:], lost_frames(tally) - lost)
            if EFFECTS[fault](shown):
                break
            assert time.monotonic() < until, (shown.status, shown.parts[-5:])
    finally:
        undo()
    until = time.monotonic() + 40
    while True:
        line.run(3)
        if tally.sorted[-1].accepted:
            break
        assert time.monotonic() < until, tally.sorted[-1]
    accepted = {part.part_id for part in tally.sorted if part.accepted}
    kept = rows(line, accepted)
    for part in accepted:
        verdict, details = kept[part]
        assert verdict == "OK" and '"frames": []' not in details and '"views": []' not in details


def test_the_status_names_the_processes(line: Simulation) -> None:
    status = status_of(line.tallies[0])
    assert status["pid"] != status["worker_pid"] and status["ready"]


def test_a_plc_that_is_lost_again_and_again_goes_on_feeding(line: Simulation) -> None:
    (tally,) = line.tallies
    for _ in range(5):
        before = len(tally.sorted)
        undo = inject("plc_lost", line, tally)
        line.run(2)
        undo()
        line.run(6)
        assert len(tally.sorted) == before + 8
        assert tally.sorted[-1].accepted or tally.sorted[-2].accepted


def test_a_link_that_is_lost_before_the_acknowledgement_recovers(line: Simulation) -> None:
    (tally,) = line.tallies
    real = tally.plc._acknowledge

    def lost(part_id: str) -> None:
        raise SinkError("the cable was pulled before the acknowledgement")

    tally.plc._acknowledge = lost  # type: ignore[method-assign]
    line.run(1)
    tally.plc._acknowledge = real  # type: ignore[method-assign]
    assert tally.sorted[-1].trouble and not tally.sorted[-1].accepted
    line.run(4)
    assert [part.trouble for part in tally.sorted[-2:]] == ["", ""] and tally.sorted[-1].accepted


def test_a_plc_program_that_fails_is_said(line: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    (tally,) = line.tallies

    def breaks(part_id: str) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(tally.plc, "sort", breaks)
    with pytest.raises(SightlineError, match="a mistake"):
        line.run(1)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_a_simulation_and_shows_its_figures(
    tmp_path: Path, recipe_file: Path, draw: Callable[..., Any], write: Callable[..., Path]
) -> None:
    for number in range(4):
        write(tmp_path / f"parts/{number}.png", draw(number)[0])
    command = [sys.executable, "-m", "sightline", "simulate", "--recipe", recipe_file, "--parts", tmp_path / "parts"]
    command += ["--folder", tmp_path / "run", "--seconds", "300", "--deadline-ms", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not (tmp_path / "run/line.db").exists():
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.1)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        said, trouble = process.communicate(timeout=45)
    assert "station-1: " in said and "parts: OK" in said, trouble
    assert "Traceback" not in trouble
