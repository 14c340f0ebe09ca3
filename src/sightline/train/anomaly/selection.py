"""Choosing per product, without test images: what tells held-out good parts from synthetic defects best.

A candidate is judged by the mean of its image AUROC and its AUPRO on synthetic defects that no part of the head was
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

from sightline.evaluate.metrics.pixel import aupro_of_cells
from sightline.models.memory_bank import (
    DISCRIMINATOR,
    POSITION,
    AnomalyHead,
    ImageScore,
    Level,
    gaussian,
    smooth,
    weighted_sum,
)
from sightline.train.anomaly.held_out_distances import DIVISORS, HeldOutDistances, of_bank
from sightline.train.anomaly.synthetic import SyntheticParts
from sightline.train.settings import TrainSettings

FRACTIONS = (0.003, 0.03)  # not chosen: synthetic defects are small, and would give up the larger one
COARSE_WEIGHTS = (0.5, 1.0)  # never 0: synthetic defects are small, and would give up what sees large ones
LOCAL = (0.0, 1.0)
POSITION_WEIGHTS = (0.0, 1.0, 2.0)
DISCRIMINATOR_WEIGHTS = (0.0, 0.5)  # synthetic defects flatter it: never as much as the memory
ALIGNED_POSITION = 2.0  # the usual weight of places where parts are brought into one pose
MARGIN = 0.01  # of the mean of AUROC and AUPRO: less is noise of a few dozen drawings
BANK_LOSS = 0.003  # that a smaller bank may cost beside places: it is faster, and the same drawings judge both
LOCAL_SIGMA = 2.0  # cells: good parts differ from place to place, but not from one cell to the next
MIN_MAPS = 10  # fewer parts do not show where good parts differ
JUDGED_MAPS = 64  # good parts in the AUPRO of a candidate
NEAR = 0.1  # of the centre: nearer than this, all patches are equally good, and rounding is not amplified
MIN_SPREAD = 5e-3  # of the root mean square distance of the bank's entries from their mean
SPREAD_FLOOR = 1e-3  # of the centre: identical training images must not divide by zero


@dataclass(frozen=True)
class Candidate:
    """Weights of the coarse level, of places and of the discriminator beside the fine level's 1, whether the levels'
    centres follow the place, and what part of the bank is kept (1 / divisor).
    """

    coarse: float
    local: float
    position: float
    discriminator: float = 0.0
    divisor: int = 1

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term of the heat."""
        return {"fine": 1.0, "coarse": self.coarse, POSITION: self.position, DISCRIMINATOR: self.discriminator}


Change = Callable[[Candidate], Candidate]


@dataclass(frozen=True)
class Chosen:
    """Held-out heat (K, 1, h, w) of the good parts under the choice, what was chosen and why, and how good it is."""

    heat: Tensor
    reasons: dict[str, str]
    validation_score: float


def choose(
    head: AnomalyHead,
    held_out: HeldOutDistances,
    synthetic: SyntheticParts | None,
    settings: TrainSettings,
    aligned: bool = False,
) -> Chosen:
    """Choose the head's fusion, its image score and the size of its bank; the head is changed in place.

    One thing after another, the usual first: levels and centres, then places, the discriminator, and the bank.
    """
    trial = _Trial(head, held_out, synthetic, settings)
    default, others = _options(head, held_out, synthetic, settings, aligned)
    best = default
    for options in others:
        best = trial.best([best, *(change(best) for change in options)])
    best = trial.smallest(best, settings)
    heat, _ = trial.heats(best)
    _apply(head, held_out, best, trial.kernel)
    head.score.fit(heat)
    return Chosen(heat, _reasons(best, default, trial), trial.validation_score(best))


