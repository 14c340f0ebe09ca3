"""The station: trigger, grab, inspect, decide, record, signal. This file is the whole way of a part."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from sightline.core.command import Command, CommandKind
from sightline.core.errors import CameraError, SightlineError
from sightline.core.fault import ErrorCode
from sightline.core.frame import Frame
from sightline.core.signal import Signal
from sightline.core.status import Status
from sightline.line.deadline import Deadline
from sightline.line.decision import CAMERA_CODES, Decision, Seen, combine, refuse
from sightline.line.gear import Gear
from sightline.line.interlock import Gate
from sightline.line.judging import JudgeError, JudgeLateError
from sightline.line.part import Part
from sightline.line.recipes import Recipes
from sightline.line.settings import StationSettings

IDLE_S = 0.05  # between two looks at everything else while no command comes
TEND_S = 0.25
GRAB_MARGIN_MS = 10.0
LOG = logging.getLogger("sightline.line.station")


class Station:
    """One station at work. `gear` is what it works with; `beat` is called at least every second while it lives."""

    def __init__(
        self,
        settings: StationSettings,
        gear: Gear,
        beat: Callable[[], None] = lambda: None,
        stopping: threading.Event | None = None,
    ) -> None:
        self.settings, self.gear, self._beat = settings, gear, beat
        self.recipes, self.gate = Recipes(settings), Gate(settings.interlock)
        self.gate.recipe = self.recipes.name
        self.stopping = stopping or threading.Event()
        self._deadline = Deadline(self._too_late)
        self._number, self._tended = 0, 0.0
        self._error = ErrorCode.NONE
        self._busy = False
        self._lead_s = settings.picture_lead_ms / 1e3
        self._answered_s = 0.0  # monotonic: when the part before had its answer

    def run(self) -> None:
        """Obey the machine until `stopping` is set; then everything is closed in order."""
        try:
            while not self.stopping.is_set():
                self._beat()
                self._tend()
                command = self.gear.controller.wait(IDLE_S * 1e3)
                if command is not None:
                    self._obey(command)
        finally:
            self.gear.controller.show(Status(pilot=self.settings.mode == "pilot"))
            self._deadline.close()
            self.gear.close()

    def _obey(self, command: Command) -> None:
        if command.kind is CommandKind.TRIGGER:
            self._judge_part(command)
        elif command.kind is CommandKind.RECIPE:
            self._change_over(command)
        elif command.kind is CommandKind.UNPREPARE:
            self.recipes.active, self.gate.recipe = None, ""
            self.gear.note("changeover", "the machine has given up the recipe")
        else:
            self._error = ErrorCode.NONE
            self.gear.judge.reset() if self.gear.judge.fault else None
            self.gear.note("reset", "the machine has cleared the error")
        self._show()

    # -- the way of a part

    def _judge_part(self, command: Command) -> None:
        self._number += 1
        deadline_s = (self.settings.deadline_ms - self.settings.margin_ms) / 1e3
        active = self.recipes.active
        recipe = ("", 0) if active is None else (active.name, active.id)
        part = Part.of(command, self._number, self.settings.name, recipe, deadline_s)
        self._show(busy=True)
        frames: list[Frame] = []
        with self._deadline.over(part):
            decision = self._refusal(part)
            if decision is None:
                decision, frames = self._inspect(part)
            given = self._answer(part, decision, frames)
        self._answered_s = time.monotonic()
        self._after(part, given, frames)

    def _inspect(self, part: Part) -> tuple[Decision, list[Frame]]:
        """Grab and inspect; whatever goes wrong becomes NG with its cause."""
        frames: list[Frame] = []
        try:
            frames = self._grab(part)
            start = time.perf_counter()
            seen = self.gear.judge.ask([frame.image for frame in frames], self.recipes.keys(), part.until)
            part.inferred, part.stages_ms["inspect"] = time.time(), (time.perf_counter() - start) * 1e3
            rule = self.settings.combine
            return combine(seen, len(self.settings.views), rule.rule, rule.k), frames
        except CameraError as error:
            return refuse(CAMERA_CODES.get(error.reason, ErrorCode.CAMERA_BAD_FRAME), str(error)), frames
        except JudgeLateError as error:
            return _late(str(error)), frames
        except JudgeError as error:
            return refuse(ErrorCode.INSPECTION_FAILED, str(error)), frames
        except Exception as error:  # fail closed: the part is NG, and the line goes on
            LOG.exception("part %s", part.id)
            return refuse(ErrorCode.INTERNAL, f"{type(error).__name__}: {error}"), frames

    def _grab(self, part: Part) -> list[Frame]:
        """A fresh frame of every view. Raises CameraError."""
        start = time.perf_counter()
        frames = []
        for camera in self.gear.cameras:
            # A little before the deadline, so that what is told is the camera's cause.
            left_ms = max(1.0, (part.until - time.monotonic()) * 1e3 - GRAB_MARGIN_MS)
            # Picture and trigger come by two ways: a picture that came long before, or before the part before was done,
            # is another part's.
            hardware = camera.settings.trigger == "hardware"
            frames.append(
                camera.grab(left_ms, max(part.started - self._lead_s, self._answered_s) if hardware else None)
            )
        part.captured = max(frame.captured for frame in frames)
        part.frames = tuple(frame.id for frame in frames)
        part.source = str(frames[0].metadata.get("file", ""))
        part.stages_ms["grab"] = (time.perf_counter() - start) * 1e3
        return frames

    def _answer(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> Decision:
        """Record and signal, once; what was answered. Where the deadline was first, what came after is only noted."""
        if part.claim():
            return self._give(part, decision, frames)
        if decision.seen:
            LOG.warning("part %s: its result came after the deadline", part.id, extra={"part": part.id})
            self.gear.note("late_result", f"part {part.id}: {decision.verdict} came after the deadline")
        return _late()

    def _too_late(self, part: Part) -> None:
        """The deadline's thread: nothing has come in time. NG needs no proof, so the machine is told first."""
        start, signalled = time.perf_counter(), time.time()
        self._signal(part, _late())
        part.stages_ms["signal"] = (time.perf_counter() - start) * 1e3
        if part.claim():  # else the station is recording it, and corrects its record
            self._count(part, self._record(part, _late(), signalled, ()))

    def _give(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> Decision:
        """The record first: an OK that nobody could prove later is not given, nor one that took too long to prove."""
        start, signalled = time.perf_counter(), time.time()
        decision = self._record(part, decision, signalled, frames)
        recorded = time.perf_counter()
        part.stages_ms["record"] = (recorded - start) * 1e3
        mine = part.say()
        if not mine or (decision.valid and time.monotonic() >= part.until):
            decision = _late("no verdict was recorded before the deadline", decision.seen)
            self.gear.recorder.correct(part, decision)
        if mine:
            self._signal(part, decision)
            part.stages_ms["signal"] = (time.perf_counter() - recorded) * 1e3
        self._count(part, decision)
        return decision

    def _record(self, part: Part, decision: Decision, signalled: float, frames: Sequence[Frame]) -> Decision:
        """What may be answered once it is recorded: NG where it cannot be."""
        try:
            self.gear.recorder.record(part, decision, signalled, frames)
        except Exception as error:  # noqa: BLE001  # fail closed: whatever kept it from being recorded
            if not decision.late:
                decision = refuse(ErrorCode.RECORD_FAILED, f"not recorded: {error}", seen=decision.seen)
            self.gear.recorder.owe(part, decision, signalled)
        return decision

    def _count(self, part: Part, decision: Decision) -> None:
        part.stages_ms["total"] = (time.monotonic() - part.started) * 1e3
        if decision.error:
            cause = {"part": part.id, "error": int(decision.error), "cause": decision.cause}
            LOG.error("part %s is NG: %s", part.id, decision.cause, extra=cause)
        mode, stages = self.settings.mode, dict(part.stages_ms)
        self.gear.metrics.part(str(decision.verdict), mode, decision.error, decision.late, stages)

    def _signal(self, part: Part, decision: Decision) -> None:
        signal = Signal(
            part_id=part.id,
            verdict=decision.verdict,
            valid=decision.valid,
            recipe=part.recipe,
            recipe_id=part.recipe_id,
            station=self.settings.name,
            error=int(decision.error),
            score=decision.score,
            late=decision.late,
            triggered=part.triggered,
            captured=part.captured,
            key=part.key,
        )
        self.gear.signal(signal, self.settings.mode == "pilot")

    def _after(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> None:
        """What has time once the machine has its answer."""
        if self.gate.checks(part.id) is not None:
            right = self.gate.judge(part.id, decision.verdict, decision.valid)
            self.gear.note("check", f"check part {part.id}: {'passed' if right else self.gate.failed}")
        else:
            self.gate.passed_by()
        keys = self.recipes.shadow_keys()
        if keys and decision.valid and len(frames) == len(keys):
            with suppress(SightlineError):
                numbers = self.gear.judge.shadow([frame.image for frame in frames], keys)
                self.gear.shadow.watch(part, decision, numbers)

    # -- everything else

    def _refusal(self, part: Part) -> Decision | None:
        """Why a part cannot be judged now; None where it can."""
        if self.recipes.active is None:
            return refuse(ErrorCode.UNKNOWN_RECIPE, "no recipe is active: the machine wished for one that is not here")
        if self.gate.blocked and self.gate.checks(part.id) is None:
            return refuse(ErrorCode.BLOCKED, self.gate.reason)
        if not self.gear.judge.ready:
            self.gear.judge.tend()
        if not self.gear.judge.ready:
            return refuse(ErrorCode.NOT_READY, self.gear.judge.fault or "the judge is being started")
        return None

    def _change_over(self, command: Command) -> None:
        before = self.recipes.active
        start = time.monotonic()
        done = self.recipes.change(command.recipe)
        self.gate.recipe = self.recipes.name
        self._error = ErrorCode.NONE if done else ErrorCode.UNKNOWN_RECIPE
        now = self.recipes.name or "none"
        took = (time.monotonic() - max(start, command.monotonic_s)) * 1e3
        text = f"from {before.name if before else 'none'} to {now} ({command.recipe!r} was wished) in {took:.1f} ms"
        LOG.log(logging.INFO if done else logging.ERROR, "changeover %s", text)
        self.gear.note("changeover", text)

    def _tend(self) -> None:
        """Look after everything that is not a part: a few times a second, and never for long."""
        now = time.monotonic()
        if now - self._tended < TEND_S:
            return
        self._tended = now
        self.gear.tend()
        for reply in self.gear.judge.take_shadows():
            compared = self.gear.shadow.compare(reply)
            if compared is not None:
                self._record_shadow(*compared)
        self.gate.tick(datetime.datetime.now().astimezone())
        self._show()

    def _record_shadow(self, part: Part, active: Seen, said: Seen) -> None:
        self.gear.metrics.event("shadow_agrees" if active.verdict is said.verdict else "shadow_differs")
        try:
            self.gear.recorder.record_shadow(part, active, said)
        except SightlineError as error:
            LOG.error("part %s: what its shadow said is not recorded: %s", part.id, error, extra={"cause": str(error)})
            self.gear.metrics.event("shadow_lost")

    def status(self) -> Status:
        """What the machine is told between parts."""
        error = self._error
        if self.gate.blocked:
            error = ErrorCode.BLOCKED
        elif not self.gear.judge.ready:
            error = ErrorCode.RECIPE_NOT_USABLE if self.gear.judge.fault else ErrorCode.NOT_READY
        active = self.recipes.active
        # While blocked it takes triggers all the same: the check parts have to come.
        ready = active is not None and self.gear.judge.ready and not self._busy
        return Status(
            ready=ready,
            busy=self._busy,
            recipe="" if active is None else active.name,
            recipe_id=0 if active is None else active.id,
            error=int(error),
            pilot=self.settings.mode == "pilot",
        )

    def _show(self, busy: bool = False) -> None:
        self._busy = busy
        self.gear.controller.show(self.status())


def _late(cause: str = "no verdict before the deadline", seen: Sequence[Seen] = ()) -> Decision:
    return refuse(ErrorCode.LATE, cause, late=True, seen=seen)
