"""Choosing per product, without test images: what tells held-out good parts from synthetic defects best.

A candidate is judged by the mean of its image AUROC and its AUPRO on synthetic defects that no part of the reader was
fitted on. The usual setting stays unless another is better by a margin. Synthetic defects choose; they certify nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from torch import Tensor

from sightline.evaluate.aupro import aupro
from sightline.models.memory import ImageScore, MemoryReader, gaussian, smooth, weighted_sum
from sightline.train.held_out import Drawn, Known
from sightline.train.settings import TrainSettings

FRACTIONS = (0.003, 0.03, 0.3)  # not chosen: drawn defects are small, and would give up the large ones
COARSE_WEIGHTS = (0.5, 0.0, 1.0)
LOCAL = (0.0, 1.0)
MARGIN = 0.01  # of the mean of AUROC and AUPRO: less is noise of a few dozen drawings
LOCAL_SIGMA = 2.0  # cells: good parts differ from place to place, but not from one cell to the next
MIN_MAPS = 10  # fewer parts do not show where good parts differ
JUDGED_MAPS = 64  # good parts in the AUPRO of a candidate
BINS = 256


@dataclass(frozen=True)
class Candidate:
    """Weight of the coarse level beside the fine one's 1, and whether the levels' centres follow the place."""

    coarse: float
    local: float


@dataclass(frozen=True)
class Chosen:
    """Held-out heat (K, 1, h, w) of the good parts under the choice, what was chosen and why, and how good it is."""

    heat: Tensor
    reasons: dict[str, str]
    merit: float


def choose(reader: MemoryReader, known: Known, drawn: Drawn | None, settings: TrainSettings) -> Chosen:
    """Fit the reader's scales and choose its fusion and image score; the reader is changed in place."""
    views = {local: _standardised(reader, known, drawn, local) for local in _locals(known, drawn, settings)}
    weights = COARSE_WEIGHTS if settings.coarse_weight is None else (settings.coarse_weight,)
    if "coarse" not in reader.levels:
        weights = (0.0,)
    kernel = gaussian(settings.sigma_cells).to(reader.kernel.device)
    candidates = [Candidate(weight, local) for weight, local in product(weights, views)]
    merits = {c: _merit(*_heats(views[c.local], c.coarse, kernel), drawn) for c in candidates if drawn is not None}
    best = _best(candidates, merits)
    heat, _ = _heats(views[best.local], best.coarse, kernel)
    _apply(reader, known, best, kernel)
    reader.score.fit(heat)
    return Chosen(heat, _reasons(best, candidates, merits, drawn), merits.get(best, 0.0))


def _locals(known: Known, drawn: Drawn | None, settings: TrainSettings) -> tuple[float, ...]:
    whole = known.complete and len(known.counts) == len(known.units) and len(known.units) >= MIN_MAPS
    if settings.local_centre is not None:
        return (settings.local_centre if whole else 0.0,)
    return LOCAL if whole and drawn is not None else LOCAL[:1]


def _standardised(
    reader: MemoryReader, known: Known, drawn: Drawn | None, local: float
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """By level, the standardised distances of good parts and of drawn defects."""
    views: dict[str, tuple[Tensor, Tensor | None]] = {}
    for name, level in reader.levels.items():
        good = known.distances[name].clamp_min(level.floor)
        centre, own = _centres(good, known.units, local)
        bad = None if drawn is None else (drawn.distances[name].clamp_min(level.floor) - centre) / level.spread
        views[name] = ((good - own) / level.spread, bad)
    return views


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


def _heats(
    view: dict[str, tuple[Tensor, Tensor | None]], coarse: float, kernel: Tensor
) -> tuple[Tensor, Tensor | None]:
    def fused(side: int) -> Tensor | None:
        maps = [(1.0 if name == "fine" else coarse, values[side]) for name, values in view.items()]
        kept = [(weight, values) for weight, values in maps if weight and values is not None]
        return smooth(weighted_sum(kept), kernel) if kept else None

    good, bad = fused(0), fused(1)
    assert good is not None
    return good, bad


def _merit(good: Tensor, bad: Tensor | None, drawn: Drawn | None) -> float:
    if bad is None or drawn is None:
        return 0.0
    return 0.5 * (_auroc(good, bad) + _places(good, bad, drawn))


def _auroc(good: Tensor, bad: Tensor) -> float:
    """The share of pairs that are ranked rightly: what the area under the ROC curve is, without a large import."""
    score = ImageScore(FRACTIONS).to(good.device)
    score.fit(good)
    above = score(bad)[:, None] - score(good)[None]
    return float(((above > 0).float() + 0.5 * (above == 0).float()).mean())


def _places(good: Tensor, bad: Tensor, drawn: Drawn) -> float:
    clean = good[:: max(1, len(good) // JUDGED_MAPS), 0].cpu().numpy()
    hot, empty = bad[:, 0].cpu().numpy(), np.zeros(good.shape[2:], bool)

    def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
        return [*((heat, empty) for heat in clean), *zip(hot, drawn.cells, strict=True)]

    return aupro(pairs, bins=BINS) or 0.0


def _best(candidates: list[Candidate], merits: dict[Candidate, float]) -> Candidate:
    usual = candidates[0]
    if not merits:
        return usual
    best = max(candidates, key=lambda c: merits[c])
    return best if merits[best] > merits[usual] + MARGIN else usual


def _apply(reader: MemoryReader, known: Known, best: Candidate, kernel: Tensor) -> None:
    if best.coarse == 0 and "coarse" in reader.levels:
        del reader.levels["coarse"]
    for name, level in reader.levels.items():
        centre, _ = _centres(known.distances[name].clamp_min(level.floor), known.units, best.local)
        level.centre = centre if centre.ndim == 0 else centre[0, 0]
        level.weight = 1.0 if name == "fine" else best.coarse
    reader.kernel = kernel


def _reasons(
    best: Candidate,
    candidates: list[Candidate],
    merits: dict[Candidate, float],
    drawn: Drawn | None,
) -> dict[str, str]:
    if drawn is None:
        why = "the usual setting: no synthetic defects were drawn"
    else:
        usual = candidates[0]
        why = f"mean of AUROC and AUPRO {merits[best]:.3f} on {len(drawn.cells)} held-out synthetic defects"
        why += "" if best == usual else f", {merits[usual]:.3f} for the usual setting"
    return {
        "coarse level": f"weight {best.coarse:g} beside the fine level's 1; {why}",
        "centre": ("follows the place: good parts differ more in some places" if best.local else "one for all places")
        + f"; {why}",
    }
