"""One trial: the folds judged one after another, and what is known after each."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.result import Band, Result
from sightline.data.formats.document import DatasetWarning
from sightline.data.synthetic.painters import draw
from sightline.imaging.image import Image, read_image
from sightline.runtime.inspector import Inspector
from sightline.train.images.loader import TrainingWarning
from sightline.train.search.folds import Bench, Judged
from sightline.train.settings import TrainSettings
from sightline.train.training import train

DIGITS = 7  # of a score that is kept: what float32 has
SURE = 1e-9  # shares nearer to 0 or 1 are as good as that
MIN_WIDTH = 0.1  # of a band, so that equal thresholds do not make a step of it

After = Callable[["Outcome", int], None]


@dataclass(frozen=True)
class Outcome:
    """Scores of the bench's pictures, as far as the folds have gone, and ms of the real ones among them."""

    scores: tuple[float, ...] = ()
    times_ms: tuple[float, ...] = ()

    @property
    def ms(self) -> float:
        """Median ms per image, from file to verdict."""
        return float(np.median(self.times_ms))

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.scores + other.scores, self.times_ms + other.times_ms)


def run_folds(bench: Bench, settings: TrainSettings, before: Callable[[int], None], after: After) -> Outcome:
    """Train without each fold and judge that fold.

    `before(fold)` and `after(outcome, folds)` are called around each, and end the trial by raising.
    """
    outcome = Outcome()
    for fold in range(bench.count):
        before(fold)
        outcome += judge_fold(bench, settings, fold)
        after(outcome, fold + 1)
    return outcome


def judge_fold(bench: Bench, settings: TrainSettings, fold: int) -> Outcome:
    """Learn from the other folds and judge this one's pictures, one at a time, as a line does."""
    with warnings.catch_warnings():
        # Every trial would repeat them; the training on all parts at the end says them once.
        for kind in (TrainingWarning, DatasetWarning):
            warnings.simplefilter("ignore", kind)
        recipe = train(bench.train(fold), settings)
    inspector = Inspector(recipe, threads=settings.threads)
    inspector.warm_up()
    scores, times = [], []
    for picture in bench.held_out(fold):
        sample = bench.samples[picture.index]
        try:
            source = (
                sample.path
                if picture.drawing is None
                else _with_defect(bench, picture, settings.roi, inspector.card.full_scale)
            )
            found = inspector.inspect(source)
        except InputError:
            scores.append(math.inf)  # no verdict is never OK
            continue
        scores.append(float(f"{graver(found, inspector.card):.{DIGITS}g}"))
        if picture.drawing is None:
            times.append(round(float(found.times_ms["total"]), 3))
    return Outcome(tuple(scores), tuple(times))


def graver(found: Result, card: Card) -> float:
    """One score for a verdict that two witnesses make: the higher of their places on their own bands.

    Where no types decide, it is the anomaly score as it is.
    """
    if card.recognition is None or card.recognition.band is None or not found.types:
        return found.score
    shares = np.clip(np.array(list(found.types.values())), SURE, 1 - SURE)
    good = np.clip(1 - shares.sum(), SURE, 1) if card.exclusive else 1 - shares
    type_logit = float(np.log(shares / good).max())
    return max(_position(found.score, card.band), _position(type_logit, card.recognition.band))


def _position(score: float, band: Band) -> float:
    """0 at the low threshold, 1 at the high one, where they differ."""
    return (score - band.low) / max(band.high - band.low, MIN_WIDTH)


def _with_defect(
    bench: Bench, picture: Judged, roi: tuple[float, float, float, float], full_scale: int | None = None
) -> Image:
    """The picture with its defect, the same in every trial, inside the region that a recipe looks at."""
    image = read_image(bench.samples[picture.index].path, full_scale)[0].copy()
    high, wide = image.shape[:2]
    left, top = round(roi[0] * wide), round(roi[1] * high)
    right, bottom = round((roi[0] + roi[2]) * wide), round((roi[1] + roi[3]) * high)
    own = int(bench.hashes[picture.index][:12], 16)
    rng = np.random.default_rng([bench.seed, own, picture.drawing or 0])
    image[top:bottom, left:right] = draw(np.ascontiguousarray(image[top:bottom, left:right]), rng).image
    return image
