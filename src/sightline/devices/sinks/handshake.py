"""The handshake with a PLC: levels and edges, whatever protocol carries them.

The PLC raises `trigger` while `ready` is on; the station answers with `busy` at once, later with the result and `valid`
together; the PLC reads it, raises `acknowledge`, the station takes `valid` away, and `ready` comes again.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from dataclasses import dataclass, replace

from sightline.core.errors import SinkError
from sightline.core.result import Verdict
from sightline.core.signals import Command, CommandKind, ErrorCode, Signal, Status

VERDICTS = {None: 0, Verdict.OK: 1, Verdict.NG: 2, Verdict.REVIEW: 3}
HEARTBEAT_S = 0.25
ALIVE_S = 2.0
COMMANDS_MAX = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the PLC says: four levels, of which rising edges count, its heartbeat, the part and the recipe it means."""

    trigger: bool = False
    acknowledge: bool = False
    recipe_request: bool = False
    reset: bool = False
    heartbeat: int = 0
    recipe_id: int = 0
    part_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What the station says. `verdict` is 0 none, 1 OK, 2 NG, 3 REVIEW; `number` counts results from 1.

    `error` is that of the part while `valid`, else the station's; `station_error` is the station's at all times. Of the
    most conspicuous of `defects` places: view (from 1), box (x, y, width, height), area in px, and type.
    """

    ready: bool = False
    busy: bool = False
    valid: bool = False
    inspected: bool = False
    late: bool = False
    recipe_done: bool = False
    pilot: bool = False
    heartbeat: int = 0
    verdict: int = 0
    error: int = 0
    station_error: int = 0
    recipe_id: int = 0
    number: int = 0
    score: float = 0.0
    duration_ms: int = 0
    part_id: str = ""
    defects: int = 0
    defect_view: int = 0
    defect_box: tuple[int, int, int, int] = (0, 0, 0, 0)
    defect_area_px: int = 0
    defect_type: str = ""


class Handshake:
    """The state between one PLC and one station. Safe to share between threads; every answer is one whole snapshot.

    With `acknowledge` a result stays until the PLC acknowledges it, up to `waiting_max` more wait behind it, and
    after `acknowledge_ms` the error NO_ACKNOWLEDGE is shown; without it, each result replaces the one before.
    """

    def __init__(self, acknowledge: bool = True, acknowledge_ms: float = 5000.0, waiting_max: int = 8) -> None:
        self._acknowledge, self._acknowledge_s, self._waiting_max = acknowledge, acknowledge_ms / 1e3, waiting_max
        self._changed = threading.Condition()
        self._commands: collections.deque[Command] = collections.deque()
        self._waiting: collections.deque[Signal] = collections.deque()
        self._inputs: Inputs | None = None
        self._status = Status()
        self._current: Signal | None = None
        self._valid = self._running = False
        self._trigger: Command | None = None  # the latest that was accepted
        # Moments of triggers that were reset before their result came: it is nobody's any more.
        self._given_up: collections.deque[float] = collections.deque(maxlen=COMMANDS_MAX)
        self._valid_since = self._touched = self._plc_changed = time.monotonic()
        self._own_error = ErrorCode.NONE
        self._wanted_recipe: int | None = None
        self._waiters = self._number = self._beat = 0
        self._beat_at = time.monotonic()

    def forget(self) -> None:
        """After a new connection: levels that are high now are no edges, so no old trigger is taken for a new one."""
        with self._changed:
            self._inputs = None

    def take(self, inputs: Inputs) -> None:
        """What the PLC says now."""
        with self._changed:
            before, self._inputs = self._inputs, inputs
            if before is None or before.heartbeat != inputs.heartbeat:
                self._plc_changed = time.monotonic()
            if before is None:
                self._show_next()
                return
            if inputs.acknowledge and not before.acknowledge:
                self._valid = False
                if self._own_error is ErrorCode.NO_ACKNOWLEDGE:
                    self._own_error = ErrorCode.NONE
            if inputs.reset and not before.reset:
                self._reset()
            if inputs.recipe_request and not before.recipe_request:
                self._wanted_recipe = inputs.recipe_id
                self._command(Command(kind=CommandKind.RECIPE, recipe=str(inputs.recipe_id)))
            if not inputs.recipe_request:
                self._wanted_recipe = None
            if inputs.trigger and not before.trigger:
                self._take_trigger(inputs)
            self._show_next()

    def outputs(self) -> Outputs:
        """What the station says now."""
        with self._changed:
            current = self._current if self._valid or not self._acknowledge else None
            status, pilot = self._status, self._status.pilot
            station_error = self._station_error()
            defects = () if current is None or pilot else current.defects
            worst = defects[0] if defects else {}
            return Outputs(
                ready=self._ready(),
                # The station may not have said yet that the part is done: never both, as the diagram has it.
                busy=(self._running or status.busy) and not self._valid,
                valid=self._valid,
                inspected=current is not None and current.valid,
                late=current is not None and current.late,
                recipe_done=self._wanted_recipe is not None
                and status.recipe_id == self._wanted_recipe
                and status.ready,
                pilot=pilot,
                heartbeat=self._heartbeat(),
                verdict=0 if current is None or pilot else VERDICTS[current.verdict],
                error=current.error if current is not None and self._valid else station_error,
                station_error=station_error,
                recipe_id=status.recipe_id,
                number=self._number,
                score=0.0 if current is None or current.score is None else current.score,
                duration_ms=0 if current is None else max(0, round((current.decided - current.triggered) * 1e3)),
                part_id="" if current is None else current.part_id,
                defects=len(defects),
                defect_view=worst.get("view_number", 0),
                defect_box=tuple(map(round, worst.get("box", (0, 0, 0, 0)))),
                defect_area_px=round(worst.get("area_px", 0)),
                defect_type=worst.get("type", ""),
            )

    def present(self, signal: Signal) -> None:
        """Show a result, or let it wait for the acknowledgement of the one before.

        Raises SinkError where many wait, and where the PLC has reset the part's trigger.
        """
        with self._changed:
            self._touched = time.monotonic()
            if signal.triggered in self._given_up:
                raise SinkError(f"the result of part {signal.part_id} is not shown: the PLC has reset its trigger")
            if self._acknowledge and (self._valid or self._acknowledging() or self._waiting):
                if len(self._waiting) >= self._waiting_max:
                    raise SinkError(
                        f"{len(self._waiting)} results are waiting for the PLC's acknowledgement. Check the PLC's "
                        "program"
                    )
                self._waiting.append(signal)
            else:
                self._show(signal)
            self._running = False

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command of the PLC."""
        with self._changed:
            self._waiters += 1
            self._changed.wait_for(lambda: bool(self._commands), timeout_ms / 1e3)
            self._waiters -= 1
            self._touched = time.monotonic()
            return self._commands.popleft() if self._commands else None

    def show(self, status: Status) -> None:
        """The station's status."""
        with self._changed:
            self._touched = time.monotonic()
            self._status = status

    def plc_silent_s(self) -> float:
        """Seconds since the PLC's heartbeat last changed."""
        return time.monotonic() - self._plc_changed

    def _reset(self) -> None:
        """Give up the part under way and what waits, so that the next trigger's result is the only one to come."""
        # A result that nobody acknowledged goes, too: its link may have been lost before the PLC saw it.
        if self._running and self._trigger is not None:
            self._given_up.append(self._trigger.at)
        for index, command in enumerate(self._commands):
            if command.kind is CommandKind.TRIGGER:  # its picture comes all the same
                self._commands[index] = replace(command, kind=CommandKind.REFUSED)
        self._own_error, self._running, self._valid = ErrorCode.NONE, False, False
        self._waiting.clear()
        self._command(Command(kind=CommandKind.RESET))

    def _take_trigger(self, inputs: Inputs) -> None:
        if not self._ready():
            occupied = self._running or self._valid or self._status.busy
            self._own_error = ErrorCode.TRIGGER_OVERRUN if occupied else ErrorCode.NOT_READY
            self._command(Command(kind=CommandKind.REFUSED, part_id=inputs.part_id))
            return
        self._running = True
        # Without acknowledgement the result before is still there: it must not be taken for this part's.
        self._current, self._valid = None, False
        self._own_error = ErrorCode.NONE
        requested = str(inputs.recipe_id) if inputs.recipe_id else ""
        self._trigger = Command(kind=CommandKind.TRIGGER, part_id=inputs.part_id, recipe=requested)
        self._command(self._trigger)

    def _acknowledging(self) -> bool:
        return self._inputs is not None and self._inputs.acknowledge

    def _show_next(self) -> None:
        """The next result that waits; not before the acknowledgement is gone, so the PLC sees `valid` go and come."""
        if self._waiting and not self._valid and not self._acknowledging():
            self._show(self._waiting.popleft())

    def _show(self, signal: Signal) -> None:
        self._current, self._valid, self._valid_since = signal, True, time.monotonic()
        self._number = self._number % 0xFFFFFFFF + 1

    def _command(self, command: Command) -> None:
        if len(self._commands) >= COMMANDS_MAX:
            # A station that takes no commands any more is not ready either: its heartbeat has stopped.
            self._own_error = ErrorCode.NOT_READY
            return
        self._commands.append(command)
        self._changed.notify_all()

    def _ready(self) -> bool:
        occupied = self._running or (self._acknowledge and (self._valid or bool(self._waiting)))
        return self._status.ready and not occupied and self._alive()

    def _alive(self) -> bool:
        return self._waiters > 0 or time.monotonic() - self._touched < ALIVE_S

    def _heartbeat(self) -> int:
        now = time.monotonic()
        if self._alive() and now - self._beat_at >= HEARTBEAT_S:
            self._beat, self._beat_at = (self._beat + 1) % 0x10000, now
        return self._beat

    def _station_error(self) -> int:
        late = self._acknowledge and self._valid and time.monotonic() - self._valid_since > self._acknowledge_s
        if late:
            self._own_error = ErrorCode.NO_ACKNOWLEDGE
        return self._status.error or int(self._own_error)
