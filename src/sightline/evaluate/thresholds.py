"""Thresholds: from held-out scores to the band and to what may be promised, and set anew in a finished recipe.

Thresholds are order statistics of scores of parts that the memory did not contain, so their rates have exact bounds.
Source: conformal prediction and tolerance limits (Wilks 1941; Vovk et al. 2005), `statistics.intervals` for the
binomial. The NG limit of few parts is read off an exponential tail instead: the highest of 30 scores is as often one
odd part as it is a limit, and everything below it would go to a person (docs/decisions/0040).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Bounded, Calibration, Card, Revision
from sightline.core.errors import RecipeError, SettingError
from sightline.core.result import NEVER, Band
from sightline.evaluate.statistics.intervals import CONFIDENCE, rate, upper_bound
from sightline.runtime.recipe import Recipe, read_floats

Scores = NDArray[np.float64]
MAX_REVIEW = 0.5  # of the good parts, that known defects may send to a person
TAIL = 0.9  # quantile of the good scores that sets the slope of their tail
SURE = f"{CONFIDENCE:.0%}"


@dataclass(frozen=True)
class Targets:
    """Rates a person asks for, each in 0..1."""

    overkill: float = 0.02
    escape: float = 0.01
    review: float = 0.1


def calibrate(
    good: Scores,
    defective: Scores,
    heat_peaks: Scores,
    targets: Targets,
    by_group: bool = False,
    photos: int | None = None,
    outside: NDArray[np.bool_] | None = None,
    caught: NDArray[np.bool_] | None = None,
    pictures: tuple[Scores, Scores] | None = None,
) -> tuple[Band, Calibration]:
    """Band and calibration from held-out scores of good parts (n,) and scores of labelled defective ones (m,).

    `heat_peaks` (n,) are the good parts' hottest cells; `photos` is how many pictures show the n parts; `outside` (n,)
    bool says which of them would go to REVIEW whatever they score, `caught` (m,) which defects are known by their type.
    `pictures` are scores and weights (N,), summing to 1, of all pictures of the good parts where some have several:
    limits are those of one picture of a part, bounds count a part by its worst. Raises ValueError without good scores.
    """
    if len(good) == 0:
        raise ValueError("thresholds need the scores of at least one held-out good part")
    strange = np.zeros(len(good), bool) if outside is None else outside
    known = np.zeros(len(defective), bool) if caught is None else caught
    given, good = good, np.sort(good)
    # How pictures of one and the same part differ says nothing of other parts.
    single = Pictures.of(good) if pictures is None or len(good) == 1 else Pictures.sorted(*pictures)
    band = _band(good, single, np.sort(defective), np.sort(defective[~known]), targets)
    overkill = rate(int((good > band.high).sum()), len(good))
    review = rate(int(((given > band.low) | strange).sum()), len(good))
    escape = rate(int(((defective <= band.low) & ~known).sum()), len(defective)) if len(defective) else None
    return band, Calibration(
        method="leave-one-group-out" if by_group else "leave-one-image-out",
        good=len(good),
        defective=len(defective),
        overkill=overkill,
        review=review,
        escape=escape,
        heat_threshold=Pictures.of(np.sort(heat_peaks)).limit(targets.review),
        promises=_promises(overkill, review, escape, targets, photos or len(good)),
    )


def calibrate_known(
    known: Scores, heat_peaks: Scores, targets: Targets, by_group: bool = False
) -> tuple[Band, Calibration]:
    """Band and calibration where there are no good parts: from held-out scores (n,) of parts of known types.

    `band.high` parts what looks like the known parts from strangers; nothing is OK. Raises ValueError without scores.
    """
    if len(known) == 0:
        raise ValueError("thresholds need the score of at least one held-out part")
    band = Band(low=NEVER, high=Pictures.of(np.sort(known)).limit(targets.review))
    strange = rate(int((known > band.high).sum()), len(known))
    return band, Calibration(
        method="leave-one-group-out" if by_group else "leave-one-image-out",
        good=0,
        known=len(known),
        defective=len(known),
        overkill=rate(0, 0),
        review=strange,
        escape=None,
        heat_threshold=Pictures.of(np.sort(heat_peaks)).limit(targets.review),
        promises=(
            "no good parts: this recipe never says OK, and nothing can be promised about overkill",
            f"{strange.count} of {strange.of} held-out known parts look like none of the others and go to REVIEW: at "
            f"most {strange.upper:.1%} at {SURE} confidence",
            "nobody knows how many good parts would be taken for a known type: photograph good parts and train again",
        ),
    )


@dataclass(frozen=True)
class Pictures:
    """Scores (N,) of held-out pictures, ascending, and their weights (N,), which sum to 1.

    The pictures of one part, group or lot share its weight. A limit from the worst picture of each group would lie
    above all defects where few groups hold many different parts.
    """

    scores: Scores
    weights: Scores

    @classmethod
    def of(cls, ascending: Scores) -> Pictures:
        """Pictures of equal weight."""
        return cls(ascending, np.full(len(ascending), 1 / len(ascending)))

    @classmethod
    def sorted(cls, scores: Scores, weights: Scores) -> Pictures:
        """Pictures in any order."""
        order = np.argsort(scores, kind="stable")
        return cls(scores[order], weights[order])

    def limit(self, above: float) -> float:
        """The lowest score that at most a share `above` of the weight exceeds: an order statistic of equal weights."""
        exceeding = 1.0 - np.cumsum(self.weights)
        return float(self.scores[int(np.argmax(exceeding <= above + 1e-9))])

    def quantile(self, share: float) -> float:
        """Interpolated as by default in numpy, to which it is equal for equal weights."""
        reach = np.cumsum(self.weights) - self.weights
        return float(np.interp(share * reach[-1], reach, self.scores)) if len(reach) > 1 else float(self.scores[0])


def _band(good: Scores, pictures: Pictures, defective: Scores, uncaught: Scores, targets: Targets) -> Band:
    """All scores ascending; `uncaught` are those of defects that only the score can keep out of OK."""
    overkill_limit = ng_limit(good, targets.overkill, pictures)
    review_limit = pictures.limit(targets.review)
    if len(defective) == 0:
        return Band(low=min(review_limit, overkill_limit), high=overkill_limit)
    escape_limit = _below(defective, int(targets.escape * len(defective)))
    highest = min(overkill_limit, float(good[-1]))
    if _below(defective, 0) >= highest:
        # Good and known defective parts lie apart: the gap, where nothing was ever seen, goes to a person.
        return Band(low=highest, high=escape_limit)
    # They overlap: known defects pull the lower threshold down until none is OK, unless most good parts would then go
    # to a person: a defect that scores like the middle of the good parts is none that the score can tell.
    reachable = uncaught[uncaught > pictures.limit(MAX_REVIEW)]
    low = _below(reachable, 0) if len(reachable) else review_limit
    if len(reachable) < len(uncaught):
        low = min(low, review_limit)
    return Band(low=min(low, overkill_limit), high=overkill_limit)


def ng_limit(good: Scores, target: float, pictures: Pictures | None = None) -> float:
    """The score that about `target` of the good parts exceed; `good` (n,) are held-out scores, ascending.

    An order statistic where there are enough parts to promise the target. With fewer, the tail is taken for exponential
    through the scores' median and 90 % point: neither the highest score nor an odd part among ten moves it, and on
    tails from uniform to Student's t with two degrees of freedom the bound counted from the parts above it holds.
    `pictures` are those of the parts where they have several.
    """
    if upper_bound(0, len(good)) <= target:
        return Pictures.of(good).limit(_allowed(target, len(good)) / len(good))
    single = pictures or Pictures.of(good)
    middle, high = single.quantile(0.5), single.quantile(TAIL)
    return float(middle + (high - middle) * math.log(0.5 / target) / math.log(0.5 / (1 - TAIL)))


def _allowed(target: float, count: int) -> int:
    """Most good parts above a threshold such that the rate's upper bound still meets the target; else none."""
    allowed = 0
    while upper_bound(allowed + 1, count) <= target:
        allowed += 1
    return allowed


