"""Faults by name, for trials: what goes wrong in a factory, done to a simulated line for as long as it is wanted."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sightline.core.errors import SettingError
from sightline.line.simulation import Simulation, Tally

Undo = Callable[[], None]


def inject(name: str, simulation: Simulation, tally: Tally) -> Undo:
    """Begin a fault at one station; the result ends it. Raises SettingError for a name that is none of FAULTS."""
    if name not in FAULTS:
        raise SettingError(f"no fault is called {name!r}. Choose one of: {', '.join(FAULTS)}")
    return FAULTS[name](simulation, tally)


def _camera(fault: str) -> Callable[[Simulation, Tally], Undo]:
    def begin(simulation: Simulation, tally: Tally) -> Undo:
        tally.control.write_text(fault)
        return lambda: (tally.control.write_text(""), None)[1]

    return begin


def _nothing() -> None:
    """A killed process is not brought back by whoever killed it."""


def _kill(which: str) -> Callable[[Simulation, Tally], Undo]:
    def begin(simulation: Simulation, tally: Tally) -> Undo:
        _send(status_of(tally).get(which), signal.SIGKILL)
        return _nothing

    return begin


def _stop(which: str) -> Callable[[Simulation, Tally], Undo]:
    def begin(simulation: Simulation, tally: Tally) -> Undo:
        pid = status_of(tally).get(which)
        _send(pid, signal.SIGSTOP)
        return lambda: _send(pid, signal.SIGCONT)

    return begin


def _plc_lost(simulation: Simulation, tally: Tally) -> Undo:
    """The cable between PLC and station is pulled; the PLC plugs it in by itself with its next part."""
    tally.plc.away = True
    tally.plc.disconnect()

    def back() -> None:
        tally.plc.away = False

    return back


def _database_locked(simulation: Simulation, tally: Tally) -> Undo:
    connection = sqlite3.connect(simulation.setup.folder / "line.db", timeout=5, check_same_thread=False)
    connection.isolation_level = None
    connection.execute("BEGIN EXCLUSIVE")

    def release() -> None:
        connection.execute("ROLLBACK")
        connection.close()

    return release


def _disk_full(simulation: Simulation, tally: Tally) -> Undo:
    """No file of the station may grow: what a full disk looks like to it, without filling the disk of everybody."""
    pid = status_of(tally).get("pid")
    if not isinstance(pid, int):
        return _nothing
    with suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))

    def free() -> None:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))

    return free


def _recipe_corrupt(simulation: Simulation, tally: Tally) -> Undo:
    """The station's copy of its recipe is damaged, and the inspection worker has to load it again."""
    (copy,) = (simulation.setup.folder / tally.station / "recipes").glob("*.onnx")
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    _send(status_of(tally).get("worker_pid"), signal.SIGKILL)

    def restore() -> None:
        copy.write_bytes(whole)
        tally.plc.reset()

    return restore


def _recipe_replaced(simulation: Simulation, tally: Tally) -> Undo:
    """Another file lies where the recipe was, and the inspection worker starts again: it loads the station's copy."""
    whole = tally.recipe.read_bytes()
    tally.recipe.write_bytes(b"another recipe")
    _send(status_of(tally).get("worker_pid"), signal.SIGKILL)
    return lambda: (tally.recipe.write_bytes(whole), None)[1]


def _unknown_recipe(simulation: Simulation, tally: Tally) -> Undo:
    tally.plc.requested = 99

    def back() -> None:
        tally.plc.requested = 1

    return back


FAULTS: dict[str, Callable[[Simulation, Tally], Undo]] = {
    "camera_unplugged": _camera("disconnected"),
    "camera_silent": _camera("timeout"),
    "camera_frozen": _camera("frozen"),
    "picture_late": _camera("late"),
    "frame_truncated": _camera("incomplete"),
    "frame_unreadable": _camera("unreadable"),
    "frame_stale": _camera("stale"),
    "frame_wrong_size": _camera("size"),
    "packets_lost": _camera("lost"),
    "worker_killed": _kill("worker_pid"),
    "worker_hangs": _stop("worker_pid"),
    "station_killed": _kill("pid"),
    "station_hangs": _stop("pid"),
    "plc_lost": _plc_lost,
    "database_locked": _database_locked,
    "disk_full": _disk_full,
    "recipe_corrupt": _recipe_corrupt,
    "recipe_replaced": _recipe_replaced,
    "recipe_unknown": _unknown_recipe,
}


def status_of(tally: Tally) -> dict[str, Any]:
    """What the station says on its own port; empty where it says nothing."""
    with (
        suppress(OSError, ValueError),
        urllib.request.urlopen(  # loopback, and a port of our own
            f"http://127.0.0.1:{tally.health}/status", timeout=1
        ) as answer,
    ):
        told: dict[str, Any] = json.load(answer)
        return told
    return {}


def _send(pid: object, number: signal.Signals) -> None:
    if isinstance(pid, int):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
