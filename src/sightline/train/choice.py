"""Choosing per product, without test images: what tells held-out good parts from synthetic defects best.

A candidate is judged by the mean of its image AUROC and its AUPRO on synthetic defects that no part of the reader was
fitted on. The usual setting stays unless another is better by a margin, and then the first that is enough is taken.
Synthetic defects choose; they certify nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

import numpy as np
from torch import Tensor

from sightline.evaluate.aupro import aupro_of_cells
from sightline.models.memory import (
    DISCRIMINATOR,
    PLACE,
    ImageScore,
    Level,
    MemoryReader,
    gaussian,
    smooth,
    weighted_sum,
)
from sightline.train.drawn import Drawn
from sightline.train.held_out import DIVISORS, Known, of_bank
from sightline.train.settings import TrainSettings

FRACTIONS = (0.003, 0.03, 0.3)  # not chosen: drawn defects are small, and would give up the large ones
COARSE_WEIGHTS = (0.5, 1.0)  # never 0: drawn defects are small, and would give up what sees large ones
LOCAL = (0.0, 1.0)
PLACE_WEIGHTS = (0.0, 1.0, 2.0)
DISCRIMINATOR_WEIGHTS = (0.0, 0.5)  # drawn defects flatter it: never as much as the memory
ALIGNED_PLACE = 2.0  # the usual weight of places where parts are brought into one pose
MARGIN = 0.01  # of the mean of AUROC and AUPRO: less is noise of a few dozen drawings
BANK_LOSS = 0.003  # that a smaller bank may cost beside places: it is faster, and the same drawings judge both
LOCAL_SIGMA = 2.0  # cells: good parts differ from place to place, but not from one cell to the next
MIN_MAPS = 10  # fewer parts do not show where good parts differ
JUDGED_MAPS = 64  # good parts in the AUPRO of a candidate
NEAR = 0.1  # of the centre: nearer than this, all patches are equally good, and rounding is not amplified
SPREAD_FLOOR = 1e-3  # of the centre: identical training images must not divide by zero


@dataclass(frozen=True)
class Candidate:
    """Weights of the coarse level, of places and of the discriminator beside the fine level's 1, whether the levels'
    centres follow the place, and what part of the bank is kept (1 / divisor).
    """

    coarse: float
    local: float
    place: float
    discriminator: float = 0.0
    divisor: int = 1

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every reader."""
        return {"fine": 1.0, "coarse": self.coarse, PLACE: self.place, DISCRIMINATOR: self.discriminator}


Change = Callable[[Candidate], Candidate]


@dataclass(frozen=True)
class Chosen:
    """Held-out heat (K, 1, h, w) of the good parts under the choice, what was chosen and why, and how good it is."""

    heat: Tensor
    reasons: dict[str, str]
    merit: float


def choose(
    reader: MemoryReader, known: Known, drawn: Drawn | None, settings: TrainSettings, aligned: bool = False
) -> Chosen:
    """Choose the reader's fusion, its image score and the size of its bank; the reader is changed in place.

    One thing after another, the usual first: levels and centres, then places, the discriminator, and the bank.
    """
    trial = _Trial(reader, known, drawn, settings)
    usual, others = _options(reader, known, drawn, settings, aligned)
    best = usual
    for options in others:
        best = trial.best([best, *(change(best) for change in options)])
    best = trial.smallest(best, settings)
    heat, _ = trial.heats(best)
    _apply(reader, known, best, trial.kernel)
    reader.score.fit(heat)
    return Chosen(heat, _reasons(best, usual, trial), trial.merit(best))


