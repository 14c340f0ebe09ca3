"""A sink for tests and trials: keeps what it is sent, and gives the commands it is told to."""

from __future__ import annotations

import threading
from typing import ClassVar, Literal

from pydantic import Field

from sightline.core.errors import SinkError
from sightline.core.signals import Command, Signal, Status
from sightline.devices.link import Health
from sightline.devices.sinks.port import Inbox, SinkSettings


class Settings(SinkSettings):
    """A sink in memory."""

    role: ClassVar[Literal["sink", "either", "controller"]] = "either"
    kind: Literal["fake"] = "fake"
    fails: bool = Field(False, description="every signal is refused")
    kept_max: int = Field(1000, ge=1, le=1_000_000, description="signals that are kept; older ones are dropped")


class FakeSink:
    """`signals` are the signals that came, `statuses` what was shown; `ask` makes `wait` give a command."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._inbox = Inbox(count_max=0)
        self.wait, self.on_abort = self._inbox.wait, self._inbox.on_abort
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
        self._inbox.put(command)

    def show(self, status: Status) -> None:
        """Keep the status."""
        with self._lock:
            self.statuses.append(status)
            del self.statuses[: -self._settings.kept_max]


def open_sink(settings: Settings) -> FakeSink:
    """A sink in memory."""
    return FakeSink(settings)
