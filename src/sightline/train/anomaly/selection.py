"""Choosing per product, without test images: what tells held-out good parts from synthetic defects best.

A candidate is judged by the mean of its image AUROC and its AUPRO on synthetic defects that no part of the head was
fitted on. The usual setting stays unless another is better by a margin, and then the first that is enough is taken.
Synthetic defects choose; they certify nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from torch import Tensor

from sightline.evaluate.metrics.pixel import aupro_of_cells
from sightline.models.memory_bank import (
    DISCRIMINATOR,
    AnomalyHead,
    ImageScore,
    Level,
    gaussian,
    smooth,
    weighted_sum,
)
from sightline.train.anomaly.held_out_distances import HeldOutDistances
from sightline.train.anomaly.synthetic import SyntheticParts
from sightline.train.settings import TrainSettings

FRACTIONS = (0.003, 0.03)  # not chosen: synthetic defects are small, and would give up the larger one
COARSE_WEIGHTS = (0.5, 1.0)  # never 0: synthetic defects are small, and would give up what sees large ones
DISCRIMINATOR_WEIGHTS = (0.0, 0.5)  # synthetic defects flatter it: never as much as the memory
MARGIN = 0.01  # of the mean of AUROC and AUPRO: less is noise of a few dozen drawings
JUDGED_MAPS = 64  # good parts in the AUPRO of a candidate
NEAR = 0.1  # of the centre: nearer than this, all patches are equally good, and rounding is not amplified
MIN_SPREAD = 5e-3  # of the root mean square distance of the bank's entries from their mean
SPREAD_FLOOR = 1e-3  # of the centre: identical training images must not divide by zero


@dataclass(frozen=True)
class Candidate:
    """Weights of the coarse level and of the discriminator beside the fine level's 1."""

    coarse: float
    discriminator: float = 0.0

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term of the heat."""
        return {"fine": 1.0, "coarse": self.coarse, DISCRIMINATOR: self.discriminator}


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
) -> Chosen:
    """Choose the head's fusion, the levels first, and fit its image score; the head is changed in place."""
    trial = _Trial(head, held_out, synthetic, settings)
    default, others = _options(head, synthetic, settings)
    best = default
    for options in others:
        best = trial.best([best, *(change(best) for change in options)])
    heat, _ = trial.heats(best)
    _apply(head, held_out, best, trial.kernel)
    head.score.fit(heat)
    return Chosen(heat, _reasons(best, default, trial), trial.validation_score(best))


def _options(
    head: AnomalyHead, synthetic: SyntheticParts | None, settings: TrainSettings
) -> tuple[Candidate, list[list[Change]]]:
    """The usual candidate, and what may be changed about it, step by step."""
    coarse = COARSE_WEIGHTS if settings.coarse_weight is None else (settings.coarse_weight,)
    if "coarse" not in head.levels:
        coarse = (0.0,)
    taught = DISCRIMINATOR_WEIGHTS if settings.discriminator_weight is None else (settings.discriminator_weight,)
    if head.discriminator is None:
        taught = (0.0,)
    default = Candidate(coarse[0], taught[0])
    if synthetic is None:
        return default, []
    return default, [
        [partial(replace, coarse=weight) for weight in coarse],
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

    def heats(self, candidate: Candidate) -> tuple[Tensor, Tensor | None]:
        """Smoothed heat of the good parts, and of the synthetic defects."""
        views = [(weight, self._view(name)) for name in self._head.scaled if (weight := candidate.weights[name])]
        good = smooth(weighted_sum((weight, view[0]) for weight, view in views), self.kernel)
        if self.synthetic is None:
            return good, None
        return good, smooth(weighted_sum((w, view[1]) for w, view in views if view[1] is not None), self.kernel)

    def _judged(self, candidate: Candidate) -> float:
        good, bad = self.heats(candidate)
        if bad is None or self.synthetic is None:
            return 0.0
        return 0.5 * (_auroc(good, bad) + _aupro(good, bad, self.synthetic))

    def _standardised(self, name: str) -> tuple[Tensor, Tensor | None]:
        """Standardised distances of good parts and of synthetic defects."""
        distances = self._held_out_of.distances[name]
        own_level = self._head.scaled[name]
        least = least_spread(own_level) if isinstance(own_level, Level) else 0.0
        centre, spread, floor = scales(distances, name, least)
        bad = None if self.synthetic is None else (self.synthetic.distances[name].clamp_min(floor) - centre) / spread
        return (distances.clamp_min(floor) - centre) / spread, bad


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
    if best.discriminator == 0:
        head.discriminator = None
    for name, scaled in head.scaled.items():
        scaled.weight = best.weights[name]
        least = least_spread(scaled) if isinstance(scaled, Level) else 0.0
        scaled.centre, scaled.spread, scaled.floor = scales(held_out.distances[name], name, least)
    head.kernel = kernel


def _reasons(best: Candidate, default: Candidate, trial: _Trial) -> dict[str, str]:
    if trial.synthetic is None:
        why = "the usual setting: no synthetic defects were drawn"
    else:
        score, count = trial.validation_score(best), len(trial.synthetic.cells)
        why = f"mean of AUROC and AUPRO {score:.3f} on {count} held-out synthetic defects"
        why += "" if best == default else f", {trial.validation_score(default):.3f} for the usual setting"
    return {
        "coarse level": f"{_weighed(best.coarse)}; {why}",
        "what sets synthetic defects apart": f"{_weighed(best.discriminator)}; "
        f"{why}{_without(best, trial, discriminator=0.0)}",
    }


def _weighed(weight: float) -> str:
    return f"weight {weight:g} beside the fine level's 1" if weight else "not used"


def _without(best: Candidate, trial: _Trial, **change: float) -> str:
    """What the same head would reach without one term; nothing where it does not have it."""
    less = replace(best, **change)
    return "" if less == best or trial.synthetic is None else f", {trial.validation_score(less):.3f} without it"
