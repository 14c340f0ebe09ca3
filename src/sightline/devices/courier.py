"""A courier: takes messages from an outbox to the other side in the background, in order, until it has them."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from sightline.core.errors import SinkError
from sightline.core.signal import Signal
from sightline.devices.link import Backoff
from sightline.devices.outbox import Message

BATCH = 50
_log = logging.getLogger(__name__)


class Box(Protocol):
    """Where messages wait: an Outbox on disk, or a MemoryBox."""

    def put(self, body: bytes) -> None:
        """Keep one message, at the end. Raises SinkError where it cannot be kept."""

    def peek(self, count: int) -> list[Message]:
        """The `count` oldest messages."""

    def remove(self, message: Message, refused: str = "") -> None:
        """Forget a message."""


class MemoryBox:
    """Messages in memory: up to `count_max`, then new ones are refused. They end with the process."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._lock = threading.Lock()
        self._messages: list[Message] = []
        self._next = 1

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, body: bytes) -> None:
        """Keep one message, at the end. Raises SinkError where it is full."""
        with self._lock:
            if len(self._messages) >= self._count_max:
                raise SinkError(f"{self._count_max} messages wait already. Check why they are not taken")
            self._messages.append(Message(self._next, 0.0, body))
            self._next += 1

    def peek(self, count: int) -> list[Message]:
        """The `count` oldest messages."""
        with self._lock:
            return self._messages[:count]

    def remove(self, message: Message, refused: str = "") -> None:
        """Forget a message."""
        with self._lock:
            self._messages = [kept for kept in self._messages if kept.id != message.id]


class Refused(Exception):
    """The other side will never take the first message: it is set aside, and the next one goes."""


class Courier:
    """Delivers from `box` in its own thread. `wake` tells it that there is something new.

    `deliver(messages)` gives how many of them, from the first on, have arrived; fewer than all, SinkError or OSError
    make a pause that grows, and the rest is tried again: every message arrives at least once and in order.
    """

    def __init__(self, name: str, box: Box, deliver: Callable[[Sequence[Message]], int], backoff: Backoff) -> None:
        self._name, self._box, self._deliver, self._backoff = name, box, deliver, backoff
        self._new, self._stop = threading.Event(), threading.Event()
        self.failures = self.refused = 0
        self.error = ""
        self._thread = threading.Thread(target=self._run, name=f"courier {name}", daemon=True)
        self._thread.start()

    def send(self, signal: Signal) -> None:
        """Keep a signal as JSON in the box and have it delivered. Raises SinkError where the box does not take it."""
        self._box.put(json.dumps(signal.to_json()).encode())
        self.wake()

    def wake(self) -> None:
        """There is something to deliver."""
        self._new.set()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop after the delivery that is under way."""
        self._stop.set()
        self._new.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        attempt, size = 0, BATCH
        while not self._stop.is_set():
            self._new.clear()
            try:
                messages = self._box.peek(size)
                if not messages:
                    self._new.wait()
                    continue
                complete, size = self._take(messages), BATCH
            except (SinkError, OSError) as error:
                complete = self._failed(error, attempt)
            except Exception as error:  # noqa: BLE001 (logged; this thread must go on)
                # A message that nobody foresaw must not stop those behind it: alone, it is set aside.
                _log.exception("sink %s: a message cannot be delivered", self._name)
                complete = self._failed(error, attempt)
                if size == 1:
                    self._set_aside(messages[0], f"{type(error).__name__}: {error}")
                size = 1
            if complete:
                attempt, self.error = 0, ""
            else:
                self._stop.wait(self._backoff.pause_s(attempt))
                attempt += 1

    def _take(self, messages: list[Message]) -> bool:
        try:
            count = self._deliver(messages)
        except Refused as reason:
            self._set_aside(messages[0], str(reason))
            return True
        for message in messages[:count]:
            self._box.remove(message)
        return count == len(messages)

    def _failed(self, error: Exception, attempt: int) -> bool:
        self.error = str(error)
        self.failures += 1
        _log.log(logging.WARNING if attempt == 0 else logging.DEBUG, "sink %s: %s", self._name, error)
        return False

    def _set_aside(self, message: Message, why: str) -> None:
        self.refused += 1
        _log.error("sink %s: a message was refused for good and set aside: %s", self._name, why)
        with contextlib.suppress(SinkError):  # it stays where it is, and is tried again
            self._box.remove(message, refused=why)
