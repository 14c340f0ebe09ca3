"""What a station works with, opened from its settings and looked after as one, and what it counts."""

from __future__ import annotations

import logging
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sightline.core.errors import RecipeError, SightlineError
from sightline.core.signals import Command, CommandKind, Signal, Status
from sightline.devices.cameras.camera import Camera
from sightline.devices.cameras.table import open_camera
from sightline.devices.sinks.port import Aborting, Controller, Sink
from sightline.devices.sinks.table import open_sink, read_sink
from sightline.line.adaptations import Adaptations
from sightline.line.answering import answer_for_the_dead, take_over, tell
from sightline.line.assigned import Assigned, Source, StoreRecipes
from sightline.line.forwarding import Forwarder
from sightline.line.inspection_client import InspectionWorker, Shadow, WorkerError
from sightline.line.inspection_worker import Load
from sightline.line.journal import open_store
from sightline.line.live import Live
from sightline.line.machine import Opening, Remote, open_machine
from sightline.line.pilot import Pilot
from sightline.line.processes import Hold
from sightline.line.recipes import Loaded, Recipes
from sightline.line.recorder import Recorder
from sightline.line.register import Register
from sightline.line.settings import StationSettings
from sightline.line.site import Site, SiteRecipes

STAGES = ("grab", "inspect", "record", "signal", "total")
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.5, 1.0, 2.0)
MAX_REQUESTS = 32  # that wait for the station; the oldest gives way
LOG = logging.getLogger("sightline.line.devices")


