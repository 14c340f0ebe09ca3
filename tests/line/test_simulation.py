"""The whole line, as it is started: supervisor, station, judge, a PLC on Modbus, and faults."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sightline.line.faults import FAULTS, inject, status_of
from sightline.line.simulation import Setup, Simulation

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


@pytest.mark.parametrize("fault", ["camera_frozen", "judge_killed", "plc_lost", "disk_full", "station_killed"])
def test_after_a_fault_the_line_runs_again_and_no_ok_was_unearned(line: Simulation, fault: str) -> None:
    (tally,) = line.tallies
    undo = inject(fault, line, tally)
    line.run(10)
    undo()
    until = time.monotonic() + 20
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
    assert status["pid"] != status["judge_pid"] and status["ready"]


def test_there_are_at_least_twelve_kinds_of_faults() -> None:
    assert len(FAULTS) >= 12
