"""The band, where a score becomes a verdict, and what an inspection says about one part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

NEVER = -1e30  # as a low threshold: no score that a graph computes is that low, so nothing is OK


class Verdict(StrEnum):
    """What is said about a part: OK, NG (no good), or REVIEW (a person decides)."""

    OK = "OK"
    NG = "NG"
    REVIEW = "REVIEW"


SEVERITY = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}  # the graver of two verdicts counts


class Band(BaseModel):
    """Two thresholds on the score: OK up to `low`, NG above `high`, REVIEW between them."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: float = Field(description="highest score that is still OK")
    high: float = Field(description="highest score that a person may still accept; above it: NG")

    @model_validator(mode="after")
    def _ordered(self) -> Band:
        if self.low > self.high:
            raise ValueError(f"the band's low threshold {self.low} lies above its high threshold {self.high}")
        return self

    def decide(self, score: float) -> Verdict:
        """Verdict of a score; higher = more defective. A score that is not a finite number is NG (fail closed)."""
        if not math.isfinite(score):
            return Verdict.NG
        if score <= self.low:
            return Verdict.OK
        if score <= self.high:
            return Verdict.REVIEW
        return Verdict.NG


@dataclass(frozen=True, slots=True)
class Defect:
    """One suspicious region of a part, in pixels of the inspected image.

    `box` is (x, y, width, height); `contour` is (K, 2) int32, x and y of the outline's points;
    `score` is the highest value of the heat map inside; `area_mm2` is None where the recipe has no scale.
    """

    type: str
    score: float
    box: tuple[int, int, int, int]
    contour: NDArray[np.int32] = field(repr=False)
    area_px: float
    area_mm2: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The defect as plain JSON values, contour included."""
        return {
            "type": self.type,
            "score": _number(self.score, 4),
            "box": list(self.box),
            "area_px": round(self.area_px, 1),
            "area_mm2": None if self.area_mm2 is None else round(self.area_mm2, 4),
            "contour": self.contour.tolist(),
        }


@dataclass(frozen=True, slots=True)
class Box:
    """One place of a known type: `score` 0..1, `xywh` (x, y, width, height) px of the inspected image."""

    type: str
    score: float
    xywh: tuple[float, float, float, float]

    def to_json(self) -> dict[str, Any]:
        """The box as plain JSON values."""
        return {"type": self.type, "score": _number(self.score, 4), "box": [round(side, 1) for side in self.xywh]}


@dataclass(frozen=True, kw_only=True)
class Result:
    """Verdict, score and places for one part.

    `reason` says what decided where it was not the score alone: a known type, or a picture that does not show the
    product. `ood_distance` is how far the whole image lies from the good parts; above 1 it is outside of what the
    recipe is for, and never OK.
    `score` grows with the evidence for a defect; `p_value` is the conformal p-value against held-out good
    parts (small = unlike any good part); `types` has the probability of each known defect type; `times_ms` has one
    entry per stage; `boxes` are places of known types where the recipe has learned boxes, the surest first, and decide
    nothing; `source` names the image. `judged_by` is "fast" or "accurate" where two recipes work as a
    cascade, else empty.
    """

    verdict: Verdict
    score: float
    p_value: float
    reason: str = ""
    ood_distance: float = 0.0
    defects: tuple[Defect, ...] = ()
    types: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    boxes: tuple[Box, ...] = ()
    grade: int | None = None
    source: str = ""
    judged_by: str = ""
    warnings: tuple[str, ...] = ()
    times_ms: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return {
            "image": self.source,
            "verdict": str(self.verdict),
            "score": _number(self.score, 5),
            "p_value": _number(self.p_value, 5),
            "ood_distance": _number(self.ood_distance, 4),
            "reason": self.reason,
            **({"types": {name: _number(share, 4) for name, share in self.types.items()}} if self.types else {}),
            "grade": self.grade,
            **({"judged_by": self.judged_by} if self.judged_by else {}),
            **({"boxes": [box.to_json() for box in self.boxes]} if self.boxes else {}),
            "defects": [defect.to_json() for defect in self.defects],
            "warnings": list(self.warnings),
            "times_ms": {stage: round(ms, 3) for stage, ms in self.times_ms.items()},
        }


def _number(value: float, digits: int) -> float | None:
    # JSON has neither NaN nor infinity: a measurement that failed has no number.
    return round(value, digits) if math.isfinite(value) else None
