"""The deadline: a thread that answers for the station where the station itself is not done in time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sightline.line.part import Part

ACT_S = 1.0  # giving an answer is bounded; a sink that breaks this rule does not stop the station
LOG = logging.getLogger("sightline.line.deadline")


class Deadline:
    """Watches one part at a time, and calls `too_late(part)` from its own thread where nobody has answered.

    A camera driver, a disk or a model that hangs cannot keep it from answering: it shares nothing with them but the
    right to say it.
    """

    def __init__(self, too_late: Callable[[Part], None]) -> None:
        self._too_late = too_late
        self._part: Part | None = None
        self._changed = threading.Condition()
        self._closed = self._acting = False
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, part: Part) -> Iterator[None]:
        """Watch a part while the block runs."""
        with self._changed:
            self._part = part
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._part = None
                # The next part waits for the answer that is being given, so that answers keep their order.
                self._changed.wait_for(lambda: not self._acting, ACT_S)

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
                if part is None or part.said:
                    self._part = None
                    self._changed.wait()
                    continue
                left = part.until - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                self._part = None
                self._acting = part.say()
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
