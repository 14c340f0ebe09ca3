"""Which parts' pictures a station keeps: those that may teach something, within bounds of time, lot and disk."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sightline.core.result import Verdict
from sightline.core.untrusted import check_pattern, match
from sightline.line.decision import Decision
from sightline.store.review_queue import sampled

LOTS = 1000  # lots whose quota is remembered


class Keep(BaseModel):
    """Policies; a part is kept where any of them wants it. Records are kept of all parts, whatever is said here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ng: bool = Field(True, description="pictures of all NG parts")
    review: bool = Field(True, description="pictures of all parts for REVIEW")
    every: int = Field(0, ge=0, description="every Nth part, whatever its verdict; 0: none")
    doubtful: float = Field(
        0.0, ge=0, le=10, description="parts whose score is nearer to a threshold than this many widths of the band"
    )
    novel_p: float = Field(0.0, ge=0, le=1, description="OK parts whose p-value is not above this; 0: none")
    lot_quota: int = Field(0, ge=0, description="the first N parts of every lot")
    cool_down_s: float = Field(0.0, ge=0, description="pause after a kept part; NG and REVIEW do not wait for it")
    disk_mb: float = Field(20_000.0, gt=0, description="pictures this station may add between two clean-ups")
    most_mb: float = Field(
        0.0,
        ge=0,
        description=(
            "total size of collected pictures in the store; beyond it, the least valuable are deleted; 0: only by age"
        ),
    )
    keep_days: Mapping[Verdict, float] = Field(
        {Verdict.OK: 30.0, Verdict.REVIEW: 365.0, Verdict.NG: 730.0},
        description="how long unlabelled pictures are kept",
    )
    part_id: str = Field("", description="pattern with the named groups lot and serial, to read the machine's part ids")

    @field_validator("part_id")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        check_pattern(pattern)
        return pattern

    def names(self, part_id: str) -> dict[str, str]:
        """Lot and serial of a part, as far as its id tells; the whole id is the serial where no pattern says else."""
        found = match(self.part_id, part_id) if self.part_id else None
        told = {name: text for name, text in (found.groupdict() if found else {}).items() if text}
        return {"serial": part_id} | {name: told[name] for name in ("lot", "serial") if name in told}


class Collector:
    """Decides part by part, and remembers what it has kept."""

    def __init__(self, keep: Keep, review_ok: float = 0.0) -> None:
        self._keep, self._review_ok = keep, review_ok
        self._parts = 0
        self._bytes = 0
        self._last = float("-inf")
        self._lots: OrderedDict[str, int] = OrderedDict()
        self.reasons: Counter[str] = Counter()

    def wants(self, decision: Decision, lot: str | None, key: str = "") -> str:
        """Why a part is to be kept: "ng", "review", "asked", "every", "doubtful", "novel" or "lot"; "" to let it go.

        `key` is the part's own: an OK one that people will be asked about is drawn by it.
        """
        self._parts += 1
        asked = decision.verdict is Verdict.OK and sampled(key, self._review_ok)
        reason = "asked" if asked else self._reason(decision, lot)
        now = time.monotonic()
        if reason not in ("ng", "review", "asked") and now - self._last < self._keep.cool_down_s:
            return ""
        if not reason or self._bytes > self._keep.disk_mb * 1e6:
            return ""
        self._last = now
        self.reasons[reason] += 1
        if lot is not None:
            self._lots[lot] = self._lots.pop(lot, 0) + 1
            while len(self._lots) > LOTS:
                self._lots.popitem(last=False)
        return reason

    def took(self, size: int) -> None:
        """Count the bytes of a picture that was kept."""
        self._bytes += size

    def cleared(self) -> None:
        """Old pictures were removed: there is room again."""
        self._bytes = 0

    def _reason(self, decision: Decision, lot: str | None) -> str:
        keep = self._keep
        if decision.verdict is Verdict.NG and keep.ng:
            return "ng"
        if decision.verdict is Verdict.REVIEW and keep.review:
            return "review"
        if keep.every and self._parts % keep.every == 0:
            return "every"
        if any(abs(result.margin) <= keep.doubtful for result in decision.results) and keep.doubtful:
            return "doubtful"
        if any(result.p_value <= keep.novel_p for result in decision.results) and keep.novel_p:
            return "novel"
        if lot is not None and self._lots.get(lot, 0) < keep.lot_quota:
            return "lot"
        return ""
