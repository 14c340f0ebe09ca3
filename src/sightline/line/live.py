"""The live picture: the newest part, for people who watch. It is kept by name, and encoded when somebody asks."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.sample import Frame
from sightline.line.decision import Decision
from sightline.line.part import Part

PAUSE_S = 0.1  # between two pictures that are encoded, however many ask
SIDE_PX = 960  # of the longer side
QUALITY = 80  # of the JPEG
LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest part: its pictures are the camera's own, nothing is copied."""

    number: int
    part: Part
    decision: Decision
    frames: tuple[Frame, ...]


class Live:
    """What a station shows. `show` is the station's and costs it an assignment; `message` is any other thread's."""

    def __init__(self) -> None:
        self._newest: Newest | None = None
        self._counts: Counter[str] = Counter()
        self._encoding = threading.Lock()
        self._encoded: tuple[Newest, list[bytes], dict[str, Any]] | None = None
        self._encoded_s = 0.0

    def show(self, part: Part, decision: Decision, frames: Sequence[Frame]) -> None:
        """This part is the newest now. Called once it has its answer."""
        if part.purpose == "production":
            self._counts[str(decision.verdict)] += 1
        number = 1 if self._newest is None else self._newest.number + 1
        self._newest = Newest(number, part, decision, tuple(frames))

    def message(self, after: int = 0) -> bytes | None:
        """The newest part as a message, None where there is none newer than number `after`, or not at this pace.

        4 bytes, big-endian, say how long the JSON after them is; then, for each view, a JPEG and a PNG of its heat (one
        byte for each cell, 128 where outlines begin), whose lengths the JSON has. `age_ms` counts from the trigger to
        now.
        """
        newest = self._newest
        if newest is None or newest.number <= after:
            return None
        if not self._encoding.acquire(blocking=False):
            return None  # another caller has it encoded: ask again
        try:
            if self._encoded is None or self._encoded[0] is not newest:
                if time.monotonic() - self._encoded_s < PAUSE_S:
                    return None
                self._encoded_s = time.monotonic()
                self._encoded = newest, *_encode(newest)
            _, pictures, told = self._encoded
        finally:
            self._encoding.release()
        told = {**told, "counts": dict(self._counts), "age_ms": round((time.monotonic() - newest.part.started) * 1e3)}
        head = json.dumps(told).encode()
        return b"".join((len(head).to_bytes(LENGTH_BYTES, "big"), head, *pictures))


def _encode(newest: Newest) -> tuple[list[bytes], dict[str, Any]]:
    part, decision = newest.part, newest.decision
    heats = {result.view: result.heat for result in decision.results}
    pictures: list[bytes] = []
    views = []
    for frame, result in zip(newest.frames, decision.results or [None] * len(newest.frames), strict=False):
        heat = None if result is None else heats[result.view]
        jpeg, png = _jpeg(frame.image), b"" if heat is None else cv2.imencode(".png", heat)[1].tobytes()
        pictures += [jpeg, png]
        high, wide = frame.image.shape[:2]
        found = {} if result is None else {"score": _finite(result.score), "verdict": str(result.verdict)}
        views.append(
            {
                **{"view": frame.camera if result is None else result.view, "width": wide, "height": high},
                **{"jpeg_bytes": len(jpeg), "heat_bytes": len(png), **found},
                "defects": [
                    {name: value for name, value in defect.items() if name != "contour"}
                    for defect in ([] if result is None else result.defects)
                ],
            }
        )
    told = {
        "number": newest.number,
        "part": part.id,
        "recipe": part.recipe,
        "verdict": str(decision.verdict),
        "valid": decision.valid,
        "cause": decision.cause,
        "score": _finite(decision.score),
        "purpose": part.purpose,
        "late": decision.late,
        "captured": part.captured,
        "views": views,
    }
    return pictures, told


def _jpeg(image: NDArray[Any]) -> bytes:
    shrink = min(1.0, SIDE_PX / max(image.shape[:2]))
    if shrink < 1:
        sides = max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink))
        image = cv2.resize(image, sides, interpolation=cv2.INTER_AREA)
    if image.dtype != np.uint8:  # the scale of its depth is the recipe's; for a look, its own brightest will do
        image = (image.astype(np.float32) * (255 / max(int(image.max()), 1))).astype(np.uint8)
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
