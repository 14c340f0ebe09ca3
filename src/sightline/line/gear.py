"""The gear: what a station works with, opened from its settings and looked after as one."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import cast

from sightline.core.command import Command, CommandKind
from sightline.core.errors import SettingError, SightlineError
from sightline.core.signal import Signal
from sightline.core.status import Status
from sightline.devices.cameras.camera import Camera
from sightline.devices.cameras.table import open_camera
from sightline.devices.sinks.port import Controller, Sink
from sightline.devices.sinks.table import open_sink
from sightline.line.hold import Hold
from sightline.line.judge import Load
from sightline.line.judging import Judge
from sightline.line.metrics import Metrics
from sightline.line.recipes import Recipes
from sightline.line.recorder import Recorder
from sightline.line.settings import StationSettings
from sightline.line.shadow import Shadow

WISHES = 32  # that wait for the station; the oldest gives way
LOG = logging.getLogger("sightline.line.gear")


@dataclass
class Desk:
    """The machine's wishes, and those that came over the station's own port: one queue for the station."""

    machine: Controller
    wishes: deque[Command] = field(default_factory=lambda: deque(maxlen=WISHES))
    _held: Command | None = None

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command, of the port or of the machine, whichever was given first.

        A part that was triggered after a wish was accepted is judged by what was wished, one from before it is not.
        """
        if self._held is None:
            self._held = self.machine.wait(0.0 if self.wishes else timeout_ms)
        if self.wishes and (self._held is None or self.wishes[0].monotonic_s <= self._held.monotonic_s):
            return self.wishes.popleft()
        command, self._held = self._held, None
        return command

    def show(self, status: Status) -> None:
        """Tell the machine about the station."""
        self.machine.show(status)

    def wish(self, recipe: str) -> None:
        """Ask for a changeover, from any thread."""
        self.wishes.append(Command(kind=CommandKind.RECIPE, recipe=recipe))


@dataclass
class Gear:
    """Cameras (one per view), the judge, who is told, who records, and who counts."""

    controller: Desk
    cameras: Sequence[Camera]
    sinks: Sequence[Sink]
    judge: Judge
    recorder: Recorder
    metrics: Metrics
    hold: Hold
    shadow: Shadow = field(default_factory=Shadow)

    def signal(self, signal: Signal, pilot: bool = False) -> None:
        """Hand a part's answer to every sink; one that fails does not keep it from the others.

        In pilot mode those that a machine reads get no verdict.
        """
        for sink in self.sinks:
            try:
                sink.send(replace(signal, verdict=None) if pilot and isinstance(sink, Controller) else signal)
            except Exception as error:  # noqa: BLE001  # a sink that fails, however it does, holds up nobody
                LOG.error("part %s: %s", signal.part_id, error, extra={"part": signal.part_id, "cause": str(error)})
                self.metrics.event("signal_refused")

    def note(self, kind: str, text: str) -> None:
        """Record what happened beside parts."""
        self.metrics.event(kind)
        try:
            self.recorder.note(kind, text)
        except (SightlineError, OSError) as error:
            LOG.error("%s: %s; it could not be recorded: %s", kind, text, error, extra={"kind": kind})

    def tend(self) -> None:
        """Look after the judge, and measure everybody's health."""
        self.recorder.tend()
        restarts = self.judge.restarts
        self.judge.tend()
        if self.judge.restarts > restarts:
            self.note("judge_restart", "the judge's process was replaced")
        for camera in self.cameras:
            health, name = camera.health(), camera.settings.name
            self.metrics.level("camera_connected", health.connected, "1: connected", camera=name)
            self.metrics.level("camera_dropped", health.dropped, "frames lost", camera=name)
            self.metrics.level("camera_reconnects", health.reconnects, "connections opened again", camera=name)
        for number, sink in enumerate(self.sinks):
            health = sink.health()
            self.metrics.level("sink_connected", health.connected, "1: connected", sink=str(number))
            self.metrics.level("sink_waiting", health.waiting, "messages kept for later", sink=str(number))
        self.metrics.level("records_waiting", self.recorder.waiting, "records not yet in the database")
        self.metrics.level("pictures_dropped", self.recorder.pictures_dropped, "pictures that were not kept in time")

    def sick(self) -> list[str]:
        """What does not work now, in words; empty where all is well."""
        found = [f"camera {camera.settings.name}: {camera.health().error or 'not connected'}"
                 for camera in self.cameras if not camera.health().connected]  # fmt: skip
        found += [f"sink {number}: {sink.health().error or 'not connected'}"
                  for number, sink in enumerate(self.sinks) if not sink.health().connected]  # fmt: skip
        if not self.judge.ready and self.judge.fault:
            found.append(self.judge.fault)
        if self.recorder.fault:
            found.append(self.recorder.fault)
        return found

    def close(self) -> None:
        """Close everything, the recorder last: it has the longest memory."""
        closing = [camera.close for camera in self.cameras] + [sink.close for sink in self.sinks]
        for close in (*closing, self.judge.close, self.recorder.close, self.hold.close):
            try:
                close()
            except Exception as error:  # noqa: BLE001  # the others want to be closed, too
                LOG.error("closing: %s", error)


def open_gear(settings: StationSettings) -> Gear:
    """Everything that a station needs. Raises SettingError, RecipeError or MissingExtraError with the remedy.

    Devices that are away do not keep it from starting: they are looked for in the background.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    load = Load(
        files=Recipes(settings).files(),
        threads=settings.threads,
        engine=settings.engine,
        precision=settings.precision,
        mm_per_px={view.name: view.mm_per_px for view in settings.views if view.mm_per_px is not None},
        public_key=None if settings.public_key is None else str(settings.public_key),
    )
    with ExitStack() as undo:
        hold = Hold(settings.folder)
        undo.callback(hold.close)
        judge = Judge(load, len(settings.views), round(settings.frame_mb * 2**20))
        undo.callback(judge.close)
        machine = open_sink(settings.controller)
        undo.callback(machine.close)
        if not isinstance(machine, Controller):
            kind = settings.controller.get("kind")
            raise SettingError(f"controller: a {kind} sink takes no commands. Choose modbus, opcua, s7 or mqtt")
        sinks: list[Sink] = [cast(Sink, machine)]
        for values in settings.sinks:
            sinks.append(open_sink(values))
            undo.callback(sinks[-1].close)
        cameras: list[Camera] = []
        for view in settings.views:
            cameras.append(open_camera(view.camera))
            undo.callback(cameras[-1].close)
        judge.wait_ready()
        recorder = Recorder(settings)
        undo.pop_all()
    return Gear(Desk(machine), cameras, sinks, judge, recorder, Metrics(settings.name, settings.folder), hold)
