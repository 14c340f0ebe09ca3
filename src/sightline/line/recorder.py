"""The recorder: every part, every event, and the pictures that are worth keeping."""

from __future__ import annotations

import base64
import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2

from sightline.core.errors import InputError, StoreError
from sightline.core.sample import Frame
from sightline.line.collection import Collector
from sightline.line.decision import Decision, ViewResult
from sightline.line.journal import Entry, Journal, Ledger
from sightline.line.part import Part
from sightline.line.settings import StationSettings
from sightline.store.embeddings import pack

PICTURES_WAITING = 8  # parts whose pictures wait to be written; beyond, pictures are dropped, verdicts never
MAX_DEFERRED = 10_000  # parts that could not be recorded and are remembered until they can
CLEAR_S, LOOK_S = 3600.0, 60.0  # between two clearings of old pictures, and two looks whether one is due
LOG = logging.getLogger("sightline.line.recorder")


@dataclass(frozen=True, slots=True)
class CollectedFrame:
    """One frame of a part that is to be kept, the details of its sample, and what its view's recipe found in it."""

    part: Part
    frame: Frame
    details: Mapping[str, str | None]
    result: ViewResult | None


class Recorder:
    """Parts and events go into the journal before the machine is told, pictures follow in their own time."""

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings
        self._ledger = Ledger(settings)
        kept = None if settings.site is None else int(settings.site.most_mb * 1e6)
        self.journal = Journal(settings.folder / "journal.db", self._ledger.write, site_bytes=kept)
        self._pictures: queue.Queue[CollectedFrame | None] = queue.Queue(PICTURES_WAITING)
        self._collector = Collector(settings.keep, settings.review_ok)
        self._cleared = time.monotonic()
        self._deferred: deque[Entry] = deque(maxlen=MAX_DEFERRED)
        self._closing = threading.Event()
        self.pictures_dropped = 0
        self._thread = threading.Thread(target=self._keep, name="pictures", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Records that are not yet in the database."""
        return self.journal.waiting + len(self._deferred)

    @property
    def fault(self) -> str:
        """Why records do not reach the database; "" where they do."""
        return self.journal.error

    def record(self, part: Part, decision: Decision, signalled: float, frames: Sequence[Frame]) -> None:
        """Keep a part's record. Raises StoreError where it cannot be kept: then the part must not be OK."""
        self.journal.append(self._entry(part, decision, signalled))
        self._keep_pictures(part, decision, frames)

    def defer(self, part: Part, decision: Decision, signalled: float) -> None:
        """Remember a part whose record could not be kept, until it can: the machine was told that it is NG."""
        self._deferred.append(self._entry(part, decision, signalled))

    def correct(self, part: Part, decision: Decision) -> None:
        """Change the record of a part that was answered otherwise while it was being recorded."""
        error = f"{int(decision.error)}: {decision.cause}"
        self._deferred.append({"kind": "correction", "key": part.key, "verdict": str(decision.verdict), "error": error})
        self.poll()

    def poll(self) -> None:
        """Record what was deferred, in order, as far as that is possible now."""
        while self._deferred:
            try:
                self.journal.append(self._deferred[0])
            except StoreError:
                return
            except Exception as error:  # no later moment makes a record of this one
                LOG.exception("a record is lost: %s", self._deferred[0], extra={"cause": str(error)})
            self._deferred.popleft()

    def _entry(self, part: Part, decision: Decision, signalled: float) -> Entry:
        first = decision.results[0] if decision.results else None
        return {
            "kind": "part",
            **self._origin(part),
            "verdict": str(decision.verdict),
            "score": _number(decision.score),
            "p_value": _number(min((result.p_value for result in decision.results), default=None)),
            "types": _highest(decision.results),
            "grade": max((result.grade for result in decision.results if result.grade is not None), default=None),
            "recipe_hash": None if first is None else first.recipe_hash,
            "inferred": part.inferred,
            "signalled": signalled,
            "late": decision.late,
            "error": f"{int(decision.error)}: {decision.cause}" if decision.error else None,
            "shadow": False,
            "details": {
                "recipe": part.recipe,
                "mode": "pilot" if part.pilot else "production",
                "purpose": part.purpose,
                "source": part.source,
                "frames": list(part.frames),
                "stages_ms": {stage: round(ms, 3) for stage, ms in dict(part.stages_ms).items()},
                "views": [_view(result) for result in decision.results],
            },
        }

    def record_shadow(self, part: Part, active: ViewResult, shadow: ViewResult) -> None:
        """Keep what a shadow recipe found in one view of a part."""
        self.journal.append(
            {
                "kind": "part",
                **self._origin(part),
                "key": f"{part.key}-shadow-{shadow.view}",
                "verdict": str(shadow.verdict),
                "score": _number(shadow.score),
                "p_value": _number(shadow.p_value),
                "types": _highest([shadow]),
                "grade": shadow.grade,
                "recipe_hash": shadow.recipe_hash,
                "inferred": time.time(),
                "signalled": None,
                "late": False,
                "error": None,
                "shadow": True,
                "details": {"recipe": part.recipe, "active": str(active.verdict), "views": [_view(shadow)]},
            }
        )

    def note(self, kind: str, text: str) -> None:
        """Keep an event. Raises StoreError where it cannot be kept."""
        self.journal.append({"kind": "event", "event": kind, "text": text, "time": time.time()})

    def running(self, product: str, hash: str | None, fault: str) -> None:
        """Keep what the station runs for a product that a recipe was rolled out of. Raises StoreError."""
        self.journal.append({"kind": "running", "product": product, "running_hash": hash, "fault": fault})

    def close(self) -> None:
        """Write what waits, for a few seconds at most; the journal keeps the rest for the next start."""
        self._closing.set()
        with suppress(queue.Full):
            self._pictures.put_nowait(None)
        self._thread.join(timeout=3.0)
        self.poll()
        self.journal.close()
        self._ledger.close()

    def _origin(self, part: Part) -> dict[str, Any]:
        return {
            "key": part.key,
            "station": self._settings.name,
            "line": self._settings.line or None,
            "product": part.recipe or None,
            **self._settings.keep.names(_clean(part.id)),
            "triggered": part.triggered,
            "captured": part.captured,
        }

    def _keep_pictures(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> None:
        reason = self._collector.wants(decision, self._settings.keep.names(_clean(part.id)).get("lot"), part.key)
        if not reason:
            return
        results = {result.view: result for result in decision.results}
        for frame in frames:
            result = results.get(frame.camera)
            recipe = None if result is None else result.recipe_hash
            details = {"reason": reason, "verdict": str(decision.verdict), "recipe_hash": recipe}
            try:
                self._pictures.put_nowait(CollectedFrame(part, frame, details, result))
            except queue.Full:
                self.pictures_dropped += 1

    def _keep(self) -> None:
        while not (self._closing.is_set() and self._pictures.empty()):
            picture = None
            with suppress(queue.Empty):
                picture = self._pictures.get(timeout=min(CLEAR_S, LOOK_S))
            if picture is not None:
                written = self._try(partial(self._keep_one, picture), f"a picture of part {picture.part.id}")
                self.pictures_dropped += not written
            # Whether a picture could be kept or not: on a full disk none is, until old ones have made room.
            self._try(self._clear_old, "the deletion of old pictures")

    def _try(self, work: Callable[[], None], what: str) -> bool:
        """Whether the work was done; whatever it raises, the next picture wants to be kept."""
        try:
            work()
        except Exception as error:  # noqa: BLE001
            LOG.error("%s failed: %s", what, error, extra={"cause": str(error)})
            return False
        return True

    def _keep_one(self, picture: CollectedFrame) -> None:
        part, frame = picture.part, picture.frame
        done, data = cv2.imencode(".png", frame.image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise InputError(f"part {part.id}: its picture cannot be written as PNG. Check the camera's settings")
        origin = self._origin(part) | {name: frame.metadata.get(name) for name in ("exposure_us", "gain_db")}
        origin |= dict(picture.details)
        digest = self._ledger.keep(data.tobytes(), frame.camera, origin)
        self._collector.took(len(data))
        entry: Entry = {"kind": "picture", "key": part.key, "view": frame.camera, "image_hash": digest}
        if picture.result is not None and picture.result.embedding is not None:
            vector = base64.b64encode(pack(picture.result.embedding)).decode()
            entry |= {"recipe_hash": picture.result.recipe_hash, "embedding": vector}
        if self._settings.site is not None:
            entry |= {"media_type": "image/png", "origin": origin}
        self.journal.append(entry)

    def _clear_old(self) -> None:
        """Once an hour, pictures whose time is over make room."""
        if time.monotonic() - self._cleared > CLEAR_S:
            self._cleared = time.monotonic()
            self._ledger.clear()
            self._collector.cleared()


def _clean(part_id: str) -> str:
    # A machine may send anything: no database takes a zero byte in a text.
    return "".join(letter if letter.isprintable() else "?" for letter in part_id)


def _view(result: ViewResult) -> dict[str, Any]:
    return {
        "view": result.view,
        "verdict": str(result.verdict),
        "score": _number(result.score),
        "p_value": _number(result.p_value),
        "recipe_hash": result.recipe_hash,
        **({"adaptation": result.adaptation} if result.adaptation else {}),
        "defects": list(result.defects),
        "times_ms": {stage: round(ms, 3) for stage, ms in result.times_ms.items()},
        "warnings": list(result.warnings),
        "reason": result.reason,
        "ood_distance": _number(result.ood_distance),
        "size": result.size,
        **({} if result.appearance is None else {"appearance": dict(result.appearance)}),
    }


def _highest(results: Sequence[ViewResult]) -> dict[str, float]:
    found: dict[str, float] = {}
    for result in results:
        for name, share in result.types.items():
            found[name] = max(share if math.isfinite(share) else 0.0, found.get(name, 0.0))
    return found


def _number(value: float | None) -> float | None:
    # JSON has neither NaN nor infinity: a measurement that failed has no number.
    return value if value is not None and math.isfinite(value) else None
