"""Pictures of several callers, judged in turn or together, each before its deadline or not at all.

On a processor a batch gains nothing (benchmarks/serving.md), so one picture at a time is the default. A batch starts
when it is full, when its first picture has waited long enough, or when waiting longer would make one of its pictures
late. Nothing is ever answered late: a picture whose time is up gets an error, which is no verdict.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from sightline.core.errors import BusyError, LateError
from sightline.imaging.image import Image
from sightline.runtime.inspection import Inspection

SMOOTHING = 0.2  # of the time of a picture in a batch: the weight of the newest


class Many(Protocol):
    """Judges several images at once, in order."""

    def __call__(self, images: Sequence[Image]) -> list[Inspection]: ...


@dataclass(frozen=True)
class Limits:
    """`most` pictures in a batch, whose first waits `wait_s` at most for others; `waiting` pictures in all."""

    most: int = 1
    wait_s: float = 0.005
    waiting: int = 32  # below the server's 40 threads, one of which each of them holds


@dataclass(frozen=True)
class _Asked:
    image: Image
    came: float
    deadline: float  # of `time.monotonic`
    answer: Future[Inspection] = field(default_factory=Future)


class Batcher:
    """Callers' pictures in one thread, a batch at a time. `turn` is held while a batch is judged."""

    def __init__(
        self, judge: Many, limits: Limits | None = None, turn: AbstractContextManager[object] | None = None
    ) -> None:
        self._judge, self._limits, self._turn = judge, limits or Limits(), turn or nullcontext()
        self._waiting: deque[_Asked] = deque()
        self._changed, self._closed, self._each_s = threading.Condition(), False, 0.0
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def submit(self, image: Image, deadline: float) -> Future[Inspection]:
        """The verdict to come, or a LateError in its place where `deadline`, a `time.monotonic`, has passed.

        Raises BusyError where too many wait, LateError where those ahead already take longer than there is time.
        """
        asked = _Asked(image, time.monotonic(), deadline)
        with self._changed:
            queued_s = len(self._waiting) * self._each_s
            if self._closed or len(self._waiting) >= self._limits.waiting:
                raise BusyError(
                    f"{len(self._waiting)} pictures are already waiting. Try again in a few seconds", max(1.0, queued_s)
                )
            # Of an empty queue it is tried: an estimate from one slow picture must not refuse all that follow.
            if self._waiting and asked.came + queued_s + self._each_s > deadline:
                raise _late(asked, asked.came)
            self._waiting.append(asked)
            self._changed.notify()
        return asked.answer

    def close(self) -> None:
        """Judge what is waiting, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            now = time.monotonic()
            for asked in batch:
                if asked.deadline <= now:
                    asked.answer.set_exception(_late(asked, now))
            self._answer([asked for asked in batch if asked.deadline > now])

    def _next(self) -> list[_Asked]:
        """The pictures of the next batch; none at the end."""
        with self._changed:
            while not self._closed:
                left = self._latest_start() - time.monotonic() if self._waiting else None
                if left is not None and (left <= 0 or len(self._waiting) >= self._limits.most):
                    break
                self._changed.wait(left)
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._limits.most))]

    def _latest_start(self) -> float:
        run_s = (len(self._waiting) + 1) * self._each_s
        return min(self._waiting[0].came + self._limits.wait_s, *(asked.deadline - run_s for asked in self._waiting))

    def _answer(self, batch: Sequence[_Asked]) -> None:
        if not batch:
            return
        start = time.monotonic()
        try:
            with self._turn:
                start = time.monotonic()
                found = self._judge([asked.image for asked in batch])
            if len(found) != len(batch):
                raise RuntimeError(f"{len(found)} verdicts on {len(batch)} pictures")
        except Exception as error:  # noqa: BLE001 - whatever failed, each caller hears of its own picture
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for asked in batch:
                self._answer([asked])
            return
        now = time.monotonic()
        each_s = (now - start) / len(batch)
        self._each_s = each_s if not self._each_s else self._each_s + SMOOTHING * (each_s - self._each_s)
        for asked, inspection in zip(batch, found, strict=True):
            if asked.deadline <= now:
                asked.answer.set_exception(_late(asked, now))
            else:
                asked.answer.set_result(inspection)


def _late(asked: _Asked, now: float) -> LateError:
    return LateError(
        f"no verdict within {asked.deadline - asked.came:.3f} s (it waited {now - asked.came:.3f} s): take the part as "
        "not inspected, never as OK. Allow more time, or send fewer pictures at once"
    )
