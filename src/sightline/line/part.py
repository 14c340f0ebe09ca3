"""A part on its way: from the trigger to its one answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from sightline.core.command import Command


@dataclass(eq=False)
class Part:
    """What the station knows of the part that was triggered; `claim` decides who records it, `say` who answers.

    `key` names its record, `until` is the moment on the monotonic clock by which the machine must have an answer,
    `triggered`, `captured` and `inferred` are in seconds since 1970.
    """

    key: str
    id: str
    recipe: str
    recipe_id: int
    triggered: float
    started: float
    until: float
    captured: float | None = None
    inferred: float | None = None
    frames: tuple[int, ...] = ()
    source: str = ""
    stages_ms: dict[str, float] = field(default_factory=dict)
    _claimed: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _said: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, command: Command, number: int, station: str, recipe: tuple[str, int], deadline_s: float) -> Part:
        """The part of a trigger; without an id from the machine it gets the station's number."""
        key = f"{station}-{int(command.at * 1e3)}-{number}"
        until = command.monotonic_s + deadline_s
        return cls(key, command.part_id or str(number), *recipe, command.at, command.monotonic_s, until)

    def claim(self) -> bool:
        """Whether the caller decides and records; True once, whichever thread asks first."""
        return self._claimed.acquire(blocking=False)

    def say(self) -> bool:
        """Whether the caller may tell the machine; True once. A record that takes too long is overtaken here."""
        return self._said.acquire(blocking=False)

    @property
    def said(self) -> bool:
        """Whether it has its answer."""
        return self._said.locked()
