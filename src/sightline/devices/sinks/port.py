"""The ports to the machine: signals out, commands in."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from sightline.core.command import Command
from sightline.core.signal import Signal
from sightline.core.status import Status
from sightline.devices.health import Health


class Sink(Protocol):
    """Takes a signal for every part."""

    def send(self, signal: Signal) -> None:
        """Hand over one signal; returns at once, the other side is served in the background.

        Raises SinkError where the signal can be neither handed over nor kept.
        """

    def health(self) -> Health:
        """Whether the other side is reached, and what waits for it."""

    def close(self) -> None:
        """End within a few seconds. May be called twice."""


@runtime_checkable
class Controller(Protocol):
    """What a sink also is where the machine can ask for something: `isinstance(sink, Controller)`."""

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command, or None where none came in time. Commands come in order and once."""

    def show(self, status: Status) -> None:
        """Tell the machine about the station. Called on every change; a heartbeat stops without `wait` and `show`."""
