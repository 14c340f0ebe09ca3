"""An inbox: commands that came from the other side, until the station asks for them."""

from __future__ import annotations

import logging
import queue
from collections.abc import Mapping
from typing import Any

from sightline.core.command import Command, CommandKind

_log = logging.getLogger(__name__)
TEXT_MAX = 64


class Inbox:
    """Up to `count_max` commands in order; more are refused, because an old trigger answered late serves nobody."""

    def __init__(self, count_max: int = 32) -> None:
        self._commands: queue.Queue[Command] = queue.Queue(count_max)

    def put(self, command: Command) -> bool:
        """Keep a command; False where too many wait."""
        try:
            self._commands.put_nowait(command)
        except queue.Full:
            _log.error("a command was refused: %d wait already", self._commands.maxsize)
            return False
        return True

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command, or None where none came in time."""
        try:
            return self._commands.get(timeout=max(0.0, timeout_ms / 1e3))
        except queue.Empty:
            return None


def read_command(values: Mapping[str, Any]) -> Command | None:
    """{"command": "trigger", "part_id": ...}, {"command": "recipe", "recipe": ...} or "reset"; else None."""
    try:
        kind = CommandKind(str(values.get("command", "")))
    except ValueError:
        return None
    recipe = values.get("recipe", "")
    if kind is CommandKind.RECIPE and not str(recipe):
        return None
    return Command(kind=kind, part_id=_text(values.get("part_id", "")), recipe=_text(recipe))


def _text(value: Any) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(value)[:TEXT_MAX]).strip()
