"""Whether the heat explains the score: deletion, insertion and pointing, each beside a map that knows nothing.

Scores are taken as a share of 0..1, one half at the NG limit, because only bounded scores can be averaged over images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.band import Band
from sightline.core.errors import InputError
from sightline.evaluate.fidelity import Fidelity, fidelity, points_at
from sightline.evaluate.inspected import Inspected
from sightline.evaluate.intervals import Interval, Rate, bootstrap, exact_rate
from sightline.evaluate.pixels import mask_of
from sightline.evaluate.trial import Inspects
from sightline.runtime.image import read_image

STEPS = 8  # of a curve
LONGEST_PX = 512  # of the changed images
NOISE_CELLS = 8  # of the random map's longer side: it is as blotchy as heat
TOLERANCE_SHARE = 0.02  # of the image's longer side, by which pointing may miss


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Means over `images` defective images, drawn from `of`, with bootstrap intervals.

    A faithful heat has low `deletion` and high `insertion`, measured by `random_deletion` and `random_insertion` of
    random maps on the same images; `gain` is insertion - deletion less that of the random maps. `pointing`: of the
    defective images with a mask, those whose hottest cell lies on the defect or beside it; `by_chance`: the share that
    a cell drawn at random would reach.
    """

    deletion: Interval
    insertion: Interval
    random_deletion: Interval
    random_insertion: Interval
    gain: Interval
    images: int
    of: int
    pointing: Rate
    by_chance: float | None

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        names = ("deletion", "insertion", "random_deletion", "random_insertion", "gain", "pointing")
        rows = {name: getattr(self, name).to_json() for name in names}
        return {**rows, "by_chance": self.by_chance, "images": self.images, "of": self.of}


def faithfulness(inspector: Inspects, images: Sequence[Inspected], count: int, seed: int = 0) -> Faithfulness | None:
    """Figures from at most `count` of the defective images; None where there is none, or where the
    recipe was made without good parts.

    Every image costs 4 * (`STEPS` + 1) inspections.
    """
    defective = [image for image in images if image.defective]
    if not defective or inspector.card.without_good:  # without good parts, the score is no evidence for a defect
        return None
    rng = np.random.default_rng(seed)
    chosen = [defective[i] for i in sorted(rng.permutation(len(defective))[:count])]
    pairs = [pair for image in chosen if (pair := _measured(inspector, image.path, rng)) is not None]
    own, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    hits, chances = _pointing(defective)
    gains = [(a.insertion - a.deletion) - (b.insertion - b.deletion) for a, b in pairs]
    return Faithfulness(
        deletion=_mean([x.deletion for x in own]),
        insertion=_mean([x.insertion for x in own]),
        random_deletion=_mean([x.deletion for x in other]),
        random_insertion=_mean([x.insertion for x in other]),
        gain=_mean(gains),
        images=len(pairs),
        of=len(defective),
        pointing=exact_rate(sum(hits), len(hits)),
        by_chance=float(np.mean(chances)) if chances else None,
    )


def bounded(score: float, band: Band) -> float:
    """A score as a share: 0.5 at the NG limit, 0.12 one band's width below it; 1 for what is no number."""
    width = max(band.high - band.low, 1e-3 * max(1.0, abs(band.high)))
    return 1.0 if np.isnan(score) else float(1 / (1 + np.exp(np.clip(2 * (band.high - score) / width, -50, 50))))


def _measured(inspector: Inspects, path: Path, rng: np.random.Generator) -> tuple[Fidelity, Fidelity] | None:
    """Fidelity of the recipe's heat and of a random map; None for an image that has gone."""
    try:
        image, _ = read_image(path)
    except InputError:
        return None
    factor = min(1.0, LONGEST_PX / max(image.shape[:2]))
    if factor < 1:
        image = np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
    size = image.shape[1::-1]
    band = inspector.card.band

    def score(changed: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.array([bounded(inspector.inspect(one).score, band) for one in changed])

    heat = np.asarray(cv2.resize(inspector.inspect(image).heat, size, interpolation=cv2.INTER_LINEAR), np.float32)
    cells = [max(2, round(NOISE_CELLS * side / max(size))) for side in size]
    noise = cv2.resize(rng.random((cells[1], cells[0])).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    other = np.asarray(noise, np.float32)
    return fidelity(score, image, heat, steps=STEPS), fidelity(score, image, other, steps=STEPS)


def _pointing(defective: Sequence[Inspected]) -> tuple[list[bool], list[float]]:
    """Whether each masked image's hottest cell is right, and how likely one at random were."""
    hits, chances = [], []
    for image in defective:
        if image.mask is None:
            continue
        mask = mask_of(image)
        tolerance = TOLERANCE_SHARE * max(mask.shape)
        hit = points_at(image.heat, mask, tolerance)
        if hit is not None:
            away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            hits.append(hit)
            chances.append(float((away <= tolerance).mean()))
    return hits, chances


def _mean(values: Sequence[float]) -> Interval:
    given = np.array(values, np.float64)
    return bootstrap(lambda weights: float(np.average(given, weights=weights)) if given.size else None, given.size)
