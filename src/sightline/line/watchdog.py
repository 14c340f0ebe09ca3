"""The watchdog: a process of its own that holds the machine's link, and answers a part that the station does not.

The station's process may be killed, crash or hang at any moment, with drivers and runtimes in it. Here is nothing but
the protocol: every trigger passes through, and where the station's answer does not come in time, NG goes out from here.
"""

from __future__ import annotations

import logging
import signal as signals
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.heap import BufferWrapper
from multiprocessing.reduction import recv_handle
from typing import Any

from sightline.core.errors import SightlineError
from sightline.core.result import Verdict
from sightline.core.signals import Command, CommandKind, ErrorCode, Signal, Status
from sightline.line.answering import tell
from sightline.line.machine import Machine, Opening, open_machine
from sightline.line.part import key_of
from sightline.line.processes import Heartbeat, Hold, open_log

ALIVE_S = 2.0  # a station that sends nothing for so long, with no part under way, is not ready
LOOK_S, PAUSE_S = 0.2, 0.01
LEAVE_S = 10.0  # a station that ends in order may answer its last part for so long
MAX_UNREAD = 64  # commands that a silent station is sent: no pipe may fill up and hold up the watchdog
ANSWERED = 1000  # parts that are remembered, so that nobody answers them again
GIVEN, REPORTED = 10_000, 100  # own answers that wait to be recorded, the oldest go; how many are told at once
LOG = logging.getLogger("sightline.line.watchdog")


def keep_watch(control: Connection, memory: BufferWrapper) -> None:
    """The watchdog's process. A station's pipe comes over `control`; it ends when `control` closes."""
    for number in (signals.SIGINT, signals.SIGTERM):
        signals.signal(number, signals.SIG_IGN)  # the supervisor ends it, after the station
    heartbeat = Heartbeat(memory)
    watchdog, ended = Watchdog(), threading.Event()

    def serve() -> None:
        try:
            with suppress(EOFError, OSError):
                while True:
                    watchdog.join(Connection(recv_handle(control)))
            watchdog.leave(LEAVE_S)
        finally:
            ended.set()  # however this ends: nobody would end it later

    threading.Thread(target=serve, name="control", daemon=True).start()
    watchdog.watch(heartbeat.beat, ended)
    watchdog.close()