class Metrics:
    """Counters, gauges and histograms; every one carries the station's name."""

    def __init__(self, station: str, folder: Path) -> None:
        self.registry = CollectorRegistry()
        self._station, self._folder = station, folder
        self._parts = self._counter(
            "parts",
            "parts by verdict and mode; check and blocked ones are in no yield",
            "verdict",
            "mode",
        )
        self._errors = self._counter("errors", "parts that could not be inspected, by error code", "code")
        self._late = self._counter("deadline_misses", "parts that were answered by the deadline")
        self._events = self._counter("events", "what happened beside parts, by kind", "kind")
        self._stages = Histogram(
            "sightline_stage_seconds", "seconds of each stage", ("station", "stage"), buckets=BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self._levels: dict[str, Gauge] = {}
        self.level("disk_free_bytes", 0, "free space where the station writes")

    def part(self, verdict: str, mode: str, error: int, late: bool, stages_ms: Mapping[str, float]) -> None:
        """Count one part's answer."""
        self._parts.labels(self._station, verdict, mode).inc()
        if error:
            self._errors.labels(self._station, str(error)).inc()
        if late:
            self._late.labels(self._station).inc()
        for stage, ms in stages_ms.items():
            if stage in STAGES:
                self._stages.labels(self._station, stage).observe(ms / 1e3)

    def event(self, kind: str) -> None:
        """Count an event: a changeover, a restart, a picture that was dropped."""
        self._events.labels(self._station, kind).inc()

    def level(self, name: str, value: float, what: str = "", **labels: str) -> None:
        """Set a gauge, for instance how many messages wait."""
        if name not in self._levels:
            names = ("station", *labels)
            self._levels[name] = Gauge(f"sightline_{name}", what or name, names, registry=self.registry)
        self._levels[name].labels(self._station, *labels.values()).set(value)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        self.level("disk_free_bytes", shutil.disk_usage(self._folder).free)
        return generate_latest(self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"sightline_{name}", what, ("station", *labels), registry=self.registry)


@dataclass
class CommandQueue:
    """The machine's commands, and requests that came over the station's own port: one queue for the station."""

    machine: Controller
    requests: deque[Command] = field(default_factory=lambda: deque(maxlen=MAX_REQUESTS))
    _held: deque[Command] = field(default_factory=deque)  # the machine's, that are obeyed later

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command, of the port or of the machine, whichever was given first.

        The requested recipe applies to parts that are triggered after the request was accepted, and to none before it.
        """
        if not self._held and (command := self.machine.wait(0.0 if self.requests else timeout_ms)) is not None:
            self._held.append(command)
        if self.requests and (not self._held or self.requests[0].monotonic_s <= self._held[0].monotonic_s):
            return self.requests.popleft()
        return self._held.popleft() if self._held else None

    def waiting(self) -> list[Command]:
        """The machine's commands that have come by now and wait for their turn, the first `MAX_REQUESTS` of them."""
        while len(self._held) < MAX_REQUESTS and (command := self.machine.wait(0.0)) is not None:
            self._held.append(command)
        return list(self._held)

    def show(self, status: Status) -> None:
        """Tell the machine about the station."""
        self.machine.show(status)

    def on_abort(self, call: Callable[[], None]) -> None:
        """Have `call` called at once when the machine aborts, where it can."""
        if isinstance(self.machine, Aborting):
            self.machine.on_abort(call)

    def begin(self, trigger: Command) -> None:
        """Tell the watchdog, where there is one, of a part that the machine has not triggered."""
        if isinstance(self.machine, Remote):
            self.machine.begin(trigger)

    def request_recipe(self, recipe: str) -> None:
        """Ask for a changeover, from any thread."""
        self.requests.append(Command(kind=CommandKind.RECIPE, recipe=recipe))

    def request(self, kind: CommandKind) -> None:
        """Ask for something that needs no more words, from any thread."""
        self.requests.append(Command(kind=kind))


@dataclass
class Devices:
    """Cameras (one per view), the inspection worker, the sinks, the recorder and the metrics."""

    controller: CommandQueue
    cameras: list[Camera]
    sinks: Sequence[Sink]
    worker: InspectionWorker
    recorder: Recorder
    metrics: Metrics
    hold: Hold
    register: Register
    names: Sequence[str]  # of the sinks
    pilot: Pilot
    adaptations: Adaptations
    assigned: Assigned
    forwarder: Forwarder | None = None  # to the site, where there is one
    remote: Remote | None = None  # the machine, where the watchdog's process holds it
    changes: Sequence[str] = ()  # recipes whose files are others than at the last start, in words
    shadow: Shadow = field(default_factory=Shadow)
    live: Live = field(default_factory=Live)
    _learned: dict[str, tuple[Path, str]] = field(default_factory=dict)

    def signal(self, signal: Signal, pilot: bool = False) -> str:
        """Hand a part's answer to every sink, whichever fails; why the machine did not take it, "" where it did."""
        machine, others = tell(self.sinks[:1], signal, pilot), tell(self.sinks[1:], signal, pilot)
        for error in (*machine, *others):
            LOG.error("part %s: %s", signal.part_id, error, extra={"part": signal.part_id, "cause": error})
            self.metrics.event("signal_refused")
        return machine[0] if machine else ""

    def show(self, status: Status) -> None:
        """Tell the machine about the station, and every sink that can show it."""
        self.controller.show(status)
        for sink in self.sinks[1:]:
            if not isinstance(sink, Controller):
                continue
            try:
                sink.show(status)
            except Exception as error:  # noqa: BLE001  # a sink that fails holds up nobody
                LOG.error("sink %s: the status cannot be shown: %s", self.names[self.sinks.index(sink)], error)

    def note(self, kind: str, text: str) -> None:
        """Record what happened beside parts."""
        self.metrics.event(kind)
        try:
            self.recorder.note(kind, text)
        except (SightlineError, OSError) as error:
            LOG.error("%s: %s; it could not be recorded: %s", kind, text, error, extra={"kind": kind})

    def poll(self) -> None:
        """Look after the inspection worker, and measure the health of cameras and sinks."""
        self.recorder.poll()
        restarts = self.worker.restarts
        self.worker.poll()
        if self.worker.restarts > restarts:
            self.note("worker_restart", "the inspection worker was replaced")
        self._adapt()
        for camera in self.cameras:
            health, name = camera.health(), camera.settings.name
            self.metrics.level("camera_connected", health.connected, "1: connected", camera=name)
            self.metrics.level("camera_dropped", health.dropped, "frames lost", camera=name)
            self.metrics.level("camera_other_parts", health.other_parts, "pictures sent for another part", camera=name)
            self.metrics.level("camera_reconnects", health.reconnects, "connections opened again", camera=name)
        for number, sink in enumerate(self.sinks):
            health = sink.health()
            self.metrics.level("sink_connected", health.connected, "1: connected", sink=str(number))
            self.metrics.level("sink_waiting", health.waiting, "messages kept for later", sink=str(number))
        self.metrics.level("records_waiting", self.recorder.waiting, "records not yet in the database")
        if self.forwarder is not None:
            self.metrics.level("site_waiting", self.forwarder.waiting, "records not yet at the site")
        self.metrics.level("pictures_dropped", self.recorder.pictures_dropped, "pictures that were not kept in time")

    def _adapt(self) -> None:
        """Hand what was learned to the inspection worker, once for each change."""
        wanted = self.adaptations.files
        if wanted != self._learned:
            self._learned = wanted
            self.worker.adapt({recipe: str(file) for recipe, (file, _) in wanted.items()})
            self.note("adaptation", f"{len(wanted)} recipes are inspected with what was learned since they were made")

    def take_over(self, settings: StationSettings, alive: bool = True) -> None:
        """Record what the watchdog answered: in the stead of this station, or not `alive`, of the one before."""
        if self.remote is not None:
            for signal in self.remote.given():
                take_over(settings, signal, self.sinks[1:], self.register, self.recorder, alive)
                self.remote.recorded(signal)

    def faults(self) -> list[str]:
        """What does not work now, in words."""
        found = [f"camera {camera.settings.name}: {camera.health().error or 'not connected'}"
                 for camera in self.cameras if not camera.health().connected]  # fmt: skip
        healths = [(name, sink.health()) for name, sink in zip(self.names, self.sinks, strict=True)]
        found += [f"sink {name}: {health.error or 'not connected'}" for name, health in healths if not health.connected]
        if not self.worker.ready and self.worker.fault:
            found.append(self.worker.fault)
        found += [fault for fault in (self.recorder.fault, self.adaptations.fault, self.assigned.fault) if fault]
        if self.forwarder is not None and self.forwarder.fault:
            found.append(self.forwarder.fault)
        if self.worker.adaptation_fault:
            found.append(f"what was learned is not used: {self.worker.adaptation_fault}")
        return found

    def close(self) -> None:
        """Close everything, the recorder last: it has the longest memory."""
        closing = [camera.close for camera in self.cameras] + [sink.close for sink in self.sinks]
        for close in (
            self.adaptations.close,
            self.assigned.close,
            *closing,
            *(() if self.forwarder is None else (self.forwarder.close,)),
            self.worker.close,
            self.recorder.close,
            self.register.close,
            self.hold.close,
        ):
            try:
                close()
            except Exception as error:  # noqa: BLE001  # the others want to be closed, too
                LOG.error("closing: %s", error)


def open_devices(settings: StationSettings, remote: Remote | None = None) -> Devices:
    """Everything that a station needs; the machine is `remote` where the watchdog holds its link.

    Raises SettingError, RecipeError or MissingExtraError with the remedy.

    Devices that are away do not keep it from starting: they are looked for in the background.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        hold = Hold(settings.folder)
        undo.callback(hold.close)
        pilot = Pilot(settings)
        register = Register(settings.folder / "parts.db", settings.repeat_s)
        undo.callback(register.close)
        assigned = Assigned(settings, lambda: _recipes(settings, recorder, forwarder))
        undo.callback(assigned.close)
        loaded = Loaded(settings.folder, assigned.files(Recipes(settings).files()))
        on = settings.public_key is None if settings.adaptations is None else settings.adaptations
        learned = Adaptations(settings.name, settings.folder, loaded.hashes.values(), partial(open_store, settings), on)
        undo.callback(learned.close)
        worker = InspectionWorker(
            _load(settings, loaded, learned), len(settings.views), round(settings.frame_mb * 2**20)
        )
        undo.callback(worker.close)
        if remote is not None:
            remote.open(Opening.of(settings, pilot.on))
        machine = remote or open_machine(settings.controller)
        undo.callback(machine.close)
        sinks: list[Sink] = [machine]
        for values in settings.sinks:
            sinks.append(open_sink(values))
            undo.callback(sinks[-1].close)
        recorder = Recorder(settings)
        undo.callback(recorder.close)
        forwarder = _forward(settings, recorder, assigned.by_product(loaded.hashes))
        if forwarder is not None:
            undo.callback(forwarder.close)
        metrics = Metrics(settings.name, settings.folder)
        names = [read_sink(values).name for values in (settings.controller, *settings.sinks)]
        devices = Devices(
            CommandQueue(machine), [], sinks, worker, recorder, metrics, hold, register, names, pilot,
            learned, assigned, forwarder, remote, loaded.changes,
        )  # fmt: skip
        # Before anything that takes its time: the machine waits for these.
        devices.take_over(settings, alive=False)
        for part in register.unanswered():
            part.pilot = pilot.on
            answer_for_the_dead(settings, part, sinks, register, recorder)
        for view in settings.views:
            devices.cameras.append(open_camera(view.camera))
            undo.callback(devices.cameras[-1].close)
        try:
            worker.wait_ready()
        except (RecipeError, WorkerError) as error:
            assigned.give_up(str(error))  # the next start runs the station's own
            raise
        assigned.follow(loaded.hashes)
        undo.pop_all()
    return devices


def _forward(settings: StationSettings, recorder: Recorder, running: Mapping[str, str]) -> Forwarder | None:
    """What sends to the site, where there is one. `running`: hashes of the recipes by product."""
    if settings.site is None:
        return None
    forwarder = Forwarder(settings, recorder.journal, partial(open_store, settings))
    forwarder.running = running
    forwarder.start()
    return forwarder


def _recipes(settings: StationSettings, recorder: Recorder, forwarder: Forwarder | None) -> Source:
    """Whoever says what is rolled out to the station."""
    if settings.site is None or forwarder is None:
        return StoreRecipes(open_store(settings), settings.name)
    folder, site = settings.folder / "assigned", Site(settings.site, settings.name)
    return SiteRecipes(site, folder, lambda: forwarder.wanted, recorder.running)


def _load(settings: StationSettings, loaded: Loaded, learned: Adaptations) -> Load:
    return Load(
        files=loaded.files,
        hashes=loaded.hashes,
        adaptations={recipe: str(file) for recipe, (file, _) in learned.files.items()},
        threads=settings.threads,
        engine=settings.engine,
        precision=settings.precision,
        mm_per_px={view.name: view.mm_per_px for view in settings.views if view.mm_per_px is not None},
        public_key=None if settings.public_key is None else str(settings.public_key),
        releases=Recipes(settings).releases(),
    )
