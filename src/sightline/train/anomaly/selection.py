"""Choosing per product, without test images: what tells held-out good parts from defects best.

A candidate is judged by the mean of its image AUROC and its AUPRO on defects that no part of the head was fitted on:
synthetic ones or, for the discriminator, those that people marked, where there are enough. The usual setting stays
unless another is better by a margin, and then the first that is enough is taken. Synthetic defects choose; they certify
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from sightline.evaluate.metrics.pixel import aupro_of_cells
from sightline.models.arrays import Array, namespace, smooth, to_numpy
from sightline.models.memory_bank import DISCRIMINATOR, AnomalyHead, ImageScore, Level, gaussian, weighted_sum
from sightline.train.anomaly.held_out_distances import HeldOutDistances
from sightline.train.anomaly.synthetic import DefectMaps
from sightline.train.settings import TrainSettings

FRACTIONS = (0.003, 0.03)  # not chosen: synthetic defects are small, and would give up the larger one
COARSE_WEIGHTS = (0.5, 1.0)  # never 0: synthetic defects are small, and would give up what sees large ones
DISCRIMINATOR_WEIGHTS = (0.0, 0.5)  # synthetic defects flatter it: never as much as the memory
MARKED_WEIGHTS = (0.5, 0.0)  # where it has learned from marked defects; the first where they are too few to choose
MIN_TO_CHOOSE = 10  # marked parts
MARGIN = 0.01  # of the mean of AUROC and AUPRO: less is noise of a few dozen drawings
JUDGED_MAPS = 64  # good parts in the AUPRO of a candidate
NEAR = 0.1  # of the centre: nearer than this, all patches are equally good, and rounding is not amplified
MIN_SCALE = 5e-3  # of the root mean square distance of the bank's entries from their mean
SCALE_FLOOR = 1e-3  # of the centre: identical training images must not divide by zero


@dataclass(frozen=True)
class Candidate:
    """Weights of the coarse level and of the discriminator beside the fine level's 1."""

    coarse: float
    discriminator: float = 0.0

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every term of the heat."""
        return {"fine": 1.0, "coarse": self.coarse, DISCRIMINATOR: self.discriminator}


@dataclass(frozen=True)
class Chosen:
    """Held-out heat (K, 1, h, w) of the good parts under the choice, what was chosen and why, and how good it is."""

    heat: Array
    reasons: dict[str, str]
    validation_score: float


def choose(
    head: AnomalyHead,
    held_out: HeldOutDistances,
    synthetic: DefectMaps | None,
    settings: TrainSettings,
    marked: DefectMaps | None = None,
) -> Chosen:
    """Choose the head's fusion, the levels first, and fit its image score; the head is changed in place."""
    drawn, real = (_Trial(head, held_out, defects, settings) for defects in (synthetic, marked))
    default = best = _default(head, settings, marked is not None)
    if synthetic is not None and settings.coarse_weight is None and "coarse" in head.levels:
        best = drawn.best([best, *(replace(best, coarse=weight) for weight in COARSE_WEIGHTS)])
    trial = drawn if marked is None or len(marked.cells) < MIN_TO_CHOOSE else real
    if trial.defects is not None and settings.discriminator_weight is None and head.discriminator is not None:
        weights = DISCRIMINATOR_WEIGHTS if marked is None else MARKED_WEIGHTS if trial is real else ()
        best = trial.best([best, *(replace(best, discriminator=weight) for weight in weights)])
    heat, _ = drawn.heats(best)
    reasons = {
        "coarse level": _reason(best.coarse, best, default, drawn),
        "what sets defects apart": _reason(best.discriminator, best, default, trial)
        + _without(best, trial, discriminator=0.0),
    }
    _apply(head, held_out, best, drawn.kernel)
    head.score.fit(heat)
    return Chosen(heat, reasons, trial.validation_score(best))


def _default(head: AnomalyHead, settings: TrainSettings, marked: bool) -> Candidate:
    """The usual candidate: what is set, else the first of what may be chosen."""
    coarse = COARSE_WEIGHTS[0] if settings.coarse_weight is None else settings.coarse_weight
    taught = settings.discriminator_weight
    if taught is None:
        taught = (MARKED_WEIGHTS if marked else DISCRIMINATOR_WEIGHTS)[0]
    return Candidate(coarse if "coarse" in head.levels else 0.0, 0.0 if head.discriminator is None else taught)