def _options(
    head: AnomalyHead,
    held_out: HeldOutDistances,
    synthetic: SyntheticParts | None,
    settings: TrainSettings,
    aligned: bool,
) -> tuple[Candidate, list[list[Change]]]:
    """The usual candidate, and what may be changed about it, step by step."""
    whole = held_out.complete and len(held_out.counts) == len(held_out.units) and len(held_out.units) >= MIN_MAPS
    local = LOCAL if whole else LOCAL[:1]
    if settings.local_centre is not None:
        local = (settings.local_centre if whole else 0.0,)
    coarse = COARSE_WEIGHTS if settings.coarse_weight is None else (settings.coarse_weight,)
    if "coarse" not in head.levels:
        coarse = (0.0,)
    positions = POSITION_WEIGHTS if settings.position_weight is None else (settings.position_weight,)
    if head.position is None:
        positions = (0.0,)
    taught = DISCRIMINATOR_WEIGHTS if settings.discriminator_weight is None else (settings.discriminator_weight,)
    if head.discriminator is None:
        taught = (0.0,)
    position = ALIGNED_POSITION if aligned and ALIGNED_POSITION in positions else positions[0]
    default = Candidate(coarse[0], local[0], position, taught[0])
    if synthetic is None:
        return default, []
    levels: list[Change] = [partial(replace, coarse=weight, local=way) for weight, way in product(coarse, local)]
    return default, [
        levels,
        [partial(replace, position=weight) for weight in positions],
        [partial(replace, discriminator=weight) for weight in taught],
    ]


class _Trial:
    """Judges candidates; what they share is computed once."""

    def __init__(
        self, head: AnomalyHead, held_out: HeldOutDistances, synthetic: SyntheticParts | None, settings: TrainSettings
    ) -> None:
        self.synthetic, self.kernel = synthetic, gaussian(settings.sigma_cells).to(head.kernel.device)
        self._head, self._held_out_of = head, held_out
        self._view, self.validation_score = cache(self._standardised), cache(self._judged)

    def best(self, candidates: Sequence[Candidate]) -> Candidate:
        """The first candidate that no other beats by the margin: the usual one, or the least that is enough."""
        enough = max(self.validation_score(candidate) for candidate in candidates) - MARGIN
        return next(candidate for candidate in candidates if self.validation_score(candidate) >= enough)

    def smallest(self, best: Candidate, settings: TrainSettings) -> Candidate:
        """The same with the smallest bank that does hardly worse, where places share the work with it."""
        if self.synthetic is None or settings.bank_size is not None or not best.position:
            return best
        smaller = (replace(best, divisor=divisor) for divisor in DIVISORS)
        return next((c for c in smaller if self.validation_score(c) > self.validation_score(best) - BANK_LOSS), best)

    def heats(self, candidate: Candidate) -> tuple[Tensor, Tensor | None]:
        """Smoothed heat of the good parts, and of the synthetic defects."""
        views = [
            (weight, self._view(name, candidate.divisor, candidate.local))
            for name in self._head.scaled
            if (weight := candidate.weights[name])
        ]
        good = smooth(weighted_sum((weight, view[0]) for weight, view in views), self.kernel)
        if self.synthetic is None:
            return good, None
        return good, smooth(weighted_sum((w, view[1]) for w, view in views if view[1] is not None), self.kernel)

    def _judged(self, candidate: Candidate) -> float:
        good, bad = self.heats(candidate)
        if bad is None or self.synthetic is None:
            return 0.0
        return 0.5 * (_auroc(good, bad) + _aupro(good, bad, self.synthetic))

    def _standardised(self, name: str, divisor: int, local: float) -> tuple[Tensor, Tensor | None]:
        """Standardised distances of good parts and of synthetic defects."""
        key = of_bank(name, divisor) if name in self._head.levels else name
        distances = self._held_out_of.distances[key]
        own_level = self._head.scaled[name]
        least = least_spread(own_level) if isinstance(own_level, Level) else 0.0
        centre, spread, floor = scales(distances, name, least)
        good, own = distances.clamp_min(floor), centre
        if name in self._head.levels:
            centre, own = _centres(good, self._held_out_of.units, local)
        bad = None if self.synthetic is None else (self.synthetic.distances[key].clamp_min(floor) - centre) / spread
        return (good - own) / spread, bad


