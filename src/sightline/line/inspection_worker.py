"""The inspection worker: a process with all recipes loaded, which inspects frames that lie in shared memory.

A process of its own, so that whatever happens in native code (a crash, a hang, no memory) leaves the station there to
answer the machine.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.heap import BufferWrapper
from pathlib import Path

import numpy as np

from sightline.core.errors import SightlineError
from sightline.core.result import Band
from sightline.line.decision import ViewResult
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.drawing import Scale, heat_bytes, scale_of
from sightline.runtime.engine_choice import EngineSetting
from sightline.runtime.inspection import Inspection
from sightline.runtime.inspector import Inspector
from sightline.runtime.session import Precision
from sightline.runtime.signature import Release

Shape = tuple[int, int, int]
RecipeKey = tuple[str, str]  # name of the recipe, name of the view


@dataclass(frozen=True, slots=True)
class Load:
    """Recipe files by (recipe, view), how to run them, and millimetres per pixel of views that were measured.

    `hashes`: the SHA-256 that the files must have; empty where any will do. `adaptations`: files of what was learned
    since, by the hash of the recipe. `releases`: which recipes may be used.
    """

    files: Mapping[RecipeKey, str]
    hashes: Mapping[RecipeKey, str] = field(default_factory=dict)
    adaptations: Mapping[str, str] = field(default_factory=dict)
    threads: int = 2
    engine: EngineSetting = "onnxruntime"
    precision: Precision = "f32"
    mm_per_px: Mapping[str, float] = field(default_factory=dict)
    public_key: str | None = None
    releases: Mapping[RecipeKey, Release] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One view of a part to inspect: where its frame lies, and which recipe. `shadow`: it may be dropped."""

    number: int
    key: RecipeKey
    offset: int
    shape: Shape
    shadow: bool = False
    depth: str = "uint8"


@dataclass(frozen=True, slots=True)
class Adapt:
    """Inspect with this file of what was learned from the next part on, "": with the recipe alone."""

    recipe: str
    file: str


@dataclass(frozen=True, slots=True)
class Adapted:
    """An adaptation was taken over, `digest` names it ("": the recipe alone); or an `error` says why it was not, and
    what was in use before stays so.
    """

    recipe: str
    file: str
    digest: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a job: `result`, or `error` where there is none. `dropped`: a shadow job that had to give way."""

    number: int
    result: ViewResult | None = None
    error: str = ""
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has loaded and warmed up its recipes; their hashes and engines by key, or what was wrong."""

    hashes: Mapping[RecipeKey, str] = field(default_factory=dict)
    error: str = ""
    engines: Mapping[RecipeKey, str] = field(default_factory=dict)


