"""A part on its way from the trigger to its one answer, and the deadline that gives it where nobody else does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sightline.core.signals import Command, ErrorCode, Signal
from sightline.line.decision import Decision, ViewResult, refuse

ACT_S = 1.0  # giving an answer is bounded; a sink that breaks this rule does not stop the station
LOG = logging.getLogger("sightline.line.part")


def key_of(station: str, triggered: float) -> str:
    """The name of a part's record and messages: whoever answers it finds the same."""
    return f"{station}-{int(triggered * 1e6)}"


@dataclass(eq=False)
class Part:
    """A part that was triggered: who claims its record records it, who claims its answer gives it.

    `key` names its record, `until` is the moment on the monotonic clock by which the machine must have an answer,
    `purpose` says what it counts as: "production", "check" or "blocked"; `job` the run it belongs to (core.Signal);
    `aborted`: the machine has ended it; `pilot`: it gets no verdict of it.
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
    purpose: str = "production"
    job: str = ""
    aborted: bool = False
    pilot: bool = False
    stages_ms: dict[str, float] = field(default_factory=dict)
    _record_claimed: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _answer_claimed: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def from_trigger(
        cls, command: Command, number: int, station: str, recipe: tuple[str, int], deadline_s: float
    ) -> Part:
        """The part of a trigger; without an id from the machine it gets the station's number."""
        until = command.monotonic_s + deadline_s
        return cls(
            key_of(station, command.at), command.part_id or str(number), *recipe, command.at, command.monotonic_s, until
        )

    @classmethod
    def from_signal(cls, signal: Signal) -> Part:
        """The part of an answer that somebody else gave."""
        now = time.monotonic()
        return cls(signal.key, signal.part_id, signal.recipe, signal.recipe_id, signal.triggered, now, now)

    def claim_record(self) -> bool:
        """Whether the caller decides and records; True once, whichever thread asks first."""
        return self._record_claimed.acquire(blocking=False)

    def claim_answer(self) -> bool:
        """Whether the caller may answer the machine; True once. A record that takes too long is overtaken here."""
        return self._answer_claimed.acquire(blocking=False)

    def abort(self) -> None:
        """The machine wants no verdict any more: its time is over."""
        self.aborted, self.until = True, 0.0

    @property
    def is_answered(self) -> bool:
        """Whether it has its answer."""
        return self._answer_claimed.locked()


class Deadline:
    """Watches one part at a time, and calls `too_late(part)` from its own thread where nobody has answered.

    A camera driver, a disk or a model that hangs cannot keep it from answering: it shares nothing with them but the
    right to answer.
    """

    def __init__(self, too_late: Callable[[Part], None]) -> None:
        self._too_late = too_late
        self._part: Part | None = None
        self._changed = threading.Condition()
        self._closed = self._acting = False
        self._aborted_s = 0.0
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, part: Part) -> Iterator[None]:
        """Watch a part while the block runs."""
        with self._changed:
            if part.started <= self._aborted_s:
                part.abort()
            self._part = part
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._part = None
                # The next part waits for the answer that is being given, so that answers keep their order.
                self._changed.wait_for(lambda: not self._acting, ACT_S)

    def abort(self) -> None:
        """Have the part in work answered now, and every part that was triggered before now as soon as it is begun."""
        with self._changed:
            self._aborted_s = time.monotonic()
            if self._part is not None:
                self._part.abort()
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        while True:
            with self._changed:
                part = self._part
                if self._closed:
                    return
                if part is None or part.is_answered:
                    self._part = None
                    self._changed.wait()
                    continue
                left = part.until - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                self._part = None
                self._acting = part.claim_answer()
                if not self._acting:
                    continue
            try:
                self._too_late(part)
            except Exception:  # whatever it was: the next part needs its deadline
                LOG.exception("part %s: its late answer failed", part.id)
            finally:
                with self._changed:
                    self._acting = False
                    self._changed.notify_all()


def time_over(
    part: Part, cause: str = "no verdict before the deadline", results: Sequence[ViewResult] = ()
) -> Decision:
    """NG for a part whose time is over: the machine has aborted it, or its deadline has passed."""
    if part.aborted:
        return refuse(ErrorCode.ABORTED, "the machine has aborted it", results=results)
    return refuse(ErrorCode.LATE, cause, late=True, results=results)
