"""A decision: the answer for one part, and why. OK needs frames that were inspected, every one of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.core.result import SEVERITY, Verdict
from sightline.core.signals import ErrorCode

Rule = Literal["worst", "k_of_n"]
# Why a camera gave no frame, as the machine learns it.
CAMERA_CODES = {
    "timeout": ErrorCode.CAMERA_TIMEOUT,
    "disconnected": ErrorCode.CAMERA_LOST,
    "closed": ErrorCode.CAMERA_LOST,
    "end": ErrorCode.CAMERA_LOST,
    "stale": ErrorCode.CAMERA_STALE,
    "frozen": ErrorCode.CAMERA_STALE,
    "other_part": ErrorCode.CAMERA_OTHER_PART,
}
MAX_DEFECTS = 8  # that the answer for a part names
DEFECT_FIELDS = ("type", "score", "box", "area_px", "area_mm2")


@dataclass(frozen=True, slots=True)
class ViewResult:
    """What a recipe found in one view of a part, as plain values that travel between processes.

    `margin` is the distance of the score from the nearest threshold, in widths of the band; `reason` is why the picture
    could not be judged as one that the recipe knows ("": it could), `ood_distance` how far it lies from what it knows,
    `size` the picture's width and height in px.
    `adaptation` names what was learned since the recipe was made, where anything was.
    `embedding` (e,) float32 is what the backbone made of the picture.
    `appearance` are the measures by which a drift is found, as they are recorded.
    `heat` (h, w) uint8 is the heat map on the recipe's scale, for people who watch: outlines begin at 128.
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
    reason: str = ""
    ood_distance: float | None = None
    size: tuple[int, int] | None = None
    adaptation: str = ""
    embedding: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    heat: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    appearance: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """Verdict of a part over all of its views; `error` and `cause` say why there was nothing to inspect."""

    verdict: Verdict
    results: tuple[ViewResult, ...] = ()
    error: ErrorCode = ErrorCode.NONE
    cause: str = ""
    late: bool = False

    @property
    def valid(self) -> bool:
        """Whether frames of this part were inspected, and nothing kept the answer from counting."""
        return bool(self.results) and self.error is ErrorCode.NONE and not self.late

    @property
    def defects(self) -> tuple[dict[str, Any], ...]:
        """The `MAX_DEFECTS` most conspicuous defects of all views, without their outlines: what fits into a message."""
        found = [
            {name: defect.get(name) for name in DEFECT_FIELDS} | {"view": result.view, "view_number": number}
            for number, result in enumerate(self.results, 1)
            for defect in result.defects
        ]
        return tuple(sorted(found, key=lambda defect: -(defect["score"] or 0.0))[:MAX_DEFECTS])

    @property
    def score(self) -> float | None:
        """The highest score of all views; None where nothing was inspected."""
        return max((result.score for result in self.results), default=None)


def refuse(error: ErrorCode, cause: str, late: bool = False, results: Sequence[ViewResult] = ()) -> Decision:
    """NG, because the part could not be inspected."""
    return Decision(Verdict.NG, tuple(results), error, cause, late)


def not_told(decision: Decision, why: str) -> Decision:
    """What is recorded of a part whose answer the machine did not take: NG, as whoever has no answer must sort it."""
    cause = (
        f"the machine was not informed of {decision.verdict}{f' ({decision.cause})' if decision.cause else ''}: {why}"
    )
    return refuse(ErrorCode.NOT_TOLD, cause, late=True, results=decision.results)


def combine(results: Sequence[ViewResult], views: int, rule: Rule, k: int) -> Decision:
    """One verdict from all `views` of a part: that of the worst, or NG only where at least `k` views are NG.

    With k_of_n, fewer NG views than `k` leave the part in REVIEW: a view that saw a defect is never outvoted to OK.
    A view that is missing makes the part NG, whatever the others say.
    """
    if not results or len(results) != views:
        return refuse(ErrorCode.INSPECTION_FAILED, f"{len(results)} of {views} views were inspected", results=results)
    worst = max((one.verdict for one in results), key=SEVERITY.__getitem__)
    if rule == "k_of_n" and worst is Verdict.NG and sum(one.verdict is Verdict.NG for one in results) < k:
        worst = Verdict.REVIEW
    return Decision(worst, tuple(results))
