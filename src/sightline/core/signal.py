"""A signal: what is said to the machine about one part."""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sightline.core.band import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """The answer for one part.

    `verdict` is None where there is none; `valid` is True only where a fresh frame of this part was inspected, and
    without it the verdict cannot be OK. `recipe` is the recipe's name, `recipe_id` the number the machine knows it by
    (0..65535); `error` is an `ErrorCode` number, 0 for none; `late` says that the deadline had passed. `triggered`,
    `captured` and `decided` are in seconds since 1970 (UTC), `captured` is None without a frame. `key` names the
    message: whoever gets it twice can tell.
    Raises ValueError for an OK that was not earned.
    """

    part_id: str
    verdict: Verdict | None
    valid: bool
    recipe: str = ""
    recipe_id: int = 0
    station: str = ""
    error: int = 0
    score: float | None = None
    late: bool = False
    triggered: float = field(default_factory=time.time)
    captured: float | None = None
    decided: float = field(default_factory=time.time)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if self.verdict is Verdict.OK and (not self.valid or self.late or self.error):
            raise ValueError(
                f"part {self.part_id!r}: OK needs an inspected frame, in time and without an error. Send NG"
            )

    def to_json(self) -> dict[str, Any]:
        """The signal as plain JSON values; times are ISO 8601 in UTC."""
        score = self.score
        return {
            "key": self.key,
            "station": self.station,
            "part_id": self.part_id,
            "recipe": self.recipe,
            "recipe_id": self.recipe_id,
            "verdict": None if self.verdict is None else str(self.verdict),
            "valid": self.valid,
            "late": self.late,
            "error": self.error,
            # JSON has neither NaN nor infinity.
            "score": round(score, 5) if score is not None and math.isfinite(score) else None,
            "triggered": _iso(self.triggered),
            "captured": None if self.captured is None else _iso(self.captured),
            "decided": _iso(self.decided),
        }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