def _options(
    reader: MemoryReader, known: Known, drawn: Drawn | None, settings: TrainSettings, aligned: bool
) -> tuple[Candidate, list[list[Change]]]:
    """The usual candidate, and what may be changed about it, step by step."""
    whole = known.complete and len(known.counts) == len(known.units) and len(known.units) >= MIN_MAPS
    local = LOCAL if whole else LOCAL[:1]
    if settings.local_centre is not None:
        local = (settings.local_centre if whole else 0.0,)
    coarse = COARSE_WEIGHTS if settings.coarse_weight is None else (settings.coarse_weight,)
    if "coarse" not in reader.levels:
        coarse = (0.0,)
    places = PLACE_WEIGHTS if settings.place_weight is None else (settings.place_weight,)
    if reader.place is None:
        places = (0.0,)
    taught = DISCRIMINATOR_WEIGHTS if settings.discriminator_weight is None else (settings.discriminator_weight,)
    if reader.discriminator is None:
        taught = (0.0,)
    place = ALIGNED_PLACE if aligned and ALIGNED_PLACE in places else places[0]
    usual = Candidate(coarse[0], local[0], place, taught[0])
    if drawn is None:
        return usual, []
    levels: list[Change] = [partial(replace, coarse=weight, local=way) for weight, way in product(coarse, local)]
    return usual, [
        levels,
        [partial(replace, place=weight) for weight in places],
        [partial(replace, discriminator=weight) for weight in taught],
    ]


class _Trial:
    """Judges candidates; what they share is computed once."""

    def __init__(self, reader: MemoryReader, known: Known, drawn: Drawn | None, settings: TrainSettings) -> None:
        self.drawn, self.kernel = drawn, gaussian(settings.sigma_cells).to(reader.kernel.device)
        self._reader, self._known = reader, known
        self._view, self.merit = cache(self._standardised), cache(self._judged)

    def best(self, candidates: Sequence[Candidate]) -> Candidate:
        """The first candidate that no other beats by the margin: the usual one, or the least that is enough."""
        enough = max(self.merit(candidate) for candidate in candidates) - MARGIN
        return next(candidate for candidate in candidates if self.merit(candidate) >= enough)

    def smallest(self, best: Candidate, settings: TrainSettings) -> Candidate:
        """The same with the smallest bank that does hardly worse, where places share the work with it."""
        if self.drawn is None or settings.bank_size is not None or not best.place:
            return best
        smaller = (replace(best, divisor=divisor) for divisor in DIVISORS)
        return next((c for c in smaller if self.merit(c) > self.merit(best) - BANK_LOSS), best)

    def heats(self, candidate: Candidate) -> tuple[Tensor, Tensor | None]:
        """Smoothed heat of the good parts, and of the drawn defects."""
        views = [
            (weight, self._view(name, candidate.divisor, candidate.local))
            for name in self._reader.scaled
            if (weight := candidate.weights[name])
        ]
        good = smooth(weighted_sum((weight, view[0]) for weight, view in views), self.kernel)
        if self.drawn is None:
            return good, None
        return good, smooth(weighted_sum((w, view[1]) for w, view in views if view[1] is not None), self.kernel)

    def _judged(self, candidate: Candidate) -> float:
        good, bad = self.heats(candidate)
        if bad is None or self.drawn is None:
            return 0.0
        return 0.5 * (_auroc(good, bad) + _places(good, bad, self.drawn))

    def _standardised(self, name: str, divisor: int, local: float) -> tuple[Tensor, Tensor | None]:
        """Standardised distances of good parts and of drawn defects."""
        key = of_bank(name, divisor) if name in self._reader.levels else name
        distances = self._known.distances[key]
        centre, spread, floor = scales(distances, name)
        good, own = distances.clamp_min(floor), centre
        if name in self._reader.levels:
            centre, own = _centres(good, self._known.units, local)
        bad = None if self.drawn is None else (self.drawn.distances[key].clamp_min(floor) - centre) / spread
        return (good - own) / spread, bad