def scales(distances: Tensor, name: str, least: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Centre, spread and floor of held-out distances; the spread is `least` or more."""
    finite = distances[distances.isfinite()]
    centre = finite.mean()
    floor = finite.amin() if name == DISCRIMINATOR else NEAR * centre  # evidence may be negative, a distance not
    return centre, finite.std().maximum(SPREAD_FLOOR * centre.clamp_min(SPREAD_FLOOR)).clamp_min(least), floor


def least_spread(level: Level) -> float:
    """A share of how far the bank's entries lie from one another: where all pictures are one, the rest is rounding."""
    return MIN_SPREAD * float((level.bank - level.bank.mean(0)).square().sum(1).mean().sqrt())


def fit_scales(head: AnomalyHead, held_out: HeldOutDistances) -> None:
    """Centre, spread and floor of every level, from held-out good patches."""
    for name, level in head.levels.items():
        level.centre, level.spread, level.floor = scales(held_out.distances[name], name, least_spread(level))


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


def _aupro(good: Tensor, bad: Tensor, synthetic: SyntheticParts) -> float:
    clean = good[:: max(1, len(good) // JUDGED_MAPS), 0].cpu().numpy()
    hot = bad[:, 0].cpu().numpy()
    normal = np.concatenate([clean.ravel(), hot[~synthetic.cells]])
    return aupro_of_cells(normal, hot[synthetic.cells], synthetic.weights)


def _apply(head: AnomalyHead, held_out: HeldOutDistances, best: Candidate, kernel: Tensor) -> None:
    if best.coarse == 0 and "coarse" in head.levels:
        del head.levels["coarse"]
    if best.position == 0:
        head.position = None
    if best.discriminator == 0:
        head.discriminator = None
    for name, scaled in head.scaled.items():
        level = scaled if isinstance(scaled, Level) else None
        distances = held_out.distances[of_bank(name, best.divisor if level else 1)]
        scaled.weight = best.weights[name]
        least = 0.0 if level is None else least_spread(level)
        scaled.centre, scaled.spread, scaled.floor = scales(distances, name, least)
        if level is not None:
            level.bank = level.bank[: len(level.bank) // best.divisor].clone()
            centre, _ = _centres(distances.clamp_min(level.floor), held_out.units, best.local)
            level.centre = centre if centre.ndim == 0 else centre[0, 0]
    head.kernel = kernel


def _reasons(best: Candidate, default: Candidate, trial: _Trial) -> dict[str, str]:
    if trial.synthetic is None:
        why = "the usual setting: no synthetic defects were drawn"
    else:
        score, count = trial.validation_score(best), len(trial.synthetic.cells)
        why = f"mean of AUROC and AUPRO {score:.3f} on {count} held-out synthetic defects"
        why += "" if best == default else f", {trial.validation_score(default):.3f} for the usual setting"
    shares = {1: "all", 2: "half", 4: "a quarter"}
    return {
        "coarse level": f"{_weighed(best.coarse)}; {why}",
        "centre": ("follows the place: good parts differ more in some places" if best.local else "one for all places")
        + f"; {why}",
        "what is usual at a place": f"{_weighed(best.position)}; {why}{_without(best, trial, position=0.0)}",
        "what sets synthetic defects apart": f"{_weighed(best.discriminator)}; "
        f"{why}{_without(best, trial, discriminator=0.0)}",
        "bank": f"{shares[best.divisor]} of the patches found; {why}",
    }


def _weighed(weight: float) -> str:
    return f"weight {weight:g} beside the fine level's 1" if weight else "not used"


def _without(best: Candidate, trial: _Trial, **change: float) -> str:
    """What the same head would reach without one term; nothing where it does not have it."""
    less = replace(best, **change)  # type: ignore[arg-type]
    return "" if less == best or trial.synthetic is None else f", {trial.validation_score(less):.3f} without it"
