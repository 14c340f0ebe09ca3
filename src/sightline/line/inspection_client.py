"""The inspection worker as the station sees it: asked with frames, answers in time, or is replaced; and its shadow."""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError, RecipeError, SightlineError
from sightline.line.decision import Decision, ViewResult
from sightline.line.inspection_worker import Adapt, Adapted, Job, Load, Ready, RecipeKey, Reply, serve
from sightline.line.part import Part
from sightline.line.processes import WORKER_MODULES, RestartBudget, context_for, shared_memory

MAX_WAITING = 64  # views whose shadow has not answered yet
MAX_DIFFERENCES = 1000  # differences that are remembered for people; all of them are in the records
HANG_S = 2.0  # without an answer for so long, the inspection worker is replaced
START_S = 120.0  # loading large recipes takes its time
Pixels = NDArray[np.uint8] | NDArray[np.uint16]
LOG = logging.getLogger("sightline.line.inspection_worker")


class WorkerError(SightlineError):
    """The inspection worker could not inspect a frame: it failed, has gone, or is not there yet."""


class WorkerLateError(WorkerError):
    """No answer before the deadline."""


class InspectionWorker:
    """Starts the process, hands frames over in shared memory, and starts it anew where it died or hangs.

    Frames lie in a ring of slots of `slot_bytes`, twice as many as a part has views: those of the part before stay
    where they are for its shadow inspection. Nothing here waits longer than it was told to.
    """

    def __init__(self, load: Load, views: int, slot_bytes: int, budget: RestartBudget | None = None) -> None:
        self._load, self._views, self._slot_bytes = load, views, slot_bytes
        self._slots = 2 * views
        # Without a name in the system: it goes with the last process that has it, whatever that one dies of.
        self._memory = shared_memory(self._slots * slot_bytes)
        self._frames = self._memory.create_memoryview()
        self._budget = budget or RestartBudget()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._number = self._slot = 0
        self._waiting: dict[int, float] = {}  # number of a job without a reply -> when it was asked
        self._shadows: list[Reply] = []
        self._started = 0.0
        self.hashes: dict[RecipeKey, str] = {}
        self.adaptations: dict[str, str] = {}  # hash of a recipe -> digest of what was learned since and is in use
        self.adaptation_fault = ""
        self._begun_with: dict[str, str] = {}
        self.fault = ""
        self.late = self.dropped = self.restarts = 0
        self._start()

    @property
    def ready(self) -> bool:
        """Whether a frame can be inspected now: loaded, warm, and without a job."""
        return bool(self.hashes) and not self._waiting and self._alive()

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return None if self._process is None else self._process.pid

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Wait until the recipes are loaded. Raises RecipeError where they cannot be, WorkerError after the time."""
        until = time.monotonic() + timeout_s
        while not self.ready:
            self.poll()
            if self.fault:
                raise RecipeError(self.fault)
            if time.monotonic() > until:
                raise WorkerError(f"the recipes were not loaded within {timeout_s:.0f} s. Is the machine overloaded?")
            time.sleep(0.005)

    def poll(self) -> None:
        """Take what has come, and replace a process that has died or hangs; never waits."""
        self._drain()
        oldest = min(self._waiting.values(), default=None)
        if oldest is not None and time.monotonic() - oldest > HANG_S:
            LOG.error("the inspection worker hangs: no answer for %.1f s; it is replaced", HANG_S)
            self._replace()
        elif not self.hashes and not self.fault and self._alive() and time.monotonic() - self._started > START_S:
            LOG.error("the inspection worker did not load its recipes within %.0f s; it is replaced", START_S)
            self._replace()
        elif not self._alive() and not self.fault:
            LOG.error("the inspection worker died (exit code %s); it is replaced", self._exit_code())
            self._replace()

    def inspect(self, images: Sequence[Pixels], keys: Sequence[RecipeKey], until: float) -> list[ViewResult]:
        """What the recipes `keys` find in the images (H, W, 3) of one part, before `until` on the monotonic clock.

        Raises WorkerLateError at that moment, WorkerError where an inspection failed or the process has gone.
        """
        numbers = [self._send(image, key, False) for image, key in zip(images, keys, strict=True)]
        found: dict[int, Reply] = {}
        while len(found) < len(numbers):
            reply = self._receive(until - time.monotonic())
            if reply.number in numbers:
                found[reply.number] = reply
            elif reply.number:
                self._note(reply)
        failed = [reply.error for reply in found.values() if reply.result is None]
        if failed:
            raise WorkerError(failed[0])
        return [result for number in numbers if (result := found[number].result) is not None]

    def inspect_shadow(self, images: Sequence[Pixels], keys: Sequence[RecipeKey]) -> list[int]:
        """Have another recipe inspect the part that was just inspected; it may be dropped for the next part's sake.

        Returns the numbers of the replies to come.
        """
        # The frames are in memory still, in the slots of the part before: only the jobs are new.
        first = (self._slot - len(images)) % self._slots
        return [
            self._post(key, (first + index) % self._slots, image, True)
            for index, (image, key) in enumerate(zip(images, keys, strict=True))
        ]

    def take_shadows(self) -> list[Reply]:
        """What shadow recipes have found since the last call; nothing comes of those that had to give way."""
        self._drain()
        taken, self._shadows = self._shadows, []
        return taken

    def adapt(self, files: Mapping[str, str]) -> None:
        """Inspect with these files of what was learned, by the hash of their recipe; others with the recipe alone."""
        before, self._load = self._load.adaptations, replace(self._load, adaptations=dict(files))
        if self.hashes:
            self._hand_over(before)

    def _hand_over(self, before: Mapping[str, str]) -> None:
        """Have the process take over what was learned by now, and give up what it had `before` and is no more."""
        now = self._load.adaptations
        for recipe in sorted({*now, *before}):
            with suppress(BrokenPipeError, ConnectionResetError, OSError):
                if self._pipe is not None:
                    self._pipe.send(Adapt(recipe, now.get(recipe, "")))

    def reset(self) -> None:
        """Try again after a fault: a person has asked for it."""
        self._budget.renew()
        self._replace()

    def close(self) -> None:
        """End the process."""
        self._end()

    # -- one job

    def _send(self, image: Pixels, key: RecipeKey, shadow: bool) -> int:
        if image.nbytes > self._slot_bytes:
            raise InputError(
                f"a frame of {image.shape[1]} x {image.shape[0]} px takes {image.nbytes / 2**20:.1f} MB, a slot has "
                f"{self._slot_bytes / 2**20:.1f} MB. Raise frame_mb in the station's settings"
            )
        slot, self._slot = self._slot, (self._slot + 1) % self._slots
        np.ndarray(image.shape, image.dtype, self._frames, slot * self._slot_bytes)[...] = image
        return self._post(key, slot, image, shadow)

    def _post(self, key: RecipeKey, slot: int, image: Pixels, shadow: bool) -> int:
        self._number += 1
        high, wide, channels = image.shape
        job = Job(self._number, key, slot * self._slot_bytes, (high, wide, channels), shadow, image.dtype.name)
        if self._pipe is None or not self.hashes:
            raise WorkerError("the inspection worker is not ready: its recipes are being loaded")
        try:
            self._pipe.send(job)
        except (BrokenPipeError, ConnectionResetError, OSError) as error:
            raise WorkerError("the inspection worker died before the frame could be handed over") from error
        if not shadow:
            self._waiting[self._number] = time.monotonic()
        return self._number

    def _receive(self, timeout_s: float) -> Reply:
        assert self._pipe is not None
        try:
            if not self._pipe.poll(max(0.0, timeout_s)):
                raise WorkerLateError("no answer from the inspection worker before the deadline")
            reply: Reply | Adapted = self._pipe.recv()
        except (EOFError, ConnectionResetError, BrokenPipeError) as error:
            self._waiting.clear()
            raise WorkerError(
                f"the inspection worker died during an inspection (exit code {self._exit_code()})"
            ) from error
        if isinstance(reply, Adapted):
            self._note(reply)
            return Reply(0)
        self._waiting.pop(reply.number, None)
        return reply

    def _note(self, reply: Reply | Ready | Adapted) -> None:
        """What came without being waited for: loaded recipes, a shadow's result, or an answer that was too late."""
        if isinstance(reply, Adapted):
            self.adaptation_fault = reply.error
            if not reply.error:
                self.adaptations[reply.recipe] = reply.digest
            else:
                LOG.error("recipe %s: what was learned is not used: %s", reply.recipe[:12], reply.error)
            return
        if isinstance(reply, Ready):
            self.hashes, self.fault = dict(reply.hashes), reply.error
            if not self.fault and self._load.hashes and self.hashes != dict(self._load.hashes):
                self.hashes, self.fault = (
                    {},
                    "the station's copies of its recipes were changed. Start the station again",
                )
            if self.fault:
                LOG.error("the recipes cannot be loaded: %s", self.fault)
            if self.hashes and (self._begun_with or self._load.adaptations):
                self._hand_over(self._begun_with)  # it may have changed while the process was loading
            for (recipe, view), engine in reply.engines.items():
                LOG.info("recipe %s, view %s runs in %s", recipe, view, engine)
            return
        if self._waiting.pop(reply.number, None) is not None:
            self.late += 1
        else:
            self.dropped += reply.dropped
            self._shadows.append(reply)

    def _drain(self) -> None:
        with suppress(EOFError, ConnectionResetError, BrokenPipeError, OSError):
            while self._pipe is not None and self._pipe.poll(0):
                self._note(self._pipe.recv())

    # -- the process

    def _start(self) -> None:
        context = context_for(WORKER_MODULES)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(  # type: ignore[attr-defined]  # typeshed knows it of each kind of context
            target=serve, args=(theirs, self._memory, self._load), name="inspection worker", daemon=True
        )
        self._started, self._begun_with = time.monotonic(), dict(self._load.adaptations)
        try:
            self._process.start()
        except (OSError, EOFError) as error:
            # What starts processes has gone, as where everything is ended at once; it comes back with the next attempt.
            LOG.error("the inspection worker's process cannot be started: %s", error)
            self._pipe.close()
            self._pipe = self._process = None
        theirs.close()  # so that its end is noticed here

    def _replace(self) -> None:
        self._end()
        if not self._budget.spend():
            self.fault = (
                "the inspection worker failed too often within a minute. Remove the cause (see the log), then reset"
            )
            LOG.error(self.fault)
            return
        self.restarts += 1
        self.fault = ""
        self._start()

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None and self._process.is_alive():
            self._process.kill()
        if self._process is not None:
            self._process.join(timeout=1.0)
        self._pipe, self.hashes = None, {}
        self._waiting.clear()

    def _alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def _exit_code(self) -> int | None:
        return None if self._process is None else self._process.exitcode


class Shadow:
    """Pairs of verdicts of the active recipe and its shadow."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, tuple[Part, ViewResult]] = OrderedDict()
        self.agreement: Counter[tuple[str, str]] = Counter()
        self.differences: deque[dict[str, Any]] = deque(maxlen=MAX_DIFFERENCES)

    def watch(self, part: Part, decision: Decision, numbers: Sequence[int]) -> None:
        """Expect the shadow's replies `numbers` on the views of a part that was inspected."""
        self._waiting.update(zip(numbers, ((part, result) for result in decision.results), strict=True))
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)

    def compare(self, reply: Reply) -> tuple[Part, ViewResult, ViewResult] | None:
        """The part, what the active recipe found in the view, and the shadow; None where that had to give way."""
        expected = self._waiting.pop(reply.number, None)
        if expected is None or reply.result is None:
            return None
        part, active = expected
        shadow = reply.result
        self.agreement[str(active.verdict), str(shadow.verdict)] += 1
        if active.verdict is not shadow.verdict:
            self.differences.append(
                {"part": part.id, "view": shadow.view, "active": str(active.verdict), "shadow": str(shadow.verdict)}
            )
        return part, active, shadow