def _below(ascending: Scores, escaping: int) -> float:
    """The highest threshold that `escaping` of the defective scores do not exceed."""
    return float(np.nextafter(ascending[min(escaping, len(ascending) - 1)], -np.inf))


def _promises(
    overkill: Bounded, review: Bounded, escape: Bounded | None, targets: Targets, photos: int
) -> tuple[str, ...]:
    parts = f"{overkill.of} good part{'s' * (overkill.of != 1)}"
    parts += f" in {photos} photos" if photos != overkill.of else ""
    lines = [f"{parts}: overkill at most {overkill.upper:.1%} at {SURE} confidence"]
    if overkill.upper > targets.overkill:
        needed = int(np.ceil(np.log(1 - CONFIDENCE) / np.log(1 - targets.overkill)))
        lines.append(f"an overkill of {targets.overkill:.1%} needs {needed} good parts to be promised")
    lines.append(f"{review.count} of {review.of} good parts would not be OK: at most {review.upper:.1%}")
    if escape is None:
        return (*lines, "no labelled defective parts: nothing can be promised about escapes")
    if review.count > max(1, targets.review * review.of):
        lines.append(f"keeping known defects out of OK sends {review.count} of {review.of} good parts to a person, "
                     f"{targets.review:.0%} were asked for")  # fmt: skip
    lines.append(f"{escape.count} of {escape.of} known defective parts judged OK: escape at most {escape.upper:.1%}")
    if escape.upper > targets.escape:
        needed = int(np.ceil(np.log(1 - CONFIDENCE) / np.log(1 - targets.escape)))
        lines.append(f"an escape of {targets.escape:.1%} needs {needed} defective parts, all found, to be promised")
    return tuple(lines)


