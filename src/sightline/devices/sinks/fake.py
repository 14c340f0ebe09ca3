"""A sink for tests and trials: keeps what it is sent, and gives the commands it is told to."""

from __future__ import annotations

import queue
import threading
from typing import Literal

from pydantic import Field

from sightline.core.command import Command
from sightline.core.errors import SinkError
from sightline.core.signal import Signal
from sightline.core.status import Status
from sightline.devices.health import Health
from sightline.devices.sinks.settings import SinkSettings


class Settings(SinkSettings):
    """A sink in memory."""

    kind: Literal["fake"] = "fake"
    fails: bool = Field(False, description="every signal is refused")
    kept_max: int = Field(1000, ge=1, le=1_000_000, description="signals that are kept; the oldest go")


class FakeSink:
    """`signals` are the signals that came, `statuses` what was shown; `ask` makes `wait` give a command."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._commands: queue.Queue[Command] = queue.Queue()
        self.signals: list[Signal] = []
        self.statuses: list[Status] = []

    def send(self, signal: Signal) -> None:
        """Keep the signal. Raises SinkError where its settings say so."""
        if self._settings.fails:
            raise SinkError(f"sink {self._settings.name} refuses everything, as its settings say")
        with self._lock:
            self.signals.append(signal)
            del self.signals[: -self._settings.kept_max]

    def health(self) -> Health:
        """Connected, unless it refuses everything."""
        return Health(connected=not self._settings.fails)

    def close(self) -> None:
        """Nothing to let go of."""

    def ask(self, command: Command) -> None:
        """Make the next `wait` give this command."""
        self._commands.put(command)

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command that was asked for."""
        try:
            return self._commands.get(timeout=timeout_ms / 1e3)
        except queue.Empty:
            return None

    def show(self, status: Status) -> None:
        """Keep the status."""
        with self._lock:
            self.statuses.append(status)
            del self.statuses[: -self._settings.kept_max]


def open_sink(settings: Settings) -> FakeSink:
    """A sink in memory."""
    return FakeSink(settings)
