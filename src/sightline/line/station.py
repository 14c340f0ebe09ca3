"""The station: trigger, grab, inspect, decide, record, signal. This file is the whole way of a part."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from sightline.core.errors import CameraError, SightlineError, StoreError
from sightline.core.sample import Frame
from sightline.core.signals import Command, CommandKind, ErrorCode, Status
from sightline.line.answering import signal_of
from sightline.line.assigned import PAUSE_S
from sightline.line.cameras import Cameras
from sightline.line.continuous import Continuous
from sightline.line.decision import CAMERA_CODES, Decision, ViewResult, combine, not_told, refuse
from sightline.line.devices import Devices
from sightline.line.inspection_client import WorkerError, WorkerLateError
from sightline.line.interlock import Gate
from sightline.line.part import Deadline, Part, time_over
from sightline.line.recipes import Recipes
from sightline.line.settings import StationSettings

IDLE_S = 0.05  # between two looks at everything else while no command comes
POLL_S = 0.25
LOG = logging.getLogger("sightline.line.station")


class Station:
    """One station at work. `devices` is what it works with; `beat` is called at least every second while it lives."""

    def __init__(
        self,
        settings: StationSettings,
        devices: Devices,
        beat: Callable[[], None] = lambda: None,
        stopping: threading.Event | None = None,
    ) -> None:
        self.settings, self.devices, self._beat = settings, devices, beat
        before = None if devices.remote is None else devices.remote.recipe
        self.recipes, self.gate = Recipes(settings, before), Gate(settings.interlock)
        self.gate.recipe = self.recipes.name
        for change in devices.changes:
            self.gate.require(change)
            devices.note("changeover", change)
        self.stopping = stopping or threading.Event()
        self._deadline = Deadline(self._too_late)
        devices.controller.on_abort(self._deadline.abort)
        self._continuous = Continuous(settings.continuous_ms, devices.cameras)
        self._number, self._polled_s, self._busy_s = 0, 0.0, time.monotonic()
        self._error = ErrorCode.NONE
        self._part: Part | None = None  # under way
        self._cameras = Cameras(devices.cameras, settings.picture_lead_ms)
        self._answered_s = 0.0  # monotonic: when the part before had its answer

    def run(self) -> None:
        """Obey the machine until `stopping` is set; then everything is closed in order."""
        try:
            while not self.stopping.is_set():
                self._beat()
                self._poll()
                # Its own trigger first: an abort from here on ends this part, an earlier one is in the queue.
                trigger = self._continuous.trigger()
                command = self.devices.controller.wait(0.0 if trigger else self._continuous.wait_s(IDLE_S) * 1e3)
                if command is not None:
                    self._busy_s = time.monotonic()
                    self._obey(command)
                elif trigger is not None:
                    self._process_next(trigger)
        finally:
            self.devices.show(Status(pilot=self.devices.pilot.on))
            self._deadline.close()
            self.devices.close()

    def _obey(self, command: Command) -> None:
        if command.kind is CommandKind.TRIGGER:
            self._process(command)
        elif command.kind is CommandKind.REFUSED:
            self._cameras.skip(command.monotonic_s)
        elif command.kind is CommandKind.RECIPE:
            self._change_over(command)
        elif command.kind is CommandKind.UNPREPARE:
            self.devices.note("changeover", self.recipes.give_up(command.recipe))
            self.gate.recipe = self.recipes.name
        elif command.kind is CommandKind.CONTINUOUS:
            self._begin(command)
        elif command.kind in (CommandKind.STOP, CommandKind.ABORT):
            self._end(f"the machine has sent {command.kind}")
        elif command.kind in (CommandKind.PILOT, CommandKind.PRODUCTION):
            self.devices.note("pilot", self.devices.pilot.switch(command.kind is CommandKind.PILOT))
        elif command.kind is CommandKind.CHECK:
            self.gate.require("a person has asked for it")
            self.devices.note("check", "a person has asked for the check parts")
        else:
            self._error = ErrorCode.NONE
            self.devices.worker.reset() if self.devices.worker.fault else None
            self.devices.note("reset", "the machine has cleared the error")
        self._show()

    # -- parts without a trigger of the machine

    def _begin(self, command: Command) -> None:
        """Inspect part after part from now on, unless something keeps the station from it."""
        if self._continuous.job:
            LOG.error("job %s is already running: the request for another one is dropped", self._continuous.job)
            self._continuous.not_begun = command.part_id
            return
        refusal = self._refusal("", command.recipe)
        cause = self._continuous.why_not or ("" if refusal is None else refusal.cause)
        if cause:
            LOG.error("it cannot run continuously: %s", cause, extra={"cause": cause})
            self.devices.note("continuous", f"not begun: {cause}")
            self._continuous.not_begun = command.part_id
            return
        self._continuous.start(command)
        self.devices.note("continuous", f"job {self._continuous.job} has begun")

    def _end(self, why: str) -> None:
        if self._continuous.job:
            self.devices.note("continuous", f"job {self._continuous.job} has ended: {why}")
            self._continuous.stop()

    def _process_next(self, trigger: Command) -> None:
        """The next part of the run. Where none could be inspected, the run ends: nobody is told NG part by part."""
        refusal = self._refusal(trigger.part_id, trigger.recipe)
        if refusal is None:
            self.devices.controller.begin(trigger)
            self._continuous.done(self._process(trigger, self._continuous.job))
        else:
            LOG.error("job %s ends: %s", self._continuous.job, refusal.cause, extra={"cause": refusal.cause})
            self._end(refusal.cause)
        self._show()

    # -- the way of a part

    def _process(self, command: Command, job: str = "") -> bool:
        """Give a part its answer; whether frames were inspected. `job`: the run that it belongs to."""
        part = self._new_part(command, job)
        try:
            named = bool(command.part_id) and not job and not self.gate.is_check(part.id)
            first = self.devices.register.take(part, named)
        except StoreError as error:
            self._cameras.skip(part.started)
            self._answer(part, refuse(ErrorCode.RECORD_FAILED, str(error)), ())
            return False
        if not first:
            self._refuse_repeated(part)
            return False
        if command.monotonic_s < self._answered_s or self._continuous.job != job:
            # It came while the part before was under way: nobody knows which of them its pictures show.
            self._cameras.skip(part.started)
            self._answer(part, refuse(ErrorCode.TRIGGER_OVERRUN, "triggered during another part"), ())
            return False
        self._show(part)
        frames: list[Frame] = []
        with self._deadline.over(part):
            decision = time_over(part) if part.aborted else self._refusal(part.id, command.recipe)
            if decision is None:
                decision, frames = self._inspect(part)
            else:
                self._cameras.skip(part.started)
            given = self._answer(part, decision, frames)
        self._after(part, given, frames)
        return bool(frames)

    def _refuse_repeated(self, part: Part) -> None:
        """A part gets one answer: the trigger is told that it had it, and no verdict."""
        self._cameras.skip(part.started)
        self.devices.note("repeated_part", f"part {part.id} was triggered again, but already has its answer")
        code = ErrorCode.REPEATED_PART
        LOG.error("part %s was triggered again", part.id, extra={"part": part.id, "error": int(code)})
        signal = replace(signal_of(part, refuse(code, ""), self.settings.name), verdict=None)
        self.devices.signal(signal, part.pilot)

    def _new_part(self, command: Command, job: str) -> Part:
        self._number += 1
        deadline_s = (self.settings.deadline_ms - self.settings.margin_ms) / 1e3
        active = self.recipes.active
        recipe = ("", 0) if active is None else (active.name, active.id)
        part = Part.from_trigger(command, self._number, self.settings.name, recipe, deadline_s)
        part.job, part.pilot = job, self.devices.pilot.on
        if self.gate.checks(part.id) is not None:
            part.purpose = "check"
        elif self.gate.blocked:
            part.purpose = "blocked"
        return part

    def _inspect(self, part: Part) -> tuple[Decision, list[Frame]]:
        """Grab and inspect; whatever goes wrong becomes NG with its cause."""
        frames: list[Frame] = []
        try:
            frames = self._cameras.grab(part, self._answered_s)
            if not part.is_answered:
                self._show(part)
            start = time.perf_counter()
            results = self.devices.worker.inspect([frame.image for frame in frames], self.recipes.keys(), part.until)
            part.inferred, part.stages_ms["inspect"] = time.time(), (time.perf_counter() - start) * 1e3
            self._cameras.check(part, frames, self.devices.controller.waiting())
            rule = self.settings.combine
            return combine(results, len(self.settings.views), rule.rule, rule.k), frames
        except CameraError as error:
            return refuse(CAMERA_CODES.get(error.reason, ErrorCode.CAMERA_BAD_FRAME), str(error)), frames
        except WorkerLateError as error:
            return time_over(part, str(error)), frames
        except WorkerError as error:
            return refuse(ErrorCode.INSPECTION_FAILED, str(error)), frames
        except Exception as error:  # fail closed: the part is NG, and the line goes on
            LOG.exception("part %s", part.id)
            return refuse(ErrorCode.INTERNAL, f"{type(error).__name__}: {error}"), frames

    def _answer(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> Decision:
        """Record and signal, once; what was answered. Where the deadline was first, what came after is only noted."""
        if part.claim_record():
            return self._give(part, decision, frames)
        if decision.results:
            LOG.warning("part %s: its result came after the deadline", part.id, extra={"part": part.id})
            self.devices.note("late_result", f"part {part.id}: {decision.verdict} came after the deadline")
        return time_over(part)

    def _too_late(self, part: Part) -> None:
        """The deadline's thread: nothing came in time, or the machine has aborted. NG needs no proof: it goes first."""
        start, signalled, self._answered_s = time.perf_counter(), time.time(), time.monotonic()
        told = self._signal(part, time_over(part), urgent=True)
        part.stages_ms["signal"] = (time.perf_counter() - start) * 1e3
        if part.claim_record():  # else the station is recording it, and corrects its record
            self._count(part, self._record(part, told, signalled, ()))

    def _give(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> Decision:
        """The record first: an OK that nobody could prove later is not given, nor one that took too long to prove."""
        start, signalled = time.perf_counter(), time.time()
        decision = self._record(part, decision, signalled, frames)
        recorded = time.perf_counter()
        part.stages_ms["record"] = (recorded - start) * 1e3
        mine = part.claim_answer()
        if not mine or (not decision.late and time.monotonic() >= part.until):  # an error of its own comes late as well
            cause = "no verdict was recorded before the deadline" if decision.valid else decision.cause
            decision = time_over(part, cause, decision.results)
            self.devices.recorder.correct(part, decision)
        if mine:
            self._answered_s = time.monotonic()  # before the machine knows, so that its next trigger comes after it
            told = self._signal(part, decision)
            part.stages_ms["signal"] = (time.perf_counter() - recorded) * 1e3
            if told is not decision:
                decision = told
                self.devices.recorder.correct(part, decision)
        self._count(part, decision)
        return decision

    def _record(self, part: Part, decision: Decision, signalled: float, frames: Sequence[Frame]) -> Decision:
        """What may be answered once it is recorded: NG where it cannot be."""
        try:
            self.devices.recorder.record(part, decision, signalled, frames)
        except Exception as error:  # noqa: BLE001  # fail closed: whatever kept it from being recorded
            if not decision.late:
                decision = refuse(ErrorCode.RECORD_FAILED, f"not recorded: {error}", results=decision.results)
            self.devices.recorder.defer(part, decision, signalled)
        return decision

    def _count(self, part: Part, decision: Decision) -> None:
        part.stages_ms["total"] = (time.monotonic() - part.started) * 1e3
        if decision.error:
            cause = {"part": part.id, "error": int(decision.error), "cause": decision.cause}
            LOG.error("part %s is NG: %s", part.id, decision.cause, extra=cause)
        mode = part.purpose if part.purpose != "production" else "pilot" if part.pilot else "production"
        stages = dict(part.stages_ms)
        self.devices.metrics.part(str(decision.verdict), mode, decision.error, decision.late, stages)

    def _signal(self, part: Part, decision: Decision, urgent: bool = False) -> Decision:
        """Answer the machine; the decision, or another one where the machine did not take it.

        That it is answered is noted first, unless a disk that hangs must not hold it up.
        """
        signal, failed = signal_of(part, decision, self.settings.name), ""
        if urgent:
            failed = self.devices.signal(signal, part.pilot)
        try:
            self.devices.register.answer(part)  # first: whatever dies from here on, nobody else answers it
        except StoreError as error:
            LOG.error("part %s: %s", part.id, error, extra={"part": part.id, "cause": str(error)})
        if not urgent:
            failed = self.devices.signal(signal, part.pilot)
        return decision if not failed else not_told(decision, failed)

    def _after(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> None:
        """What has time once the machine has its answer."""
        self.devices.live.show(part, decision, frames)
        if self.gate.checks(part.id) is not None:
            right = self.gate.verify(part.id, decision.verdict, decision.valid)
            self.devices.note("check", f"check part {part.id}: {'passed' if right else self.gate.failed}")
        else:
            self.gate.count_part()
        keys = self.recipes.shadow_keys()
        if keys and decision.valid and len(frames) == len(keys):
            with suppress(SightlineError):
                numbers = self.devices.worker.inspect_shadow([frame.image for frame in frames], keys)
                self.devices.shadow.watch(part, decision, numbers)

    # -- everything else

    def _refusal(self, part_id: str, requested: str = "") -> Decision | None:
        """Why a part cannot be inspected now; None where it can."""
        active = self.recipes.active
        if active is None:
            return refuse(
                ErrorCode.UNKNOWN_RECIPE,
                "no recipe is active: the requested one was not found. Request one of the station's recipes",
            )
        if requested and requested not in active.calls():
            cause = f"{active.name} ({active.id}) is active, and the trigger asks for recipe {requested!r}"
            return refuse(ErrorCode.OTHER_RECIPE, cause)
        if self.gate.blocked and self.gate.checks(part_id) is None:
            return refuse(ErrorCode.BLOCKED, self.gate.reason)
        if not self.devices.worker.ready:
            self.devices.worker.poll()
        if not self.devices.worker.ready:
            return refuse(ErrorCode.NOT_READY, self.devices.worker.fault or "the inspection worker is being started")
        return None

    def _change_over(self, command: Command) -> None:
        before, start = self.recipes.active, time.monotonic()
        done = self.recipes.change(command.recipe)
        self.gate.recipe = self.recipes.name
        self._error = ErrorCode.NONE if done else ErrorCode.UNKNOWN_RECIPE
        now = self.recipes.name or "none"
        took = (time.monotonic() - max(start, command.monotonic_s)) * 1e3
        text = f"from {before.name if before else 'none'} to {now} ({command.recipe!r} was requested) in {took:.1f} ms"
        LOG.log(logging.INFO if done else logging.ERROR, "changeover %s", text)
        self.devices.note("changeover", text)

    def _poll(self) -> None:
        """Look after everything that is not a part: a few times a second, and never for long."""
        now = time.monotonic()
        if now - self._polled_s < POLL_S:
            return
        self._polled_s = now
        self.devices.poll()
        self.devices.take_over(self.settings)
        for reply in self.devices.worker.take_shadows():
            compared = self.devices.shadow.compare(reply)
            if compared is not None:
                self._record_shadow(*compared)
        self.gate.tick(datetime.datetime.now().astimezone())
        assigned, pause = self.devices.assigned, now - self._busy_s > PAUSE_S
        if assigned.renew.is_set() and (pause or assigned.urgent) and not self._continuous.job:
            why = "the recipe was taken back" if assigned.urgent else "another recipe was rolled out"
            self.devices.note("rollout", f"{why}: the station starts anew with the one that it is to run")
            self.stopping.set()
        self._show()

    def _record_shadow(self, part: Part, active: ViewResult, shadow: ViewResult) -> None:
        self.devices.metrics.event("shadow_agrees" if active.verdict is shadow.verdict else "shadow_differs")
        try:
            self.devices.recorder.record_shadow(part, active, shadow)
        except SightlineError as error:
            LOG.error("part %s: its shadow's result is not recorded: %s", part.id, error, extra={"cause": str(error)})
            self.devices.metrics.event("shadow_lost")

    def status(self) -> Status:
        """What the machine is told between parts."""
        error, reason = self._error, ""
        if self.gate.blocked:
            error, reason = ErrorCode.BLOCKED, self.gate.reason
        elif not self.devices.worker.ready:
            reason = self.devices.worker.fault
            error = ErrorCode.RECIPE_NOT_USABLE if reason else ErrorCode.NOT_READY
        active = self.recipes.active
        # While blocked it takes triggers all the same: the check parts have to come.
        part, job = self._part, self._continuous.job
        ready = active is not None and self.devices.worker.ready and part is None and not job
        return Status(
            ready=ready,
            busy=part is not None,
            recipe="" if active is None else active.name,
            recipe_id=0 if active is None else active.id,
            error=int(error),
            pilot=self.devices.pilot.on,
            reason=reason,
            recipes=tuple(recipe.name for recipe in self.settings.recipes),
            calls=self.recipes.calls,
            changeovers=self.recipes.changes,
            part_id="" if part is None else part.id,
            job=job or ("" if part is None else part.id),
            acquired=part is not None and part.captured is not None,
            continuous=bool(job),
            not_continuous=self._continuous.why_not,
            not_begun=self._continuous.not_begun,
        )

    def _show(self, part: Part | None = None) -> None:
        self._part = part
        self.devices.show(self.status())
