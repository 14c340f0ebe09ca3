"""What an inspection says about one part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.band import Verdict


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

    `score` grows with the evidence for a defect; `p_value` is the conformal p-value against held-out good
    parts (small = unlike any good part); `types` has the probability of each known defect type; `times_ms` has one
    entry per stage; `boxes` are places of known types where the recipe has learned boxes, the surest first, and decide
    nothing; `source` names the image. `judged_by` is "fast" or "accurate" where two recipes work as a
    cascade, else empty.
    """

    verdict: Verdict
    score: float
    p_value: float
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
