"""What station and machine tell each other: signals, commands, error codes and the station's status."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from sightline.core.result import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """The answer for one part.

    `verdict` is None where there is none; `valid` is True only where a fresh frame of this part was inspected, and
    without it the verdict cannot be OK. `recipe` is the recipe's name, `recipe_id` the number the machine knows it by
    (0..65535); `pilot` says that nobody is to act on it; `error` is an `ErrorCode` number, 0 for none; `late` says that
    the deadline had passed.
    `purpose` is "production", "check" for a golden or challenge part, or "blocked" for one that was refused because
    those are due: only production counts in a yield. `job` names the run that a part belongs to which had no trigger of
    its own, "" where it had. `defects` are places of the part, the most conspicuous first: each
    has `type`, `score`, `box` (x, y, width, height; px of the view's picture), `area_px`, `area_mm2` (None without a
    scale), `view` and `view_number` (from 1). `triggered`, `captured` and `decided` are in seconds since 1970 (UTC),
    `captured` is None without a frame. `key` names the message: whoever gets it twice can tell.
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
    pilot: bool = False
    purpose: str = "production"
    job: str = ""
    defects: tuple[Mapping[str, Any], ...] = ()
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
            "job": self.job,
            "recipe": self.recipe,
            "recipe_id": self.recipe_id,
            "verdict": None if self.verdict is None else str(self.verdict),
            "valid": self.valid,
            "late": self.late,
            "pilot": self.pilot,
            "purpose": self.purpose,
            "error": self.error,
            # JSON has neither NaN nor infinity.
            "score": round(score, 5) if score is not None and math.isfinite(score) else None,
            "defects": [dict(defect) for defect in self.defects],
            "triggered": _iso(self.triggered),
            "captured": None if self.captured is None else _iso(self.captured),
            "decided": _iso(self.decided),
        }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class CommandKind(StrEnum):
    """What the machine asks for, and from PILOT on, what people ask for over the station's own port.

    TRIGGER: inspect a part. RECIPE: change over. UNPREPARE: give up the recipe. RESET: clear the error.

    REFUSED: a trigger was refused on the way to the station, and its picture may come all the same. CONTINUOUS: inspect
    part after part without a trigger. STOP: end that after the part in work. ABORT: end that and the part in work, at
    once.
    PILOT, PRODUCTION: give the machine no verdicts from now on, or give it verdicts. CHECK: the check parts are due.
    """

    TRIGGER = "trigger"
    REFUSED = "refused"
    RECIPE = "recipe"
    UNPREPARE = "unprepare"
    RESET = "reset"
    CONTINUOUS = "continuous"
    STOP = "stop"
    ABORT = "abort"
    PILOT = "pilot"
    PRODUCTION = "production"
    CHECK = "check"


ASKED_BY_PEOPLE = frozenset((CommandKind.PILOT, CommandKind.PRODUCTION, CommandKind.CHECK))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    `part_id` names the part of a TRIGGER ("" lets the station number it), or the job of CONTINUOUS; `recipe` is the
    wanted recipe's name or number as text, with TRIGGER and CONTINUOUS the only one that may judge, with UNPREPARE the
    only one that is given up ("": whichever is active); `at` is when it came, in seconds since 1970, `monotonic_s` the
    same on the monotonic clock, from which a deadline counts.
    """

    kind: CommandKind
    part_id: str = ""
    recipe: str = ""
    at: float = field(default_factory=time.time)
    monotonic_s: float = field(default_factory=time.monotonic)


class ErrorCode(IntEnum):
    """What kept a part from being inspected. 0 is not an error; new codes get new numbers, old ones keep theirs."""

    NONE = 0
    CAMERA_TIMEOUT = 1
    CAMERA_LOST = 2
    CAMERA_BAD_FRAME = 3
    CAMERA_STALE = 4
    CAMERA_OTHER_PART = 5
    LATE = 10
    INSPECTION_FAILED = 11
    ABORTED = 12
    NOT_READY = 20
    TRIGGER_OVERRUN = 21
    NO_ACKNOWLEDGE = 22
    REPEATED_PART = 23
    CANNOT_START = 24
    NOT_CONTINUOUS = 25
    UNKNOWN_RECIPE = 30
    RECIPE_NOT_USABLE = 31
    OTHER_RECIPE = 32
    BLOCKED = 40
    RECORD_FAILED = 50
    NOT_TOLD = 51
    INTERNAL = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """`ready`: a trigger is taken now; `busy`: a part is under way; `error`: an `ErrorCode` number, 0 for none.

    `reason` says the error in words, "" for none. `recipe` and `recipe_id` are the active recipe's; `pilot` says that
    verdicts are shown and not acted on; `recipes` are the names of all that can be changed over to, `calls` everything
    that calls for one of them (name, number, barcode) with its name, `changeovers` how many there were since the start.
    `part_id` is the part under way, `job` the job that it belongs to, `acquired` says that its pictures are there.
    `continuous`: parts follow each other without triggers; `not_continuous` says why they cannot, "" where they can;
    `not_begun` is the job of the latest request for such a run, where it could not begin.
    """

    ready: bool = False
    busy: bool = False
    recipe: str = ""
    recipe_id: int = 0
    error: int = 0
    pilot: bool = False
    reason: str = ""
    recipes: tuple[str, ...] = ()
    calls: Mapping[str, str] = field(default_factory=dict)
    changeovers: int = 0
    part_id: str = ""
    job: str = ""
    acquired: bool = False
    continuous: bool = False
    not_continuous: str = ""
    not_begun: str = ""
