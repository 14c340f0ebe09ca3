"""The supervisor: two processes per station, watched, and started again where they die or hang.

One is the station, the other its watchdog, which holds the machine's link and outlives it.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.heap import BufferWrapper
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import send_handle
from pathlib import Path
from types import FrameType

from sightline.core.errors import SettingError, SightlineError
from sightline.core.signals import ErrorCode, Status
from sightline.line.machine import Opening, Remote
from sightline.line.pilot import Pilot
from sightline.line.processes import STATION_MODULES, Heartbeat, Hold, RestartBudget, context_for, open_log
from sightline.line.settings import StationSettings, read_station
from sightline.line.watchdog import keep_watch

BEAT_S = 2.0  # a station that gives no sign of life for so long, and a deadline more, is started again
START_S = 150.0  # loading recipes and opening cameras may take longer
STOP_S = 10.0
WATCHDOG_S = 5.0  # a watchdog that gives no sign of life for so long is started again, and its station with it
POLL_S = 0.2
RETRY_S = 10.0
LOOK_S = 0.2
LOG = logging.getLogger("sightline.line.supervisor")


def work(path: str, stop: Connection, memory: BufferWrapper, pipe: Connection) -> None:
    """The station's process; it ends in order when `stop` closes, as it does when the supervisor is killed."""
    from sightline.line.devices import open_devices
    from sightline.line.port import open_early, open_port
    from sightline.line.station import Station

    stopping = threading.Event()
    heartbeat = Heartbeat(memory)

    def end(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor stops its stations in order
    signal.signal(signal.SIGTERM, end)  # which a service manager sends to all processes
    try:
        settings = read_station(path)
    except SettingError as error:
        LOG.error("%s", error)
        sys.exit(1)
    open_log(settings.name, settings.folder)
    threading.Thread(target=_stop_when, args=(stop, stopping), name="stop", daemon=True).start()

    machine = Remote(pipe, stopping.set)
    state, port, devices = ["starting"], None, None
    while devices is None and not stopping.is_set():
        try:
            port = port or open_early(settings, lambda: state[0])
            devices = open_devices(settings, machine)
        except (SightlineError, OSError) as error:
            why = f"cannot start: {error}"
            if why != state[0]:
                LOG.error("station %s %s", settings.name, why, extra={"cause": str(error)})
            state[0] = why
            stand_by(settings, why, machine, stopping, heartbeat.beat)
            with suppress(SettingError):
                if read_station(path) != settings:
                    LOG.info("station %s: its settings have changed, and it is restarted", settings.name)
                    sys.exit(0)
            heartbeat.beat(START_S)  # the next attempt may take as long as the first
    if devices is None or port is None:
        return
    station = Station(settings, devices, heartbeat.beat, stopping)
    open_port(station, port)
    try:
        station.run()
    finally:
        port.close()


def _stop_when(stop: Connection, stopping: threading.Event) -> None:
    with suppress(EOFError, OSError):
        stop.recv()  # nothing is ever sent: it ends with the other side
    stopping.set()


def stand_by(
    settings: StationSettings, why: str, machine: Remote, stopping: threading.Event, beat: Callable[[], None]
) -> None:
    """Tell the machine for `RETRY_S` why the station cannot start; the watchdog answers every trigger with NG.

    Where it is the controller that cannot be opened, only the port and the log can say it.
    """
    until = time.monotonic() + RETRY_S
    hold = None
    pilot = Pilot(settings).on
    status = Status(error=int(ErrorCode.CANNOT_START), pilot=pilot, reason=why)
    try:
        with suppress(SightlineError, OSError):
            hold = Hold(settings.folder)  # else another station is at work with this machine
            machine.open(Opening.of(settings, pilot))
        while not stopping.is_set() and time.monotonic() < until:
            beat()
            if hold is not None:
                machine.show(status)
            stopping.wait(LOOK_S)
    finally:
        if hold is not None:
            hold.close()


class Link:
    """One station's watchdog process."""

    def __init__(self, context: BaseContext, name: str) -> None:
        theirs, self._control = context.Pipe(duplex=True)
        self._heartbeat, self._started = Heartbeat(), time.monotonic()
        self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=keep_watch, args=(theirs, self._heartbeat.memory), name=f"watchdog {name}"
        )
        self.process.start()
        theirs.close()

    @property
    def works(self) -> bool:
        """Whether it is there and gives signs of life."""
        silent_s = time.monotonic() - max(self._heartbeat.last_s, self._started)
        return self.process.is_alive() and silent_s < (WATCHDOG_S if self._heartbeat.last_s else START_S)

    def join(self, context: BaseContext) -> Connection:
        """A station's end of a new pipe to it. Raises OSError where it has gone."""
        ours, theirs = context.Pipe(duplex=True)
        try:
            send_handle(self._control, theirs.fileno(), self.process.pid)
        finally:
            theirs.close()
        return ours

    def end(self) -> None:
        """Have it end once its station has."""
        self._control.close()