def serve(pipe: Connection, memory: BufferWrapper, load: Load) -> None:
    """Inspect jobs until the pipe closes. The frame of a job stays where it is until its reply was sent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the station, which ends this process in order
    frames = memory.create_memoryview()
    try:
        opened: dict[tuple[str, Release | None], Inspector] = {}
        for path, release in {(path, load.releases.get(key)): None for key, path in sorted(load.files.items())}:
            inspector = Inspector(path, load.threads, load.engine, load.precision, load.public_key, release)
            inspector.warm_up()
            opened[path, release] = inspector
        inspectors = {key: opened[path, load.releases.get(key)] for key, path in load.files.items()}
    except SightlineError as error:
        pipe.send(Ready(error=str(error)))
        return
    engines = {key: str(inspector.engine) for key, inspector in inspectors.items()}
    # Before the first part: what was learned is in use again, and no part has to wait for it.
    adapted = [_adapt(opened.values(), Adapt(recipe, file)) for recipe, file in load.adaptations.items()]
    adapting, sending = ThreadPoolExecutor(1, "adapting"), threading.Lock()

    def send(message: Ready | Adapted | Reply) -> None:
        with sending:  # an adaptation is tried in a thread of its own
            pipe.send(message)

    send(Ready({key: inspector.digest for key, inspector in inspectors.items()}, engines=engines))
    try:
        for told in adapted:
            send(told)
        waiting: deque[Job] = deque()
        while True:
            while not waiting or pipe.poll(0):
                message = pipe.recv()
                if isinstance(message, Adapt):
                    # An engine may compile for it, which takes longer than a part may wait. One after the other.
                    adapting.submit(_adapt_and_tell, opened.values(), message, send)
                else:
                    waiting.append(message)
            job = waiting.popleft()
            if job.shadow and not all(other.shadow for other in waiting):
                send(Reply(job.number, dropped=True))
                continue
            send(_inspect(inspectors[job.key], job, frames, load.mm_per_px.get(job.key[1])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the station has gone


def _adapt_and_tell(inspectors: Iterable[Inspector], wanted: Adapt, send: Callable[[Adapted], None]) -> None:
    told = _adapt(inspectors, wanted)
    with suppress(OSError):  # the station has gone
        send(told)


def _adapt(inspectors: Iterable[Inspector], wanted: Adapt) -> Adapted:
    """Have all inspectors of a recipe take an adaptation over; one that cannot stays as it is."""
    mine = [inspector for inspector in inspectors if inspector.digest == wanted.recipe]
    try:
        data = Path(wanted.file).read_bytes() if wanted.file else b""
        adaptation = Adaptation.of(data) if data else None
        for inspector in mine:
            inspector.adapt(adaptation)
    except Exception as error:  # noqa: BLE001  # whatever a damaged file does: parts are inspected as before
        return Adapted(wanted.recipe, wanted.file, "", str(error) or type(error).__name__)
    return Adapted(wanted.recipe, wanted.file, "" if adaptation is None else adaptation.name)


def _margin(score: float, band: Band) -> float:
    width = band.high - band.low
    return min(abs(score - band.low), abs(score - band.high)) / width if width > 0 else abs(score - band.low)


def _inspect(inspector: Inspector, job: Job, frames: memoryview, mm_per_px: float | None) -> Reply:
    start = time.perf_counter()
    image = np.ndarray(job.shape, job.depth, frames, job.offset)
    try:
        result = inspector.inspect(image)
    except Exception as error:  # noqa: BLE001  # whatever it was: this part has no result, the next one may have
        return Reply(job.number, error=f"{type(error).__name__}: {error}")
    times = {**result.times_ms, "judge": (time.perf_counter() - start) * 1e3}
    card = inspector.card
    told = view_result(result, job.key[1], inspector.digest, times, card.band, mm_per_px, scale_of(card))
    return Reply(job.number, told)


def view_result(
    result: Inspection,
    view: str,
    digest: str,
    times_ms: Mapping[str, float],
    band: Band,
    mm_per_px: float | None = None,
    scale: Scale | None = None,
) -> ViewResult:
    """A result as plain values; areas in mm2 by the view's own scale where it was measured, heat on the `scale`."""
    defects = [defect.to_json() for defect in result.defects]
    if mm_per_px is not None:
        defects = [{**defect, "area_mm2": round(defect["area_px"] * mm_per_px**2, 4)} for defect in defects]
    return ViewResult(
        view=view,
        verdict=result.verdict,
        score=float(result.score),
        p_value=float(result.p_value),
        recipe_hash=digest,
        margin=_margin(float(result.score), band),
        defects=tuple(defects),
        types=dict(result.types),
        grade=result.grade,
        times_ms=dict(times_ms),
        warnings=result.warnings,
        reason=result.reason,
        ood_distance=float(result.ood_distance),
        size=(result.image.shape[1], result.image.shape[0]),
        embedding=result.embedding,
        adaptation=result.adaptation,
        heat=None if scale is None else heat_bytes(result.heat, scale),
        appearance=None if result.appearance is None else result.appearance.to_json(),
    )
