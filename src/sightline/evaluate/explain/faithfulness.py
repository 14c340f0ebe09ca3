"""Whether the heat explains the score: deletion, insertion and pointing, each beside a map that knows nothing.

Scores are taken as a share of 0..1, one half at the NG limit, because only bounded scores can be averaged over images.

Sources: V. Petsiuk et al., "RISE: Randomized input sampling for explanation of black-box models", BMVC 2018 (deletion
and insertion); J. Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016 (pointing game).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.result import Band
from sightline.evaluate.inspected import Inspected
from sightline.evaluate.metrics.pixel import Floats, mask_of
from sightline.evaluate.statistics.intervals import Interval, Rate, bootstrap, exact_rate
from sightline.evaluate.trial import Inspects
from sightline.imaging.image import read_image

STEPS = 8  # of a curve
LONGEST_PX = 512  # of the changed images
NOISE_CELLS = 8  # of the random map's longer side: it is as blotchy as heat
TOLERANCE_SHARE = 0.02  # of the image's longer side, by which pointing may miss
Image = NDArray[np.uint8]
Scorer = Callable[[Image], NDArray[np.floating]]

BATCH = 8  # images per call of the scoring function, so that memory does not grow with the steps
BLUR = 0.05  # sigma of the blurred baseline as a share of the longer side: details go, colours stay


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Means over `images` defective images, chosen at random from `of`, with bootstrap intervals.

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

    @property
    def tells(self) -> bool:
        """Whether deletion and insertion tell the heat from a random map: 0 lies outside the gain's interval.

        Where the score stays high whatever is painted over, they do not, and their figures are those of the painting.
        """
        return None not in (self.gain.lower, self.gain.upper) and self.gain.lower * self.gain.upper > 0  # type: ignore[operator]

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
    """A score as a share: 0.5 at the NG limit, 0.12 one band's width below it; 1 for what is not a number."""
    width = max(band.high - band.low, 1e-3 * max(1.0, abs(band.high)))
    return 1.0 if np.isnan(score) else float(1 / (1 + np.exp(np.clip(2 * (band.high - score) / width, -50, 50))))


def _measured(inspector: Inspects, path: Path, rng: np.random.Generator) -> tuple[Fidelity, Fidelity] | None:
    """Fidelity of the recipe's heat and of a random map; None for an image that has gone."""
    try:
        image, _ = read_image(path, inspector.card.full_scale)
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
    return fidelity(score, image, heat, STEPS), fidelity(score, image, other, STEPS)


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


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Scores along the way, and the areas under them; a faithful heat map has low deletion and high insertion.

    `deletion`: the hottest pixels are painted over first; `insertion`: they are uncovered first. Both are in the
    unit of the score, averaged over the share of changed pixels, so images compare only where the score is
    bounded, such as a probability. The curves hold `steps` + 1 scores, from no pixel changed to all.
    """

    deletion: float
    insertion: float
    deletion_curve: tuple[float, ...]
    insertion_curve: tuple[float, ...]


def fidelity(score: Scorer, image: Image, heat: Floats, steps: int) -> Fidelity:
    """Deletion and insertion of `heat` (H, W) float for `image` (H, W, 3) uint8.

    `score` takes images (N, H, W, 3) uint8, N <= `BATCH`, and returns (N,) float, higher = more defective. Deleted
    pixels get the image's mean colour; insertion starts from the blurred image. A NaN in the heat counts as the
    hottest; equal heat goes in reading order. Raises InputError where the score is not a number, ValueError for
    shapes that do not match.
    """
    heat = np.asarray(heat)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"the image is {image.shape} {image.dtype}. Give (H, W, 3) uint8.")
    if heat.shape != image.shape[:2] or not heat.size:
        raise ValueError(f"heat {heat.shape} does not fit the image {image.shape[:2]}. Resize it to the image.")
    if steps < 1:
        raise ValueError(f"{steps} steps are too few. Give at least 1.")
    order = np.argsort(-_clean(heat).ravel(), kind="stable")
    rank = np.empty(heat.shape, np.int64)
    rank.flat[order] = np.arange(order.size)  # 0 for the hottest
    mean = np.broadcast_to(image.mean(axis=(0, 1)).round().astype(np.uint8), image.shape)
    blurred = cv2.GaussianBlur(image, (0, 0), max(1.0, BLUR * max(heat.shape)))
    deleted = _curve(score, image, mean, rank, steps)
    inserted = _curve(score, np.asarray(blurred, np.uint8), image, rank, steps)
    return Fidelity(_area(deleted), _area(inserted), tuple(deleted.tolist()), tuple(inserted.tolist()))


def points_at(heat: Floats, mask: NDArray[np.bool_], tolerance_px: float) -> bool | None:
    """Whether the hottest cell lies in the mask, or at most `tolerance_px` of the mask's px from it.

    `heat` (h, w) float may be coarser than `mask` (H, W) bool; a cell stands at its centre. Where several cells
    are equally hot all must lie there: a map that is hot everywhere points nowhere. A NaN counts as the hottest.
    None where the mask is empty. Raises ValueError for empty heat or a negative tolerance.
    """
    values, mask = _clean(heat), np.asarray(mask, bool)
    if values.ndim != 2 or mask.ndim != 2 or not values.size or tolerance_px < 0:
        raise ValueError(f"heat {values.shape}, mask {mask.shape}, {tolerance_px} px do not work. Give (h, w), (H, W).")
    if not mask.any():
        return None
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    cells = np.argwhere(values == values.max())
    rows, columns = (((cells + 0.5) * mask.shape / values.shape).astype(np.intp)).T
    return bool((np.asarray(away)[rows, columns] <= tolerance_px).all())


def _curve(score: Scorer, start: Image, goal: Image, rank: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """Scores (steps + 1,) as the pixels of `start` become those of `goal`, the hottest first."""
    limits = np.linspace(0, rank.size, steps + 1).round().astype(np.int64)
    found = []
    for first in range(0, limits.size, BATCH):
        changed = rank < limits[first : first + BATCH, None, None]
        images = np.where(changed[..., None], goal, start)
        scores = np.asarray(score(images), np.float64).ravel()
        if scores.size != len(images):
            raise ValueError(f"{len(images)} images got {scores.size} scores. Return one score per image.")
        found.append(scores)
    curve = np.concatenate(found)
    if not np.isfinite(curve).all():
        raise InputError("a changed image has a score that is not a finite number. Check the recipe on this image.")
    return curve


def _area(curve: NDArray[np.float64]) -> float:
    return float(np.trapezoid(curve, np.linspace(0.0, 1.0, curve.size)))


def _clean(heat: Floats) -> Floats:
    values = np.asarray(heat, np.float64)
    return np.where(np.isnan(values), np.inf, values)
