"""The band: the one place where a score becomes a verdict."""

from __future__ import annotations

import math
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

NEVER = -1e30  # as a low threshold: no score that a graph computes is that low, so nothing is OK


class Verdict(StrEnum):
    """What is said about a part: OK, NG (no good), or REVIEW (a person decides)."""

    OK = "OK"
    NG = "NG"
    REVIEW = "REVIEW"


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
        """Verdict of a score; higher = more defective. A score that is no finite number is NG (fail closed)."""
        if not math.isfinite(score):
            return Verdict.NG
        if score <= self.low:
            return Verdict.OK
        if score <= self.high:
            return Verdict.REVIEW
        return Verdict.NG
