"""The machine's link: opened in this process, or held by the watchdog's, which answers where the station does not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from sightline.core.errors import SettingError, SinkError
from sightline.core.signals import Command, CommandKind, Signal, Status
from sightline.devices.link import Health
from sightline.devices.sinks.port import Controller, Sink
from sightline.devices.sinks.table import open_sink
from sightline.line.settings import StationSettings

OPEN_S = 60.0  # importing a protocol's package and beginning to listen or connect


class Machine(Sink, Controller, Protocol):
    """Both ports of a controller."""


def open_machine(values: dict[str, Any]) -> Machine:
    """The controller of these settings. Raises SettingError, MissingExtraError."""
    machine = open_sink(values)
    if not isinstance(machine, Controller):
        machine.close()
        raise SettingError(
            f"controller: a {values.get('kind')} sink takes no commands. Choose modbus, opcua, s7 or mqtt"
        )
    return machine


@dataclass(frozen=True)
class Opening:
    """What the watchdog has to know of a station: its machine, and how a part is answered in its stead."""

    controller: dict[str, Any]
    station: str
    folder: Path
    until_s: float  # from the trigger to the station's own answer, be it the deadline's
    grace_s: float  # after which the watchdog gives it; both are before the machine's deadline
    pilot: bool = field(compare=False)  # it may change while the link stays

    @classmethod
    def of(cls, settings: StationSettings, pilot: bool) -> Opening:
        """That of a station."""
        until_s, grace_s = (settings.deadline_ms - settings.margin_ms) / 1e3, min(2.0, settings.margin_ms / 2) / 1e3
        return cls(settings.controller, settings.name, settings.folder, until_s, grace_s, pilot)


class Remote:
    """The machine behind the watchdog: a Sink and a Controller over one pipe, for as long as the process lives.

    `lost` is called where the watchdog is gone: without it no answer reaches the machine. Triggers come from the first
    `wait` on; before it and after `close` the watchdog refuses them.
    """

    def __init__(self, pipe: Connection, lost: Callable[[], None]) -> None:
        self._pipe, self._lost = pipe, lost
        self._sending = threading.Lock()
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        self._health = Health(connected=False)
        self._given: dict[str, Signal] = {}
        self._accepting = False
        self._abort: Callable[[], None] = lambda: None
        self.recipe: str | None = None  # active in the station before, "" for none; None: there was no station
        threading.Thread(target=self._listen, name="machine", daemon=True).start()

    def open(self, opening: Opening) -> None:
        """Have the watchdog open the link, or keep the one it has. Raises SettingError where it cannot be opened."""
        while not self._replies.empty():
            self._replies.get()  # one that came too late
        self._send("open", opening)
        try:
            refused, self.recipe = self._replies.get(timeout=OPEN_S)
        except queue.Empty:
            refused = "controller: the watchdog's process does not open it. Its log says why"
        if refused:
            raise SettingError(refused)

    def send(self, signal: Signal) -> None:
        """Answer a part, unless the watchdog has done so. Raises SinkError where the watchdog is gone."""
        self._send("send", signal)

    def wait(self, timeout_ms: float) -> Command | None:
        """The machine's next command."""
        if not self._accepting:
            self._accepting = True
            with suppress(SinkError):  # `lost` tells of it
                self._send("accept", None)
        with suppress(queue.Empty):
            return self._commands.get(timeout=max(0.0, timeout_ms / 1e3))
        return None

    def on_abort(self, call: Callable[[], None]) -> None:
        """Have `call` called when an ABORT comes."""
        self._abort = call

    def begin(self, trigger: Command) -> None:
        """A part of the station's own trigger is under way: the watchdog answers for it like for any other."""
        with suppress(SinkError):
            self._send("begin", trigger)

    def show(self, status: Status) -> None:
        """Tell the machine the station's status; to the watchdog it is a sign of life, too."""
        with suppress(SinkError):
            self._send("show", status)

    def health(self) -> Health:
        """The link's, as the watchdog told it a moment ago."""
        return self._health

    def given(self) -> list[Signal]:
        """Answers that the watchdog gave and nobody has recorded, the oldest first."""
        return list(self._given.values())

    def recorded(self, signal: Signal) -> None:
        """One of them is recorded."""
        self._given.pop(signal.key, None)
        with suppress(SinkError):
            self._send("recorded", signal.key)

    def close(self) -> None:
        """Take no more parts; the link stays the watchdog's."""
        self._accepting = False
        with suppress(SinkError):
            self._send("leave", None)

    def _send(self, kind: str, value: object) -> None:
        try:
            with self._sending:
                self._pipe.send((kind, value))
        except OSError as error:
            raise SinkError(f"the watchdog's process has gone ({error}). The supervisor restarts both") from error

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                kind, value = self._pipe.recv()
                if kind == "command":
                    self._commands.put(value)
                    if value.kind is CommandKind.ABORT:
                        self._abort()  # after it was put, as in an inbox
                elif kind == "told":
                    self._health = value[0]
                    self._given |= {signal.key: signal for signal in value[1]}
                else:
                    self._replies.put(value)
        self._replies.put(("the watchdog's process has gone. The supervisor restarts both", None))
        self._lost()