@dataclass
class Watched:
    """One station's processes, the last sign of life, and how often it may still be started."""

    path: Path
    settings: StationSettings
    link: Link
    process: BaseProcess
    stop: Connection
    heartbeat: Heartbeat
    budget: RestartBudget = field(default_factory=RestartBudget)
    started: float = field(default_factory=time.monotonic)
    given_up: bool = False

    @property
    def hangs(self) -> bool:
        """Whether it is there and gives no sign of life."""
        now = time.monotonic()
        if self.heartbeat.last_s < self.started:
            return now - self.started > START_S
        return now - self.heartbeat.last_s > BEAT_S + self.settings.deadline_ms / 1e3


class Supervisor:
    """Runs stations until it is told to stop; the settings of all are read first, so that a slip stops none later."""

    def __init__(self, paths: Sequence[str | Path], stopping: threading.Event | None = None) -> None:
        self._context = context_for(STATION_MODULES)
        self.stopping = stopping or threading.Event()
        settings = [read_station(path) for path in paths]
        check_apart(settings)
        self.stations = [self._start(Path(path), one) for path, one in zip(paths, settings, strict=True)]

    def run(self) -> bool:
        """Watch until `stopping` is set or no station is left; whether all ended in order."""
        while not self.stopping.wait(POLL_S) and not all(one.given_up for one in self.stations):
            for station in self.stations:
                try:
                    self._look_after(station)
                except (OSError, EOFError) as error:
                    # Whoever ends everything at once ends what starts processes, too.
                    if not self.stopping.wait(POLL_S):
                        LOG.error("station %s cannot be looked after: %s", station.settings.name, error)
        fine = not any(one.given_up for one in self.stations)
        self.stop()
        return fine

    def stop(self) -> None:
        """End all stations: in order where they can, by force after `STOP_S`."""
        for station in self.stations:
            station.stop.close()
            station.link.end()
        until = time.monotonic() + STOP_S
        for process in [station.process for station in self.stations] + [one.link.process for one in self.stations]:
            process.join(max(0.1, until - time.monotonic()))
            if process.is_alive():
                LOG.error("%s did not end within %.0f s and was killed", process.name, STOP_S)
                process.kill()
                process.join(1.0)
            until = max(until, time.monotonic() + 1.0)

    def _start(self, path: Path, settings: StationSettings, link: Link | None = None) -> Watched:
        # Nothing with a lock: a station that is killed or stopped while it holds one would stop the supervisor, too.
        link = link or Link(self._context, settings.name)
        theirs, stop = self._context.Pipe(duplex=False)
        pipe = link.join(self._context)
        heartbeat = Heartbeat()
        # Not a daemon: it has a process of its own, the inspection worker.
        process = self._context.Process(  # type: ignore[attr-defined]
            target=work, args=(str(path), theirs, heartbeat.memory, pipe), name=f"station {settings.name}"
        )
        process.start()
        theirs.close()
        pipe.close()
        return Watched(path, settings, link, process, stop, heartbeat)

    def _look_after(self, station: Watched) -> None:
        if station.given_up:
            return
        if not station.link.works and station.link.process.exitcode is None:
            LOG.error("the watchdog of station %s gives no sign of life and is restarted", station.settings.name)
            station.link.process.kill()
        if station.process.is_alive() and not station.hangs:
            return  # one without its watchdog ends by itself
        if station.process.is_alive():
            LOG.error("station %s gives no sign of life and is restarted", station.settings.name)
            station.process.kill()
            station.process.join(1.0)
        elif station.process.exitcode == 0:
            LOG.info("station %s starts anew", station.settings.name)
        else:
            LOG.error("station %s has gone (exit code %s)", station.settings.name, station.process.exitcode)
        if not station.budget.spend():
            station.given_up = True
            LOG.error("station %s failed too often within a minute and stays off", station.settings.name)
            return
        station.stop.close()
        if not station.link.process.is_alive():
            station.link.end()
        anew = self._start(station.path, station.settings, station.link if station.link.process.is_alive() else None)
        station.link, station.process, station.stop, station.heartbeat, station.started = (
            anew.link, anew.process, anew.stop, anew.heartbeat, anew.started,
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