def scales(distances: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Centre, spread and floor of a reader's held-out distances."""
    finite = distances[distances.isfinite()]
    centre = finite.mean()
    floor = finite.amin() if name == DISCRIMINATOR else NEAR * centre  # evidence may be negative, a distance not
    return centre, finite.std().maximum(SPREAD_FLOOR * centre.clamp_min(SPREAD_FLOOR)), floor


def fit_scales(reader: MemoryReader, known: Known) -> None:
    """Centre, spread and floor of every level, from held-out good patches."""
    for name, level in reader.levels.items():
        level.centre, level.spread, level.floor = scales(known.distances[name], name)


def _centres(good: Tensor, units: Tensor, local: float) -> tuple[Tensor, Tensor]:
    """The centre that lines will use, and for every good map (K, 1, h, w) the one without its own unit."""
    overall = good.mean()
    if not local:
        return overall, overall
    kernel = gaussian(LOCAL_SIGMA).to(good.device)
    _, index, counts = units.to(good.device).unique(return_inverse=True, return_counts=True)
    sums = good.new_zeros(len(counts), *good.shape[1:]).index_add_(0, index, good)
    others = (good.sum(0, keepdim=True) - sums) / (len(good) - counts).view(-1, 1, 1, 1)
    mean, without = good.mean(0, keepdim=True), smooth(others, kernel)
    return overall + local * (smooth(mean, kernel) - overall), (overall + local * (without - overall))[index]


def _auroc(good: Tensor, bad: Tensor) -> float:
    """The share of pairs that are ranked rightly: what the area under the ROC curve is, without a large import."""
    score = ImageScore(FRACTIONS).to(good.device)
    score.fit(good)
    above = score(bad)[:, None] - score(good)[None]
    return float(((above > 0).float() + 0.5 * (above == 0).float()).mean())


def _places(good: Tensor, bad: Tensor, drawn: Drawn) -> float:
    clean = good[:: max(1, len(good) // JUDGED_MAPS), 0].cpu().numpy()
    hot = bad[:, 0].cpu().numpy()
    normal = np.concatenate([clean.ravel(), hot[~drawn.cells]])
    return aupro_of_cells(normal, hot[drawn.cells], drawn.weights)


def _apply(reader: MemoryReader, known: Known, best: Candidate, kernel: Tensor) -> None:
    if best.coarse == 0 and "coarse" in reader.levels:
        del reader.levels["coarse"]
    if best.place == 0:
        reader.place = None
    if best.discriminator == 0:
        reader.discriminator = None
    for name, scaled in reader.scaled.items():
        level = scaled if isinstance(scaled, Level) else None
        distances = known.distances[of_bank(name, best.divisor if level else 1)]
        scaled.weight = best.weights[name]
        scaled.centre, scaled.spread, scaled.floor = scales(distances, name)
        if level is not None:
            level.bank = level.bank[: len(level.bank) // best.divisor].clone()
            centre, _ = _centres(distances.clamp_min(level.floor), known.units, best.local)
            level.centre = centre if centre.ndim == 0 else centre[0, 0]
    reader.kernel = kernel


def _reasons(best: Candidate, usual: Candidate, trial: _Trial) -> dict[str, str]:
    if trial.drawn is None:
        why = "the usual setting: no synthetic defects were drawn"
    else:
        why = f"mean of AUROC and AUPRO {trial.merit(best):.3f} on {len(trial.drawn.cells)} held-out synthetic defects"
        why += "" if best == usual else f", {trial.merit(usual):.3f} for the usual setting"
    shares = {1: "all", 2: "half", 4: "a quarter"}
    return {
        "coarse level": f"{_weighed(best.coarse)}; {why}",
        "centre": ("follows the place: good parts differ more in some places" if best.local else "one for all places")
        + f"; {why}",
        "what is usual at a place": f"{_weighed(best.place)}; {why}{_without(best, trial, place=0.0)}",
        "what sets drawn defects apart": f"{_weighed(best.discriminator)}; "
        f"{why}{_without(best, trial, discriminator=0.0)}",
        "bank": f"{shares[best.divisor]} of the patches found; {why}",
    }


def _weighed(weight: float) -> str:
    return f"weight {weight:g} beside the fine level's 1" if weight else "not used"


def _without(best: Candidate, trial: _Trial, **change: float) -> str:
    """What the same reader would reach with one part less; nothing where it has not that part."""
    less = replace(best, **change)  # type: ignore[arg-type]
    return "" if less == best or trial.drawn is None else f", {trial.merit(less):.3f} without it"
