"""A decision: the answer for one part, and why. OK needs frames that were inspected, every one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sightline.core.band import Verdict
from sightline.core.fault import ErrorCode

Rule = Literal["worst", "k_of_n"]
# Why a camera gave no frame, as the machine learns it.
CAMERA_CODES = {
    "timeout": ErrorCode.CAMERA_TIMEOUT,
    "disconnected": ErrorCode.CAMERA_LOST,
    "closed": ErrorCode.CAMERA_LOST,
    "end": ErrorCode.CAMERA_LOST,
    "stale": ErrorCode.CAMERA_STALE,
    "frozen": ErrorCode.CAMERA_STALE,
}
RANK = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a recipe said of one view of a part, as plain values that travel between processes.

    `margin` is the distance of the score from the nearest threshold, in widths of the band.
    """

    view: str
    verdict: Verdict
    score: float
    p_value: float
    recipe_hash: str
    margin: float = math.inf
    defects: tuple[dict[str, Any], ...] = ()
    types: Mapping[str, float] = field(default_factory=dict)
    grade: int | None = None
    times_ms: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Verdict of a part over all of its views; `error` and `cause` say why there was nothing to inspect."""

    verdict: Verdict
    seen: tuple[Seen, ...] = ()
    error: ErrorCode = ErrorCode.NONE
    cause: str = ""
    late: bool = False

    @property
    def valid(self) -> bool:
        """Whether frames of this part were inspected, and nothing kept the answer from counting."""
        return bool(self.seen) and self.error is ErrorCode.NONE and not self.late

    @property
    def score(self) -> float | None:
        """The highest score of all views; None where nothing was inspected."""
        return max((seen.score for seen in self.seen), default=None)


def refuse(error: ErrorCode, cause: str, late: bool = False, seen: Sequence[Seen] = ()) -> Decision:
    """NG, because the part could not be judged."""
    return Decision(Verdict.NG, tuple(seen), error, cause, late)


def combine(seen: Sequence[Seen], views: int, rule: Rule, k: int) -> Decision:
    """One verdict from all `views` of a part: that of the worst, or NG only where at least `k` views are NG.

    With k_of_n, fewer NG views than `k` leave the part in REVIEW: a view that saw a defect is never outvoted to OK.
    A view that is missing makes the part NG, whatever the others say.
    """
    if not seen or len(seen) != views:
        return refuse(ErrorCode.INSPECTION_FAILED, f"{len(seen)} of {views} views were inspected", seen=seen)
    worst = max((one.verdict for one in seen), key=RANK.__getitem__)
    if rule == "k_of_n" and worst is Verdict.NG and sum(one.verdict is Verdict.NG for one in seen) < k:
        worst = Verdict.REVIEW
    return Decision(worst, tuple(seen))