class Watchdog:
    """Stands between the machine and the station, and is the only one to answer: each trigger once.

    Three kinds of threads, none of which waits for another: one takes the machine's commands, one listens to the
    station, and the one that watches neither reads nor writes a pipe.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._opening: Opening | None = None
        self._machine: Machine | None = None
        self._hold: Hold | None = None
        self._pipe: Connection | None = None
        self._listener: threading.Thread | None = None
        self._accepting = False
        self._last_message_s, self._unread = 0.0, 0
        self._status = Status()
        self._pilot = False
        self._recipe: str | None = None  # the station's last
        self._changeover: Command | None = None  # asked for, and not yet shown by a station
        self._pending: dict[float, Command] = {}  # triggers without an answer, by their moment
        self._left: Command | None = None  # the last trigger whose picture no station expects: REFUSED
        self._answered: deque[float] = deque(maxlen=ANSWERED)
        self._given: dict[str, Signal] = {}

    def join(self, pipe: Connection) -> None:
        """A station has been started; the one before is dead, and its last messages are read first."""
        self.leave(1.0)
        with self._changed:
            self._pipe, self._accepting, self._last_message_s, self._unread = pipe, False, time.monotonic(), 0
        self._listener = threading.Thread(target=self._listen, args=(pipe,), name="station", daemon=True)
        self._listener.start()

    def leave(self, timeout_s: float) -> None:
        """Wait for the station to end; afterwards none is there."""
        if self._listener is not None:
            self._listener.join(timeout_s)
        if self._pipe is not None:
            self._station_ended(self._pipe)

    def watch(self, alive: Callable[[], None], ended: threading.Event) -> None:
        """Answer what is due until `ended` is set."""
        while not ended.is_set():
            alive()
            now = time.monotonic()
            with self._changed:
                due = [command for command in self._pending.values() if self._until(command) <= now]
                if not due:
                    left = [self._until(command) - now for command in self._pending.values()]
                    self._changed.wait(min([LOOK_S, *left]))
            try:
                for command in due:
                    self._refuse(command, ErrorCode.LATE, "the station has not answered")
                self._check_station(now)
            except Exception:  # whatever it was: the next part has to be answered
                LOG.exception("the watchdog failed")
                time.sleep(PAUSE_S)

    def close(self) -> None:
        """Let go of the machine."""
        with self._changed:
            machine, hold, self._machine, self._hold = self._machine, self._hold, None, None
            self._pending.clear()
        try:
            if machine is not None:
                machine.close()
        except Exception as error:  # noqa: BLE001  # whatever a protocol raises at its end
            LOG.error("closing: %s", error)
        if hold is not None:
            hold.close()

    def _until(self, command: Command) -> float:
        opening = self._opening
        return command.monotonic_s + (0.0 if opening is None else opening.until_s + opening.grace_s)

    def _check_station(self, now: float) -> None:
        """A station that hangs between parts takes none: the machine sees it before it triggers one."""
        with self._changed:
            silent = (
                self._accepting and not self._pending and now - self._last_message_s > ALIVE_S and self._status.ready
            )
        if silent:
            LOG.error("the station gives no sign of life")
            self._show(self._not_ready("the station gives no sign of life"))

    # -- from the machine

    def _take_commands(self, machine: Machine) -> None:
        while self._machine is machine:
            try:
                command = machine.wait(LOOK_S * 1e3)
                if command is not None:
                    self._hand_over(command)
            except Exception:  # whatever a protocol raises: the next command has to be taken
                LOG.exception("a command of the machine failed")
                time.sleep(LOOK_S)

    def _hand_over(self, command: Command) -> None:
        trigger = command.kind is CommandKind.TRIGGER
        with self._changed:
            pipe = self._pipe if self._accepting and self._unread < MAX_UNREAD else None
            self._unread += 1
            if command.kind in (CommandKind.RECIPE, CommandKind.UNPREPARE):
                self._changeover = command
            if trigger:
                self._pending[command.at] = command
                self._changed.notify_all()
            left, self._left = self._left, None
        commands = [command] if left is None else [left, command]
        if pipe is not None and all(self._send(pipe, "command", one) for one in commands):
            return
        refused = trigger or command.kind is CommandKind.REFUSED
        self._left = replace(command, kind=CommandKind.REFUSED) if refused else left
        if trigger:
            self._refuse(command, ErrorCode(self._status.error or ErrorCode.NOT_READY), "the station takes no parts")
        elif command is self._changeover:
            LOG.warning("passed on to the next station: %s %s", command.kind, command.recipe)
        elif not refused:
            LOG.warning("%s: there is no station to carry it out", command.kind)

    def _refuse(self, command: Command, code: ErrorCode, why: str) -> None:
        """NG for a part, in the station's stead, where it has no answer yet."""
        opening, machine, status = self._opening, self._machine, self._status
        if not self._claim(command.at) or opening is None or machine is None:
            return  # what came as the connection was released cannot be answered, and must not stay due for ever
        job = status.job if status.continuous and command.part_id.startswith(f"{status.job}-") else ""
        answer = Signal(
            part_id=command.part_id, verdict=Verdict.NG, valid=False, recipe=status.recipe, recipe_id=status.recipe_id,
            station=opening.station, error=int(code), late=code is ErrorCode.LATE, triggered=command.at,
            key=key_of(opening.station, command.at), job=job, pilot=self._pilot,
        )  # fmt: skip
        self._log_failures(tell([machine], answer, answer.pilot), answer)
        told = {"part": answer.part_id, "error": answer.error, "cause": why}
        LOG.error("part %s is NG: %s", answer.part_id or "without an id", why, extra=told)
        self._keep(answer)

    def _keep(self, answer: Signal) -> None:
        """Have the station record what the machine got of a part, other than its own answer."""
        with self._changed:
            self._given[answer.key] = answer
            while len(self._given) > GIVEN:
                self._given.pop(next(iter(self._given)))

    def _claim(self, triggered: float) -> bool:
        """Whether a trigger has no answer yet; from now on it has."""
        with self._changed:
            self._pending.pop(triggered, None)
            if triggered in self._answered:
                return False
            self._answered.append(triggered)
            return True

    # -- from the station

    def _listen(self, pipe: Connection) -> None:
        try:
            while True:
                kind, value = pipe.recv()
                with self._changed:
                    if self._pipe is not pipe:
                        return  # it was given up while it hung
                    self._last_message_s, self._unread = time.monotonic(), 0
                self._take(pipe, kind, value)
        except (EOFError, OSError):
            pass
        except Exception:  # a message that is none: its station is as good as dead
            LOG.exception("the station's messages cannot be read")
        finally:
            self._station_ended(pipe)
            with self._sending:
                pipe.close()  # a station that lives all the same ends by it, and the supervisor starts the next

    def _take(self, pipe: Connection, kind: str, value: Any) -> None:
        if kind == "send":
            self._take_answer(value)
        elif kind == "begin":
            with self._changed:
                self._pending[value.at] = value
                self._changed.notify_all()
        elif kind == "show":
            self._pilot = value.pilot
            if value.recipes:  # else it is no longer, or not yet, at work
                self._recipe = value.recipe
                if self._changeover is not None and _is_done(self._changeover, value):
                    self._changeover = None
            self._show(value)
            self._report(pipe)
        elif kind == "open":
            refused = self._open(value)
            self._report(pipe)
            self._send(pipe, "opened", (refused, self._recipe))
        elif kind == "recorded":
            with self._changed:
                self._given.pop(value, None)
        elif kind == "accept":
            self._accept(pipe)
        else:
            self._accepting = False
            self._show(_idle(self._status))

    def _take_answer(self, answer: Signal) -> None:
        with self._changed:
            asked = self._pending.get(answer.triggered)
        if answer.valid and asked is not None and self._until(asked) <= time.monotonic():
            # It was in time, and held up on its way: what has a verdict goes out before the deadline or not at all.
            self._refuse(asked, ErrorCode.LATE, "the station's answer came too late")
        elif self._claim(answer.triggered):
            machine = self._machine
            wrong = ["the connection was released"] if machine is None else tell([machine], answer, answer.pilot)
            self._log_failures(wrong, answer)
            if wrong and answer.error != ErrorCode.REPEATED_PART:  # such a trigger has no record of its own
                code = int(ErrorCode.NOT_TOLD)
                self._keep(replace(answer, verdict=Verdict.NG, valid=False, late=True, error=code, defects=()))
        else:
            LOG.warning("part %s: the station's answer came too late", answer.part_id, extra={"part": answer.part_id})

    def _accept(self, pipe: Connection) -> None:
        """The station takes parts from now on; first the changeover that came while none was there, or died with it."""
        told: Command | None = None
        while True:
            with self._changed:
                if self._changeover is told:
                    self._accepting = True
                    return
                told = self._changeover
            self._send(pipe, "command", told)  # outside: a station that hangs may hold it up

    def _open(self, opening: Opening) -> str:
        """Open the machine, or keep the one that is open; why it cannot be opened, "" where it is."""
        self._pilot = opening.pilot
        if opening == self._opening and self._machine is not None:
            return ""
        self.close()
        try:
            open_log(opening.station, opening.folder, file=f"{opening.station}-watchdog", apart=True)
            self._hold = Hold(opening.folder, "link.db")
            machine = open_machine(opening.controller)
        except (SightlineError, OSError) as error:
            self.close()
            return str(error)
        self._opening, self._machine, self._recipe, self._changeover = opening, machine, None, None
        self._show(self._not_ready("the station is being started"))
        threading.Thread(target=self._take_commands, args=(machine,), name="commands", daemon=True).start()
        return ""

    def _station_ended(self, pipe: Connection) -> None:
        """The station is dead: its parts are answered now, not at its deadline."""
        with self._changed:
            if self._pipe is not pipe:
                return
            self._pipe, self._accepting = None, False
            left = list(self._pending.values())
            if left:
                self._left = replace(left[-1], kind=CommandKind.REFUSED)
        for command in left:
            self._refuse(command, ErrorCode.LATE, "the station's process died during the part")
        if self._opening is not None:
            self._show(self._not_ready("the station's process has gone"))

    def _not_ready(self, reason: str) -> Status:
        return replace(_idle(self._status), error=int(ErrorCode.NOT_READY), pilot=self._pilot, reason=reason)

    def _show(self, status: Status) -> None:
        self._status, machine = status, self._machine
        try:
            if machine is not None:
                machine.show(status)
        except Exception as error:  # noqa: BLE001  # a status that cannot be shown keeps no part from its answer
            LOG.error("the status cannot be sent to the machine: %s", error)

    def _report(self, pipe: Connection) -> None:
        """Tell the station how the link is, and which parts were answered in its stead."""
        machine = self._machine
        if machine is not None:
            with self._changed:
                given = list(islice(self._given.values(), REPORTED))
            self._send(pipe, "told", (machine.health(), given))

    def _send(self, pipe: Connection, kind: str, value: object) -> bool:
        try:
            with self._sending:
                pipe.send((kind, value))
        except OSError:
            return False  # its listener notices, too
        return True

    def _log_failures(self, wrong: list[str], answer: Signal) -> None:
        for error in wrong:
            LOG.error("part %s: %s", answer.part_id, error, extra={"part": answer.part_id, "cause": error})


def _is_done(changeover: Command, status: Status) -> bool:
    """Whether a station shows what was asked for: the recipe, none where it has none of that name, or another one."""
    named = status.calls.get(changeover.recipe, "")
    if changeover.kind is CommandKind.UNPREPARE:
        return not status.recipe or (bool(changeover.recipe) and named != status.recipe)
    return named == status.recipe


def _idle(status: Status) -> Status:
    """The same of a station without a part or a run."""
    return replace(status, ready=False, busy=False, part_id="", job="", acquired=False, continuous=False)
