"""The recorder: every part, every event, and the pictures that are worth keeping."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.band import Verdict
from sightline.core.errors import SightlineError
from sightline.core.frame import Frame
from sightline.line.decision import Decision, Seen
from sightline.line.journal import Entry, Journal
from sightline.line.ledger import Ledger
from sightline.line.part import Part
from sightline.line.settings import StationSettings

PICTURES_WAITING = 8  # parts whose pictures wait to be written; beyond, pictures are dropped, verdicts never
OWED = 10_000  # parts that could not be recorded and are remembered until they can
LOG = logging.getLogger("sightline.line.recorder")


class Recorder:
    """Parts and events go into the journal before the machine is told, pictures follow in their own time."""

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings
        self._ledger = Ledger(settings)
        self._journal = Journal(settings.folder / "journal.db", self._ledger.write)
        self._pictures: queue.Queue[tuple[str, str, NDArray[np.uint8]] | None] = queue.Queue(PICTURES_WAITING)
        self._count = 0
        self._owed: deque[Entry] = deque(maxlen=OWED)
        self.pictures_dropped = 0
        self._thread = threading.Thread(target=self._keep, name="pictures", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Records that are not yet in the database."""
        return self._journal.waiting + len(self._owed)

    @property
    def fault(self) -> str:
        """Why records do not reach the database; "" where they do."""
        return self._journal.error

    def record(self, part: Part, decision: Decision, signalled: float, frames: Sequence[Frame]) -> None:
        """Keep a part's record. Raises StoreError where it cannot be kept: then the part must not be OK."""
        self._journal.append(self._entry(part, decision, signalled))
        self._keep_pictures(part, decision, frames)

    def owe(self, part: Part, decision: Decision, signalled: float) -> None:
        """Remember a part whose record could not be kept, until it can: the machine was told that it is NG."""
        self._owed.append(self._entry(part, decision, signalled))

    def tend(self) -> None:
        """Keep what is owed, as far as that is possible now."""
        while self._owed:
            try:
                self._journal.append(self._owed[0])
            except (SightlineError, OSError):
                return
            self._owed.popleft()

    def _entry(self, part: Part, decision: Decision, signalled: float) -> Entry:
        first = decision.seen[0] if decision.seen else None
        return {
            "kind": "part",
            **self._place(part),
            "verdict": str(decision.verdict),
            "score": _number(decision.score),
            "p_value": _number(min((seen.p_value for seen in decision.seen), default=None)),
            "types": _highest(decision.seen),
            "grade": max((seen.grade for seen in decision.seen if seen.grade is not None), default=None),
            "recipe_hash": None if first is None else first.recipe_hash,
            "inferred": part.inferred,
            "signalled": signalled,
            "late": decision.late,
            "error": f"{int(decision.error)}: {decision.cause}" if decision.error else None,
            "shadow": False,
            "details": {
                "recipe": part.recipe,
                "mode": self._settings.mode,
                "source": part.source,
                "frames": list(part.frames),
                "stages_ms": {stage: round(ms, 3) for stage, ms in part.stages_ms.items()},
                "views": [_view(seen) for seen in decision.seen],
            },
        }

    def record_shadow(self, part: Part, active: Seen, said: Seen) -> None:
        """Keep what a shadow recipe said of one view of a part."""
        self._journal.append(
            {
                "kind": "part",
                **self._place(part),
                "key": f"{part.key}-shadow-{said.view}",
                "verdict": str(said.verdict),
                "score": _number(said.score),
                "p_value": _number(said.p_value),
                "types": _highest([said]),
                "grade": said.grade,
                "recipe_hash": said.recipe_hash,
                "inferred": time.time(),
                "signalled": None,
                "late": False,
                "error": None,
                "shadow": True,
                "details": {"recipe": part.recipe, "active": str(active.verdict), "views": [_view(said)]},
            }
        )

    def note(self, kind: str, text: str) -> None:
        """Keep an event. Raises StoreError where it cannot be kept."""
        self._journal.append({"kind": "event", "event": kind, "text": text, "time": time.time()})

    def close(self) -> None:
        """Write what waits, for a few seconds at most; the journal keeps the rest for the next start."""
        self._pictures.put(None)
        self._thread.join(timeout=3.0)
        self.tend()
        self._journal.close()
        self._ledger.close()

    def _place(self, part: Part) -> dict[str, Any]:
        return {
            "key": part.key,
            "station": self._settings.name,
            "line": self._settings.line or None,
            "product": part.recipe or None,
            "serial": part.id,
            "triggered": part.triggered,
            "captured": part.captured,
        }

    def _keep_pictures(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> None:
        self._count += 1
        keep = self._settings.keep
        wanted = (decision.verdict is Verdict.NG and keep.ng) or (decision.verdict is Verdict.REVIEW and keep.review)
        if not wanted and not (keep.every and self._count % keep.every == 0):
            return
        for frame in frames:
            try:
                self._pictures.put_nowait((part.key, frame.camera, frame.image))
            except queue.Full:
                self.pictures_dropped += 1

    def _keep(self) -> None:
        while (item := self._pictures.get()) is not None:
            key, view, image = item
            try:
                done, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
                if done:
                    digest = self._ledger.keep(data.tobytes(), f"part {key}, view {view}")
                    self._journal.append({"kind": "picture", "key": key, "view": view, "image_hash": digest})
            except (SightlineError, OSError, cv2.error) as error:
                self.pictures_dropped += 1
                LOG.error("a picture of part %s was not kept: %s", key, error, extra={"cause": str(error)})


def _view(seen: Seen) -> dict[str, Any]:
    return {
        "view": seen.view,
        "verdict": str(seen.verdict),
        "score": _number(seen.score),
        "recipe_hash": seen.recipe_hash,
        "defects": list(seen.defects),
        "times_ms": {stage: round(ms, 3) for stage, ms in seen.times_ms.items()},
        "warnings": list(seen.warnings),
    }


def _highest(seen: Sequence[Seen]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in seen:
        for name, share in one.types.items():
            found[name] = max(share if math.isfinite(share) else 0.0, found.get(name, 0.0))
    return found


def _number(value: float | None) -> float | None:
    # JSON has neither NaN nor infinity: a measurement that failed has no number.
    return value if value is not None and math.isfinite(value) else None
