"""The supervisor: a process per station, watched, and started again where it dies or hangs."""

from __future__ import annotations

import ctypes
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from sightline.core.errors import SettingError, SightlineError
from sightline.line.budget import RestartBudget
from sightline.line.processes import STATION, context_for
from sightline.line.settings import StationSettings, read_station

BEAT_S = 2.0  # a station that gives no sign of life for so long, and a deadline more, is started again
START_S = 150.0  # loading recipes and opening cameras may take longer
STOP_S = 10.0
POLL_S = 0.2
LOG = logging.getLogger("sightline.line.supervisor")


def work(path: str, stop: Connection, beat: ctypes.c_double) -> None:
    """The station's process; it ends in order when `stop` closes, as it does when the supervisor is killed."""
    from sightline.line.gear import open_gear
    from sightline.line.log import open_log
    from sightline.line.port import open_port
    from sightline.line.station import Station

    stopping = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor stops its stations in order
    signal.signal(signal.SIGTERM, end)  # which a service manager sends to all processes
    settings = read_station(path)
    open_log(settings.name, settings.folder)

    def alive() -> None:
        beat.value = time.monotonic()

    try:
        gear = open_gear(settings)
    except SightlineError as error:
        LOG.error("station %s cannot start: %s", settings.name, error, extra={"cause": str(error)})
        sys.exit(1)
    station = Station(settings, gear, alive, stopping)
    try:
        port = open_port(station)
    except (SightlineError, OSError) as error:
        LOG.error("station %s cannot start: its port: %s", settings.name, error, extra={"cause": str(error)})
        gear.close()
        sys.exit(1)
    threading.Thread(target=_stop_when, args=(stop, stopping), name="stop", daemon=True).start()
    try:
        station.run()
    finally:
        port.close()


def _stop_when(stop: Connection, stopping: threading.Event) -> None:
    with suppress(EOFError, OSError):
        stop.recv()  # nothing is ever sent: it ends with the other side
    stopping.set()


@dataclass
class Watched:
    """One station's process, its last sign of life, and how often it may still be started."""

    path: Path
    settings: StationSettings
    process: BaseProcess
    stop: Connection
    beat: ctypes.c_double
    budget: RestartBudget = field(default_factory=RestartBudget)
    started: float = field(default_factory=time.monotonic)
    given_up: bool = False

    @property
    def hangs(self) -> bool:
        """Whether it is there and gives no sign of life."""
        now = time.monotonic()
        first = self.beat.value < self.started
        return (
            now - self.started > START_S if first else now - self.beat.value > BEAT_S + self.settings.deadline_ms / 1e3
        )


class Supervisor:
    """Runs stations until it is told to stop; the settings of all are read first, so that a slip stops none later."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._context = context_for(STATION)
        self.stopping = threading.Event()
        settings = [read_station(path) for path in paths]
        check_apart(settings)
        self.stations = [self._start(Path(path), one) for path, one in zip(paths, settings, strict=True)]

    def run(self) -> bool:
        """Watch until `stopping` is set or no station is left; whether all ended in order."""
        while not self.stopping.wait(POLL_S) and not all(one.given_up for one in self.stations):
            for station in self.stations:
                self._look_after(station)
        fine = not any(one.given_up for one in self.stations)
        self.stop()
        return fine

    def stop(self) -> None:
        """End all stations: in order where they can, by force after `STOP_S`."""
        for station in self.stations:
            station.stop.close()
        until = time.monotonic() + STOP_S
        for station in self.stations:
            station.process.join(max(0.1, until - time.monotonic()))
            if station.process.is_alive():
                LOG.error("station %s did not end within %.0f s and was killed", station.settings.name, STOP_S)
                station.process.kill()
                station.process.join(1.0)

    def _start(self, path: Path, settings: StationSettings) -> Watched:
        # Nothing with a lock: a station that is killed or stopped while it holds one would stop the supervisor, too.
        theirs, stop = self._context.Pipe(duplex=False)
        beat = self._context.RawValue(ctypes.c_double, 0.0)
        # Not a daemon: it has a process of its own, the judge.
        process = self._context.Process(  # type: ignore[attr-defined]
            target=work, args=(str(path), theirs, beat), name=f"station {settings.name}"
        )
        process.start()
        theirs.close()
        return Watched(path, settings, process, stop, beat)

    def _look_after(self, station: Watched) -> None:
        if station.given_up:
            return
        if station.process.is_alive() and not station.hangs:
            return
        if station.process.is_alive():
            LOG.error("station %s gives no sign of life and is started again", station.settings.name)
            station.process.kill()
            station.process.join(1.0)
        else:
            LOG.error("station %s has gone (exit code %s)", station.settings.name, station.process.exitcode)
        if not station.budget.spend():
            station.given_up = True
            LOG.error("station %s failed too often within a minute and is left off", station.settings.name)
            return
        station.stop.close()
        anew = self._start(station.path, station.settings)
        station.process, station.stop, station.beat, station.started = (
            anew.process, anew.stop, anew.beat, anew.started,
        )  # fmt: skip


def check_apart(stations: Sequence[StationSettings]) -> None:
    """Raises SettingError where two stations have one name or one folder."""
    for what, names in (
        ("name", [station.name for station in stations]),
        ("folder", [str(station.folder) for station in stations]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise SettingError(f"two stations have the {what} {twice}. Give each its own")