class _Trial:
    """Judges candidates; what they share is computed once."""

    def __init__(
        self, head: AnomalyHead, held_out: HeldOutDistances, defects: DefectMaps | None, settings: TrainSettings
    ) -> None:
        self.defects, self.kernel = defects, gaussian(settings.sigma_cells)
        self._head, self._held_out_of = head, held_out
        self._view, self.validation_score = cache(self._standardised), cache(self._judged)

    def best(self, candidates: Sequence[Candidate]) -> Candidate:
        """The first candidate that no other beats by the margin: the usual one, or the least that is enough."""
        enough = max(self.validation_score(candidate) for candidate in candidates) - MARGIN
        return next(candidate for candidate in candidates if self.validation_score(candidate) >= enough)

    def heats(self, candidate: Candidate) -> tuple[Array, Array | None]:
        """Smoothed heat of the good parts, and of the defects."""
        views = [(weight, self._view(name)) for name in self._head.scaled if (weight := candidate.weights[name])]
        good = smooth(weighted_sum((weight, view[0]) for weight, view in views), self.kernel)
        if self.defects is None:
            return good, None
        return good, smooth(weighted_sum((w, view[1]) for w, view in views if view[1] is not None), self.kernel)

    def _judged(self, candidate: Candidate) -> float:
        good, bad = self.heats(candidate)
        if bad is None or self.defects is None:
            return 0.0
        return 0.5 * (_auroc(good, bad) + _aupro(good, bad, self.defects))

    def _standardised(self, name: str) -> tuple[Array, Array | None]:
        """Standardised distances of good parts and of the defects."""
        distances = self._held_out_of.distances[name]
        own_level = self._head.scaled[name]
        least = least_scale(own_level) if isinstance(own_level, Level) else 0.0
        centre, scale, floor = scales(distances, name, least)
        bad = None if self.defects is None else (self.defects.distances[name].clip(min=floor) - centre) / scale
        return (distances.clip(min=floor) - centre) / scale, bad


def scales(distances: Array, name: str, least: float = 0.0) -> tuple[float, float, float]:
    """Centre, scale (standard deviation) and floor of held-out distances; the scale is `least` or more."""
    finite = distances[namespace(distances).isfinite(distances)]
    centre = float(finite.mean())
    floor = float(finite.min()) if name == DISCRIMINATOR else NEAR * centre  # evidence may be negative, a distance not
    deviation = float(((finite - centre) ** 2).mean()) ** 0.5
    return centre, max(deviation, SCALE_FLOOR * max(centre, SCALE_FLOOR), least), floor


def least_scale(level: Level) -> float:
    """A share of how far the bank's entries lie from one another: where all pictures are one, the rest is rounding."""
    return MIN_SCALE * float(((level.bank - level.bank.mean(axis=0)) ** 2).sum(axis=1).mean()) ** 0.5


def fit_scales(head: AnomalyHead, held_out: HeldOutDistances) -> None:
    """Centre, scale and floor of every level, from held-out good patches."""
    for name, level in head.levels.items():
        level.centre, level.scale, level.floor = scales(held_out.distances[name], name, least_scale(level))


def _auroc(good: Array, bad: Array) -> float:
    """The share of pairs that are ranked rightly: what the area under the ROC curve is, without a large import."""
    score = ImageScore(FRACTIONS)
    score.fit(good)
    above = np.sign(to_numpy(score(bad))[:, None] - to_numpy(score(good)))
    return float(0.5 + 0.5 * above.mean())


def _aupro(good: Array, bad: Array, defects: DefectMaps) -> float:
    clean = to_numpy(good[:: max(1, len(good) // JUDGED_MAPS), 0])
    hot = to_numpy(bad[:, 0])
    normal = np.concatenate([clean.ravel(), hot[~defects.cells]])
    return aupro_of_cells(normal, hot[defects.cells], defects.weights)


def _apply(head: AnomalyHead, held_out: HeldOutDistances, best: Candidate, kernel: Array) -> None:
    if best.coarse == 0 and "coarse" in head.levels:
        del head.levels["coarse"]
    if best.discriminator == 0:
        head.discriminator = None
    for name, scaled in head.scaled.items():
        scaled.weight = best.weights[name]
        least = least_scale(scaled) if isinstance(scaled, Level) else 0.0
        scaled.centre, scaled.scale, scaled.floor = scales(held_out.distances[name], name, least)
    head.kernel = kernel


def _reason(weight: float, best: Candidate, default: Candidate, trial: _Trial) -> str:
    if trial.defects is None:
        return f"{_weighed(weight)}; the usual setting: no synthetic defects were drawn"
    score, count = trial.validation_score(best), len(trial.defects.cells)
    kind = "marked" if trial.defects.marked else "synthetic"
    why = f"mean of AUROC and AUPRO {score:.3f} on {count} held-out {kind} defects"
    return f"{_weighed(weight)}; {why}" + (
        "" if best == default else f", {trial.validation_score(default):.3f} for the usual setting"
    )


def _weighed(weight: float) -> str:
    return f"weight {weight:g} beside the fine level's 1" if weight else "not used"


def _without(best: Candidate, trial: _Trial, **change: float) -> str:
    """What the same head would reach without one term; nothing where it does not have it."""
    less = replace(best, **change)
    return "" if less == best or trial.defects is None else f", {trial.validation_score(less):.3f} without it"