def set_thresholds(recipe: Recipe, ok: float, ng: float, reason: str, *, by: str = "a person") -> Recipe:
    """A new revision of a recipe: OK up to `ok`, NG above `ng`, REVIEW between them (scores, `ok` <= `ng`).

    The card says who set them, when and why, and names the recipe that it was made from (`provenance.parent`). What the
    recipe promises is counted anew from the held-out scores of good parts that lie in the file; what cannot be counted
    is no longer promised. Known types go on deciding by thresholds of their own, and a picture that does not show the
    product is never OK. A signed recipe must be signed again.

    Raises SettingError for thresholds that are none or a missing reason, RecipeError for a recipe without good parts,
    which never says OK, or without those scores.
    """
    _check(recipe.card, ok, ng, reason)
    scores = held_out_scores(recipe)
    band, card = Band(low=ok, high=ng), recipe.card
    escape = card.calibration.escape if ok <= card.band.low else None
    lines = [f"thresholds set by {by}: {reason.strip()}", *_escapes(escape)]
    if card.recognition is not None and card.recognition.band is not None:
        lines.append("known types decide, too, by thresholds of their own: more good parts than counted here may be NG")
    return revised(recipe, band, restated(card, band, scores, escape, lines), reason, by)


def held_out_scores(recipe: Recipe) -> NDArray[np.float32]:
    """Scores (n,) float32 of good parts that the recipe's memory did not contain. Raises RecipeError."""
    scores = read_floats(recipe.data, "calibration")
    if scores is None or not scores.size:
        raise RecipeError("the recipe holds no scores of good parts to count with. Train it again")
    return scores


def restated(
    card: Card, band: Band, scores: NDArray[np.float32], escape: Bounded | None, more: list[str]
) -> Calibration:
    """What other thresholds rest on: rates of held-out good parts counted anew, then `more` promises."""
    # Several pictures of one part count once, so there may be more scores than parts: at most all parts are above.
    good = min(card.calibration.good, len(scores))
    overkill = rate(min(good, int((scores > band.high).sum())), good)
    # Those that do not look like the product go to REVIEW whatever they score: which they are, the file does not say.
    review = rate(min(good, int((scores > band.low).sum()) + card.ood.outside.count), good)
    promises = (
        f"{overkill.count} of {good} held-out good parts score above the NG limit: overkill at most "
        f"{overkill.upper:.1%} at {SURE} confidence, had the limits been fixed before",
        f"{review.count} of {good} held-out good parts would not be OK: at most {review.upper:.1%}",
        *more,
    )
    changed = {"overkill": overkill, "review": review, "escape": escape, "promises": promises, "limits": ()}
    return card.calibration.model_copy(update=changed)


def revised(recipe: Recipe, band: Band, calibration: Calibration, reason: str, by: str) -> Recipe:
    """The recipe with another band and what it rests on; its card names the recipe that it was made from."""
    card = recipe.card
    now = datetime.now(UTC).isoformat(timespec="seconds")
    changed = {
        "band": band,
        "calibration": calibration,
        "revision": Revision(created=now, by=by, reason=reason.strip(), earlier=card.band),
        "provenance": card.provenance.model_copy(update={"created": now, "parent": recipe.hash}),
    }
    return recipe.with_card(Card.model_validate(card.model_copy(update=changed).model_dump()))


def _check(card: Card, ok: float, ng: float, reason: str) -> None:
    if not (math.isfinite(ok) and math.isfinite(ng)):
        raise SettingError(f"thresholds {ok} and {ng} are not numbers. Give scores, as sightline inspect prints them")
    if ok > ng:
        raise SettingError(
            f"the OK limit {ok:g} lies above the NG limit {ng:g}. A part is OK up to the first, NG above the other: "
            "swap them, or give the same number twice for no REVIEW"
        )
    if not reason.strip():
        raise SettingError("thresholds need a reason. Say in a few words why they are set by hand")
    if card.without_good:
        raise RecipeError(
            "this recipe was trained without good parts and never says OK, so its thresholds cannot be set. "
            "Train one with good parts"
        )


def _escapes(escape: Bounded | None) -> list[str]:
    if escape is None:
        return ["nothing is promised about escapes with these limits. Measure them: sightline evaluate"]
    return [
        f"{escape.count} of {escape.of} known defective parts were judged OK at the earlier OK limit, and this one is "
        f"no higher: escape at most {escape.upper:.1%}"
    ]
