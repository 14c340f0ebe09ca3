"""How many parts people can look at, turned into a REVIEW threshold and a random share of OK parts.

A shift's work is divided in two. A random sample of OK parts says what is shipped: `n` parts looked at and all of them
good bound the defective share of all OK parts by 1 - 0.05 ** (1 / n) at 95 %, about 3 / n ("rule of three"; Hanley and
Lippman-Hand, "If Nothing Goes Wrong, Is Everything All Right?", 1983). It gets what a wanted bound takes, half of the
work at most. Whatever is left goes to REVIEW: the OK limit is lowered as far as that many good parts allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sightline.core.errors import SettingError
from sightline.core.figures import Figures
from sightline.core.result import Band
from sightline.evaluate.prices import PER, Prices
from sightline.evaluate.statistics.intervals import CONFIDENCE, upper_bound
from sightline.evaluate.thresholds import SURE, Scores, ng_limit

MOST_AUDITED = 0.5  # of the work: without reviews, audits only count what escapes
REACH = 8.0  # e-foldings of the good parts' tail, beyond which nothing is said


@dataclass(frozen=True)
class Workload:
    """What people can do and what is to be known: `parts` looked at per shift of `shift_h` hours at a takt of
    `takt_s` seconds; after `weeks` of `shifts` each, at most a share `shipped` of the OK parts may be defective.
    """

    parts: float
    takt_s: float
    shift_h: float = 8.0
    shipped: float = 0.001
    weeks: float = 4.0
    shifts: float = 15.0

    def __post_init__(self) -> None:
        for name in ("parts", "takt_s", "shift_h", "weeks", "shifts"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise SettingError(f"{name} {getattr(self, name):g} makes no plan. Give a number above 0")
        if not 0 < self.shipped < 1:
            raise SettingError(f"{self.shipped:g} defective parts of one are no goal. Give a share, like 0.001")
        if self.parts > self.made:
            raise SettingError(
                f"a shift makes {self.made:.0f} parts, and {self.parts:g} would be looked at. Look at all of them, or "
                "correct the takt"
            )

    @property
    def made(self) -> float:
        """Parts of a shift."""
        return self.shift_h * 3600 / self.takt_s


@dataclass(frozen=True)
class ReviewPlan(Figures):
    """OK up to `ok`, NG above `ng`, and `audit_share` of the OK parts to be looked at, a station's `review_ok`.

    `reviews`, at most `reviews_upper` by what the held-out good parts say for certain, and `audits` are expected parts
    per shift. `audited` are those of all weeks, which bound what is shipped by `shipped` if all are good; the wanted
    bound takes `weeks_needed`. `cost_per_1000` is that of looking, None without a price.
    """

    ok: float
    ng: float
    review_share: float
    reviews: float
    reviews_upper: float
    audit_share: float
    audits: float
    audited: int
    shipped: float
    weeks_needed: float
    cost_per_1000: float | None
    notes: tuple[str, ...]


def plan_reviews(good: Scores, band: Band, load: Workload, prices: Prices) -> ReviewPlan:
    """The plan from held-out scores (n,) of good parts; the NG limit of `band` stays. Raises ValueError without any."""
    if not len(good):
        raise ValueError("a plan needs the scores of at least one held-out good part")
    ascending = np.sort(np.asarray(good, np.float64))
    wanted = parts_needed(load.shipped)
    audits = min(wanted / (load.weeks * load.shifts), MOST_AUDITED * load.parts)
    share = (load.parts - audits) / load.made
    stopped = _above(ascending, band.high)
    ok = min(ng_limit(ascending, min(0.5, stopped + share)), band.high)
    reviews = max(0.0, _above(ascending, ok) - stopped) * load.made
    certain = upper_bound(int((ascending > ok).sum()), len(ascending))
    audited = int(audits * load.weeks * load.shifts)
    looked = (reviews + audits) / load.made
    plan = ReviewPlan(
        ok=ok,
        ng=band.high,
        review_share=reviews / load.made,
        reviews=reviews,
        reviews_upper=certain * load.made,
        audit_share=audits / max(1.0, load.made * (1 - stopped - reviews / load.made)),
        audits=audits,
        audited=audited,
        shipped=upper_bound(0, audited),
        weeks_needed=wanted / (audits * load.shifts),
        cost_per_1000=None if prices.review is None else PER * looked * prices.review,
        notes=(),
    )
    return replace(plan, notes=tuple(_notes(plan, band, load, len(good))))


def parts_needed(shipped: float) -> int:
    """OK parts that have to be looked at, all of them good, so that at most a share `shipped` is defective at 95 %."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-shipped))


def _above(ascending: Scores, limit: float) -> float:
    """The share of good parts above a limit, from the tail that `ng_limit` draws, so that both agree."""
    low, high = 1e-9, 0.5
    if ng_limit(ascending, high) > limit:
        return float((ascending > limit).mean())
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if ng_limit(ascending, middle) > limit else (low, middle)
    return 0.0 if high < math.exp(-REACH) * 0.5 else high


def _notes(plan: ReviewPlan, band: Band, load: Workload, good: int) -> list[str]:
    notes = [
        f"{plan.reviews + plan.audits:.0f} parts a shift of {load.made:.0f}: {plan.reviews:.0f} in REVIEW, and "
        f"{plan.audits:.0f} OK ones drawn at random (review_ok = {plan.audit_share:.2g} in the station's file)",
        f"after {load.weeks:g} weeks {plan.audited} OK parts were looked at. If all are good, at most "
        f"{plan.shipped:.2%} of what is shipped is defective, at {SURE} confidence",
    ]
    if plan.weeks_needed > load.weeks * 1.01:
        notes.append(f"{load.shipped:.2%} takes {plan.weeks_needed:.0f} weeks at this load, or more parts a shift")
    if plan.reviews_upper > 1.5 * load.parts:
        notes.append(
            f"{good} held-out good parts promise no more than that at most {plan.reviews_upper:.0f} parts a shift are "
            "not OK. Count the first shifts, or train with more good parts"
        )
    if plan.ok > band.low:
        notes.append("the OK limit rises: what was sent to a person becomes OK, and the promise on escapes ends")
    if plan.reviews < 0.5 * (load.parts - plan.audits):
        notes.append("good parts leave the OK limit no room: with more work than this there would be no more reviews")
    return notes
