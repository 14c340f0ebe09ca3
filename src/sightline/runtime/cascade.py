"""A cascade: a fast recipe judges every part, an accurate one those that the fast one leaves in REVIEW."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from sightline.core.card import Card
from sightline.core.errors import RecipeError
from sightline.core.result import SEVERITY, Band, Verdict
from sightline.imaging.image import Source
from sightline.runtime.engine_choice import EngineSetting
from sightline.runtime.inspection import Inspection
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import Precision
from sightline.runtime.signature import Release

FAST, ACCURATE = "fast", "accurate"
SHARED = ("product", "roi", "grades")  # what the cards must agree on, or the two judge different things


class Cascade:
    """Two recipes as one judge, with the face of an Inspector; safe to share between threads.

    `fast` and `accurate` are paths or Recipes of the same product and region of interest; `threads` the processor
    threads that one inspection may use; `engine`, `precision`, `public_key` and `release` as for an Inspector.
    Raises RecipeError for a file that is not a usable recipe, or where the two do not belong together.

    | fast | accurate | verdict | decided by |
    |---|---|---|---|
    | OK or NG | not asked | as the fast one says | fast |
    | REVIEW | OK | OK | accurate |
    | REVIEW | OK, with a warning that the image is unlike its training | REVIEW | fast |
    | REVIEW | REVIEW or NG | as the accurate one says | accurate |
    | REVIEW | a score that is not a finite number | NG | accurate |
    | REVIEW | an exception | REVIEW, with a warning | fast |

    So REVIEW becomes OK only by a finite score within the accurate recipe's OK limit, on an image that it was
    calibrated for. A part that the fast recipe wrongly calls OK is not looked at again: its escapes are the
    cascade's, and its overkills too (docs/decisions/0011).

    An inspection is on the fast recipe's scales, whoever decided: see `on_band` for the score; heat and the heat of
    the defects are shifted so that the outline thresholds meet. `p_value`, `grade` and `defects` are those of the
    recipe that decided (`judged_by`), the embedding always the fast one's: embeddings of two backbones cannot be
    compared. `times_ms` has "rejudge" where the accurate recipe was asked.
    """

    def __init__(
        self,
        fast: str | Path | Recipe,
        accurate: str | Path | Recipe,
        threads: int = 2,
        engine: EngineSetting = "onnxruntime",
        precision: Precision = "f32",
        public_key: str | Path | None = None,
        release: Release | None = None,
    ) -> None:
        self.fast = Inspector(fast, threads, engine, precision, public_key, release)
        self.accurate = Inspector(accurate, threads, engine, precision, public_key, release)
        _check_pair(self.fast.card, self.accurate.card, _name(fast, FAST), _name(accurate, ACCURATE))
        self.card: Card = _joint_card(self.fast.card, self.accurate.card)

    def warm_up(self) -> None:
        """Run one black image through both recipes; an engine that does not work raises here, not on a part."""
        self.fast.warm_up()
        self.accurate.warm_up()

    def inspect(self, source: Source) -> Inspection:
        """Judge one image: a path, encoded bytes, a PIL image or an array (RGB). It is decoded once.

        Raises InputError where there is nothing to judge, and whatever the fast recipe raises.
        """
        return self._second_opinion(self.fast.inspect(source))

    def inspect_many(self, sources: Iterable[Source], batch: int = 8) -> Iterator[Inspection]:
        """Judge images in order, `batch` at a time in the fast recipe. Raises InputError as Inspector does.

        The accurate recipe takes its parts one by one: they are few, and one that fails must not take others along.
        """
        for first in self.fast.inspect_many(sources, batch):
            yield self._second_opinion(first)

    def _second_opinion(self, first: Inspection) -> Inspection:
        if first.verdict is not Verdict.REVIEW:
            return replace(first, judged_by=FAST)
        start = time.perf_counter()
        second: Inspection | None = None
        try:
            second = self.accurate.inspect(first.image)
            notes = tuple(f"the accurate recipe: {note}" for note in second.warnings)
        except Exception as error:  # noqa: BLE001 - whatever failed, the line goes on and a person judges the part
            notes = (
                f"the accurate recipe failed ({type(error).__name__}: {error}), so the part stays in REVIEW. "
                "Run the accurate recipe on this image alone to see why",
            )
        ms = (time.perf_counter() - start) * 1e3
        times = {**first.times_ms, "rejudge": ms, "total": first.times_ms["total"] + ms}
        judged = replace(first, judged_by=FAST, times_ms=times, warnings=first.warnings + notes)
        if second is None:
            return judged
        # Once more from the score: a score that is not a number is never OK, whatever stands beside it.
        verdict = max(second.verdict, self.accurate.card.band.decide(second.score), key=SEVERITY.__getitem__)
        # OK needs both recipes to know the product, and an accurate one without a doubt about the picture.
        strange = self.fast.card.ood.reason(first.ood_distance, first.score) is not None
        if verdict is Verdict.OK and (second.warnings or strange):
            return judged
        return self._decided(judged, second, verdict)

    def _decided(self, first: Inspection, second: Inspection, verdict: Verdict) -> Inspection:
        """The first inspection with the accurate recipe's say, on the fast recipe's scales."""
        shift = first.heat_threshold - second.heat_threshold
        return replace(
            first,
            verdict=verdict,
            reason=second.reason,
            ood_distance=second.ood_distance,
            score=on_band(second.score, self.accurate.card.band, self.fast.card.band),
            p_value=second.p_value,
            grade=second.grade,
            defects=tuple(replace(defect, score=defect.score + shift) for defect in second.defects),
            heat=second.heat + shift,
            judged_by=ACCURATE,
        )


def on_band(score: float, own: Band, target: Band) -> float:
    """A score of the band `own` on the scale of the band `target`, for one ranking over both recipes.

    Piecewise linear and increasing: low goes to low, high to high, linear between; beyond them the distance to the
    threshold is kept, because either recipe's scores are in spreads of its own held-out good parts. The verdict of
    the result in `target` is that of `score` in `own`, rounding included (but for a `target` without REVIEW). A
    score that is not a finite number is returned as it is.
    """
    if not math.isfinite(score):
        return score
    if score <= own.low:
        return target.low + (score - own.low)
    if score > own.high:
        return max(target.high + (score - own.high), math.nextafter(target.high, math.inf))
    share = (score - own.low) / (own.high - own.low)
    inside = target.low + share * (target.high - target.low)
    return min(max(inside, math.nextafter(target.low, math.inf)), target.high)


def _check_pair(fast: Card, accurate: Card, fast_name: str, accurate_name: str) -> None:
    if fast.without_good or accurate.without_good:
        name = fast_name if fast.without_good else accurate_name
        raise RecipeError(f"{name} was made without good parts and never says OK, so it cannot be part of a cascade")
    for field in SHARED:
        one, other = getattr(fast, field), getattr(accurate, field)
        if one != other:
            raise RecipeError(
                f"{fast_name} and {accurate_name} do not belong together: {field} is {one!r} in the first and "
                f"{other!r} in the second. Train both on the same parts with the same product and region of interest"
            )


def _joint_card(fast: Card, accurate: Card) -> Card:
    """The fast recipe's card with both recipes' training images, and without promises that no longer hold."""
    promises = (
        "These limits and rates are the fast recipe's alone. Those of the two recipes together follow from neither "
        "card: measure them with sightline evaluate FAST DATA --accurate ACCURATE",
    )
    types = fast.recognition and fast.recognition.model_copy(update={"calibration": None})
    return fast.model_copy(
        update={
            "recognition": types,
            "backbone": f"{fast.backbone}, REVIEW by {accurate.backbone}",
            "trained_on": tuple(dict.fromkeys((*fast.trained_on, *accurate.trained_on))),
            "calibration": fast.calibration.model_copy(update={"promises": promises}),
        }
    )


def _name(recipe: str | Path | Recipe, role: str) -> str:
    return f"the {role} recipe" if isinstance(recipe, Recipe) else str(recipe)
