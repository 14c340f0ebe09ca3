"""Taking a recipe to another line or camera: may it run there as it is, after a recalibration, or is a training due?

A few good parts of the new place say so. Each half of them is judged with what the other half has taught: light first
(gains by which brightness and colour are again those of the training), then the patches that good parts there have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sightline.core.card import MEASURES, Card
from sightline.core.errors import InputError
from sightline.core.progress import Progress, unwatched
from sightline.core.result import Verdict
from sightline.evaluate.statistics.intervals import clopper_pearson
from sightline.imaging.image import Source
from sightline.improve.canary import Canary, KnownPart
from sightline.improve.self_learning import Learner
from sightline.runtime.adaptation import Adaptation
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe

MIN_PARTS = 5
MAX_GAIN = 2.0  # either way: beyond, exposure and lamp are to be set first
CONFIDENCE = 0.9  # two-sided, so that one in twenty places that are all right is recalibrated for nothing

Answer = Literal["may run", "recalibrated", "retrain"]


@dataclass(frozen=True)
class Transfer:
    """What is to be done, and why. `as_it_is` and `recalibrated` count how many of `parts` good parts are OK with the
    recipe alone and, held out, after the recalibration; `usual` is the share of OK that the recipe's own good parts
    have at least. `adaptation` is None unless the answer is "recalibrated"; `gain` is by red, green and blue.
    """

    answer: Answer
    reason: str
    parts: int
    as_it_is: int
    recalibrated: int | None
    usual: float
    gain: tuple[float, float, float]
    added: int
    canary: Canary | None
    adaptation: Adaptation | None

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        names = ("answer", "reason", "parts", "as_it_is", "recalibrated", "added")
        more = {"usual": round(self.usual, 4), "gain": [round(value, 4) for value in self.gain]}
        canary = None if self.canary is None else self.canary.to_json()
        return {**{name: getattr(self, name) for name in names}, **more, "canary": canary}


def transfer(
    recipe: Recipe, good: Sequence[Source], known: Sequence[KnownPart], change: int, progress: Progress = unwatched
) -> Transfer:
    """Find out from good parts of the new place what a recipe needs there; `known` parts are the canary's.

    Raises InputError for fewer than five parts or one that cannot be read, RecipeError for a recipe that cannot learn.
    """
    if len(good) < MIN_PARTS:
        raise InputError(f"{len(good)} good parts are too few to judge a place by. Take {MIN_PARTS} to 20 there")
    inspector, learner = Inspector(recipe), Learner(recipe, known)
    usual = 1 - recipe.card.calibration.review.upper
    seen = [inspector.inspect(source) for source in good]
    fine = sum(one.verdict is Verdict.OK for one in seen)
    gain = _gain(recipe.card, np.array([one.appearance.measures for one in seen if one.appearance is not None]))
    plain = Transfer("may run", "", len(good), fine, None, usual, gain, 0, None, None)
    if _fits(fine, len(good), usual):
        return replace(plain, reason="good parts there are OK as often as those of the training")
    if max(gain) > MAX_GAIN or min(gain) < 1 / MAX_GAIN:
        told = "brightness or colour differ by more than twice. Set exposure, lamp and white balance first"
        return replace(plain, answer="retrain", reason=told)
    base = replace(learner.reader.own, gain=gain)
    held_out = 0
    for half in (0, 1):
        inspector.adapt(learner.admit_confirmed(base, good[half::2], change).adaptation)
        held_out += sum(inspector.inspect(source).verdict is Verdict.OK for source in good[1 - half :: 2])
        progress("recalibrating", half + 1, 3)
    # Known defects were photographed at the old place: they are judged with the new patches, and without the new gains.
    new, canary = learner.admit_checked(base, good, change)
    progress("recalibrating", 3, 3)
    done = replace(plain, recalibrated=held_out, added=new.added, canary=canary)
    if not canary.passed:
        return replace(done, answer="retrain", reason=f"after a recalibration {canary.reason}")
    if not _fits(held_out, len(good), usual):
        told = (
            f"only {held_out} of {len(good)} good parts are OK after a recalibration. Train with pictures of that place"
        )
        return replace(done, answer="retrain", reason=told)
    return replace(
        done, answer="recalibrated", adaptation=new,
        reason=f"{held_out} of {len(good)} good parts are OK after it, held out; {fine} were as it is",
    )  # fmt: skip


def _fits(fine: int, of: int, usual: float) -> bool:
    """Whether so many OK parts may be seen where good parts are OK with at least the usual share."""
    return clopper_pearson(fine, of, CONFIDENCE)[1] >= usual


def _gain(card: Card, measures: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float, float]:
    """Gains of red, green and blue that bring pictures back to the training's brightness and colours.

    `measures` (n, M) are those of the new place; 1 where the recipe does not say how its parts looked.
    """
    if card.appearance is None or not len(measures):
        return 1.0, 1.0, 1.0
    usual = card.appearance.measures
    # Brightness is the logarithm of the mean, red and blue are those of their ratios to green.
    change = {
        name: usual[name].mean - float(np.median(measures[:, MEASURES.index(name)]))
        for name in ("brightness", "red", "blue")
    }
    green = math.exp(change["brightness"])
    return green * math.exp(change["red"]), green, green * math.exp(change["blue"])
