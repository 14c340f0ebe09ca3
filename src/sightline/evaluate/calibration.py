"""From held-out scores to the band, and to what may be promised.

Thresholds are order statistics of scores of parts that the bank did not contain, so their rates have exact
bounds. Source: conformal prediction and tolerance limits (Wilks 1941; Vovk et al. 2005), `bounds.py` for the
binomial.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.core.band import NEVER, Band
from sightline.core.card import Bounded, Calibration
from sightline.evaluate.bounds import CONFIDENCE, rate, upper_bound

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Targets:
    """Rates a person asks for, each in 0..1."""

    overkill: float = 0.01
    escape: float = 0.01
    review: float = 0.05


def calibrate(
    good: Scores, defective: Scores, heat_peaks: Scores, targets: Targets, by_group: bool = False
) -> tuple[Band, Calibration]:
    """Band and calibration from held-out scores of good parts (n,) and scores of labelled defective ones (m,).

    `heat_peaks` (n,) are the good parts' hottest cells. Raises ValueError without good scores.
    """
    if len(good) == 0:
        raise ValueError("thresholds need the scores of at least one held-out good part")
    good, defective = np.sort(good), np.sort(defective)
    band = _band(good, defective, targets)
    overkill = rate(int((good > band.high).sum()), len(good))
    review = rate(int((good > band.low).sum()), len(good))
    escape = rate(int((defective <= band.low).sum()), len(defective)) if len(defective) else None
    return band, Calibration(
        method="leave-one-group-out" if by_group else "leave-one-image-out",
        good=len(good),
        defective=len(defective),
        overkill=overkill,
        review=review,
        escape=escape,
        heat_threshold=_order_statistic(np.sort(heat_peaks), int(targets.review * len(heat_peaks))),
        promises=_promises(overkill, review, escape, targets),
    )


def calibrate_known(
    known: Scores, heat_peaks: Scores, targets: Targets, by_group: bool = False
) -> tuple[Band, Calibration]:
    """Band and calibration where there are no good parts: from held-out scores (n,) of parts of known types.

    `band.high` parts what looks like the known parts from strangers; nothing is OK. Raises ValueError without scores.
    """
    if len(known) == 0:
        raise ValueError("thresholds need the score of at least one held-out part")
    ordered = np.sort(known)
    band = Band(low=NEVER, high=_order_statistic(ordered, int(targets.review * len(known))))
    strange = rate(int((ordered > band.high).sum()), len(known))
    return band, Calibration(
        method="leave-one-group-out" if by_group else "leave-one-image-out",
        good=0,
        known=len(known),
        defective=len(known),
        overkill=rate(0, 0),
        review=strange,
        escape=None,
        heat_threshold=_order_statistic(np.sort(heat_peaks), int(targets.review * len(heat_peaks))),
        promises=(
            "no good parts: this recipe never says OK, and nothing can be promised about overkill",
            f"{strange.count} of {strange.of} held-out known parts look like none of the others and go to REVIEW: at "
            f"most {strange.upper:.1%} at {CONFIDENCE:.0%} confidence",
            "nobody knows how many good parts would be taken for a known type: photograph good parts and train again",
        ),
    )


def _band(good: Scores, defective: Scores, targets: Targets) -> Band:
    overkill_limit = _order_statistic(good, _allowed(targets.overkill, len(good)))
    review_limit = _order_statistic(good, int(targets.review * len(good)))
    if len(defective) == 0:
        return Band(low=min(review_limit, overkill_limit), high=overkill_limit)
    escape_limit = _below(defective, int(targets.escape * len(defective)))
    if escape_limit >= overkill_limit:
        # Good and known defective parts lie apart: the gap, where nothing was ever seen, goes to a person.
        return Band(low=overkill_limit, high=escape_limit)
    # They overlap: known defects pull the lower threshold down, but no further than people can review.
    return Band(low=min(max(escape_limit, review_limit), overkill_limit), high=overkill_limit)


def _allowed(target: float, count: int) -> int:
    """Most good parts above a threshold such that the rate's upper bound still meets the target; else none."""
    allowed = 0
    while upper_bound(allowed + 1, count) <= target:
        allowed += 1
    return allowed


def _order_statistic(ascending: Scores, above: int) -> float:
    """The value that `above` of the scores exceed."""
    return float(ascending[len(ascending) - 1 - min(above, len(ascending) - 1)])


def _below(ascending: Scores, escaping: int) -> float:
    """The highest threshold that `escaping` of the defective scores do not exceed."""
    return float(np.nextafter(ascending[min(escaping, len(ascending) - 1)], -np.inf))


def _promises(overkill: Bounded, review: Bounded, escape: Bounded | None, targets: Targets) -> tuple[str, ...]:
    sure = f"{CONFIDENCE:.0%}"
    lines = [f"{overkill.of} good parts: overkill at most {overkill.upper:.1%} at {sure} confidence"]
    if overkill.upper > targets.overkill:
        needed = int(np.ceil(np.log(1 - CONFIDENCE) / np.log(1 - targets.overkill)))
        lines.append(f"an overkill of {targets.overkill:.1%} needs {needed} good parts to be promised")
    lines.append(f"{review.count} of {review.of} good parts were above the OK limit: at most {review.upper:.1%}")
    if escape is None:
        return (*lines, "no labelled defective parts: nothing can be promised about escapes")
    lines.append(f"{escape.count} of {escape.of} known defective parts judged OK: escape at most {escape.upper:.1%}")
    if escape.upper > targets.escape:
        needed = int(np.ceil(np.log(1 - CONFIDENCE) / np.log(1 - targets.escape)))
        lines.append(f"an escape of {targets.escape:.1%} needs {needed} defective parts, all found, to be promised")
    return tuple(lines)
