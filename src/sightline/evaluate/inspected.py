"""What an evaluation keeps of each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.core.result import Verdict
from sightline.evaluate.metrics.detection import Boxes
from sightline.imaging.mask import Marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One labelled image and what the recipe predicted.

    `heat` is the recipe's small grid (h, w) float32 over the whole image; `size` is the image's (height,
    width) in px; `ms` is file to verdict; `mask` is a mask file, or polygons and run lengths, that fits the image and
    marks something, else None. In a cascade, `judged_by` names the recipe that decided, and `asked` says whether the
    accurate one was asked. `predicted_types` are the known types that the recipe named (none: good), None where it
    knows none; `defect_share` (h, w) float32 is the share of each cell that it takes for a known defect. `shares` are
    the types' probabilities; `true_boxes` and `predicted_boxes` are there where the recipe knows types and people have
    marked where the defects are, or the part is good. `reason` says what decided where it was not the score alone.
    """

    path: Path
    defective: bool
    types: tuple[str, ...]
    score: float
    p_value: float
    verdict: Verdict
    heat: NDArray[np.float32] = field(repr=False, compare=False)
    size: tuple[int, int]
    ms: float
    mask: Marks | None = None
    group: str | None = None
    warnings: tuple[str, ...] = ()
    judged_by: str = ""
    asked: bool = False
    predicted_types: tuple[str, ...] | None = None
    defect_share: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    shares: Mapping[str, float] = field(default_factory=dict, compare=False)
    true_boxes: Boxes | None = field(default=None, repr=False, compare=False)
    predicted_boxes: Boxes | None = field(default=None, repr=False, compare=False)
    grade: int | None = None
    predicted_grade: int | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The image as plain JSON values, without its heat."""
        return {
            "image": str(self.path),
            "defective": self.defective,
            "types": list(self.types),
            "score": self.score if np.isfinite(self.score) else None,
            "p_value": self.p_value if np.isfinite(self.p_value) else None,
            "verdict": str(self.verdict),
            "reason": self.reason,
            "ms": round(self.ms, 3),
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """A labelled image that could not be inspected: on a line it is NG, so it counts as NG here too."""

    path: Path
    message: str
    defective: bool
    types: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """NG, always (fail closed)."""
        return Verdict.NG

    def to_json(self) -> dict[str, Any]:
        """The failure as plain JSON values."""
        return {"image": str(self.path), "defective": self.defective, "message": self.message}


Part: TypeAlias = Inspected | Failure
