"""Answering: what the machine and every sink are told of a part, also of one whose station did not answer it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from sightline.core.errors import SightlineError
from sightline.core.signals import ErrorCode, Signal
from sightline.devices.sinks.port import Controller, Sink
from sightline.line.decision import Decision, refuse
from sightline.line.part import Part
from sightline.line.recorder import Recorder
from sightline.line.register import Register
from sightline.line.settings import StationSettings

LOG = logging.getLogger("sightline.line.answering")


def signal_of(part: Part, decision: Decision, station: str) -> Signal:
    """What the machine is told of a part."""
    return Signal(
        part_id=part.id,
        verdict=decision.verdict,
        valid=decision.valid,
        recipe=part.recipe,
        recipe_id=part.recipe_id,
        station=station,
        error=int(decision.error),
        score=decision.score,
        late=decision.late,
        purpose=part.purpose,
        job=part.job,
        defects=decision.defects,
        triggered=part.triggered,
        captured=part.captured,
        key=part.key,
    )


def tell(sinks: Sequence[Sink], signal: Signal, pilot: bool) -> list[str]:
    """Hand a signal to every sink; what went wrong with any of them, in words.

    In pilot mode those that a machine reads get no verdict, and all others are told that it is one of the pilot.
    """
    signal = replace(signal, pilot=pilot)
    wrong = []
    for sink in sinks:
        try:
            sink.send(replace(signal, verdict=None, defects=()) if pilot and isinstance(sink, Controller) else signal)
        except Exception as error:  # noqa: BLE001  # a sink that fails, however it does, holds up nobody
            wrong.append(str(error))
    return wrong


def answer_for_the_dead(
    settings: StationSettings, part: Part, sinks: Sequence[Sink], register: Register, recorder: Recorder
) -> None:
    """NG for a part that was under way when everything died, the watchdog too: it has had no answer."""
    decision = refuse(ErrorCode.LATE, "the station's process died during the part", late=True)
    _answer(settings, part, decision, sinks, register, recorder)


def take_over(
    settings: StationSettings,
    signal: Signal,
    others: Sequence[Sink],
    register: Register,
    recorder: Recorder,
    alive: bool,
) -> None:
    """Record an answer that the watchdog gave, or could not hand on, whatever the station had recorded of this part.

    The `others` are told, too, but not of a part that a station which is `alive` had taken: it tells them itself.
    """
    taken = None
    try:
        taken = register.find(signal.key)
        part = taken or Part.from_signal(signal)
        if taken is None:
            checks = {check.part_id for check in settings.interlock.parts}
            register.take(part, bool(part.id) and not signal.job and part.id not in checks)
    except SightlineError as error:
        LOG.error("part %s: %s", signal.part_id, error, extra={"part": signal.part_id, "cause": str(error)})
        part = Part.from_signal(signal)
    part.job, part.pilot, code = signal.job, signal.pilot, ErrorCode(signal.error)
    cause = "the watchdog answered: " + ("no answer of the station" if signal.late else "the station took no parts")
    if code is ErrorCode.NOT_TOLD:
        cause = "the machine did not receive the station's answer. The watchdog's log says why"
    told = () if alive and taken is not None else others
    _answer(settings, part, refuse(code, cause, late=signal.late), told, register, recorder, signal.decided)


def _answer(
    settings: StationSettings,
    part: Part,
    decision: Decision,
    sinks: Sequence[Sink],
    register: Register,
    recorder: Recorder,
    signalled: float | None = None,
) -> None:
    LOG.error("part %s is NG: %s", part.id, decision.cause, extra={"part": part.id, "cause": decision.cause})
    wrong, when = [], time.time() if signalled is None else signalled
    try:
        register.answer(part)
    except SightlineError as error:
        wrong.append(str(error))
    wrong += tell(sinks, signal_of(part, decision, settings.name), part.pilot)
    try:
        recorder.record(part, decision, when, ())
    except SightlineError as error:
        wrong.append(str(error))
        recorder.defer(part, decision, when)
    recorder.correct(part, decision)  # an OK may have been recorded that was never said
    for cause in wrong:
        LOG.error("part %s: %s", part.id, cause, extra={"part": part.id, "cause": cause})
