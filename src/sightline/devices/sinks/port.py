"""The ports to the machine: signals out, commands in, and the settings that all sinks share."""

from __future__ import annotations

import hashlib
import logging
import queue
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sightline.core.signals import ASKED_BY_PEOPLE, Command, CommandKind, Signal, Status
from sightline.devices.link import Backoff, Health

TEXT_MAX, DIGEST = 64, 12  # characters of a part's id or a recipe in a command; those at its end where it was longer
_log = logging.getLogger(__name__)


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


@runtime_checkable
class Aborting(Protocol):
    """What a controller also is where the machine can end the part in work: `isinstance(sink, Aborting)`."""

    def on_abort(self, call: Callable[[], None]) -> None:
        """Have `call` called at once, from any thread, when an ABORT comes; `wait` gives the command as well."""


class SinkSettings(BaseModel):
    """Settings that all sinks share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Whether a station can have it as its controller (commands come by it), and whether in any other place.
    role: ClassVar[Literal["sink", "either", "controller"]] = "sink"

    name: str = Field("", max_length=64, description="name in messages; empty: its kind")
    backoff: Backoff = Field(Backoff.model_validate({}), description="pauses between attempts to connect or to deliver")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        return (
            values
            if not isinstance(values, dict) or values.get("name")
            else {**values, "name": values.get("kind") or ""}
        )


class OutboxSettings(SinkSettings):
    """Settings of sinks whose messages wait on the disk."""

    outbox: Path = Field(description="file in which messages wait until they are delivered")
    outbox_mb: float = Field(
        256.0, gt=0, le=100_000, description="its maximum size; beyond it, the oldest messages are dropped"
    )


class Inbox:
    """Up to `count_max` commands in order; more are refused, because an old trigger answered late serves nobody."""

    def __init__(self, count_max: int = 32) -> None:
        self._commands: queue.Queue[Command] = queue.Queue(count_max)
        self._abort: Callable[[], None] = lambda: None

    def on_abort(self, call: Callable[[], None]) -> None:
        """Have `call` called at once when an ABORT comes; the command itself waits like any other."""
        self._abort = call

    def put(self, command: Command) -> bool:
        """Keep a command; False where too many wait."""
        try:
            self._commands.put_nowait(command)
        except queue.Full:
            _log.error("a command was refused: %d are already waiting", self._commands.maxsize)
            return False
        if command.kind is CommandKind.ABORT:
            self._abort()  # after it was put: a part that begins from now on finds it in the queue
        return True

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command, or None where none came in time."""
        try:
            return self._commands.get(timeout=max(0.0, timeout_ms / 1e3))
        except queue.Empty:
            return None


def read_command(values: Mapping[str, Any]) -> Command | None:
    """{"command": "trigger", "part_id": ...}, {"command": "recipe", "recipe": ...} or another kind; else None."""
    try:
        kind = CommandKind(str(values.get("command", "")))
    except ValueError:
        return None
    recipe = values.get("recipe", "")
    if kind is CommandKind.REFUSED or kind in ASKED_BY_PEOPLE or (kind is CommandKind.RECIPE and not str(recipe)):
        return None
    return Command(kind=kind, part_id=_text(values.get("part_id", "")), recipe=_text(recipe))


def _text(value: Any) -> str:
    text = str(value).strip()
    if len(text) > TEXT_MAX:  # cut alone, two ids could become one, or a long name that of another recipe
        digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:DIGEST]
        text = f"{text[: TEXT_MAX - DIGEST - 1]}~{digest}"
    return "".join(c if c.isprintable() else "?" for c in text)
