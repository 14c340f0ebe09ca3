"""How faithful a heat map is to the score it explains.

Sources: V. Petsiuk et al., "RISE: Randomized input sampling for explanation of black-box models", BMVC 2018 (deletion
and insertion); J. Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016 (pointing game).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.evaluate.bounds import CONFIDENCE
from sightline.evaluate.curve import Pair
from sightline.evaluate.intervals import Rate, exact_rate
from sightline.evaluate.thresholds import Floats

Image = NDArray[np.uint8]
Scorer = Callable[[Image], NDArray[np.floating]]

STEPS = 16
BATCH = 8  # images per call of the scoring function, so that memory does not grow with the steps
BLUR = 0.05  # sigma of the blurred baseline as a share of the longer side: details go, colours stay
TOLERANCE_PX = 15.0  # the pointing game's own


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

    def to_json(self) -> dict[str, Any]:
        """The figures as one flat JSON object."""
        return {
            "deletion": self.deletion,
            "insertion": self.insertion,
            "deletion_curve": list(self.deletion_curve),
            "insertion_curve": list(self.insertion_curve),
        }


def fidelity(score: Scorer, image: Image, heat: Floats, *, steps: int = STEPS, batch: int = BATCH) -> Fidelity:
    """Deletion and insertion of `heat` (H, W) float for `image` (H, W, 3) uint8.

    `score` takes images (N, H, W, 3) uint8, N <= `batch`, and returns (N,) float, higher = more defective. Deleted
    pixels get the image's mean colour; insertion starts from the blurred image. A NaN in the heat counts as the
    hottest; equal heat goes in reading order. Raises InputError where the score is no number, ValueError for
    shapes that do not match.
    """
    heat = np.asarray(heat)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"the image is {image.shape} {image.dtype}. Give (H, W, 3) uint8.")
    if heat.shape != image.shape[:2] or not heat.size:
        raise ValueError(f"heat {heat.shape} does not fit the image {image.shape[:2]}. Resize it to the image.")
    if steps < 1 or batch < 1:
        raise ValueError(f"{steps} steps in batches of {batch} are too few. Give at least 1 of each.")
    place = _places(heat)
    mean = np.broadcast_to(image.mean(axis=(0, 1)).round().astype(np.uint8), image.shape)
    blurred = cv2.GaussianBlur(image, (0, 0), max(1.0, BLUR * max(heat.shape)))
    deleted = _curve(score, image, mean, place, steps, batch)
    inserted = _curve(score, np.asarray(blurred, np.uint8), image, place, steps, batch)
    return Fidelity(_area(deleted), _area(inserted), tuple(deleted.tolist()), tuple(inserted.tolist()))


def points_at(heat: Floats, mask: NDArray[np.bool_], tolerance_px: float = TOLERANCE_PX) -> bool | None:
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


def pointing_game(pairs: Iterable[Pair], tolerance_px: float = TOLERANCE_PX, confidence: float = CONFIDENCE) -> Rate:
    """The share of (heat, mask) pairs whose heat points at the defect; empty masks are left out. See `points_at`."""
    hits = [hit for heat, mask in pairs if (hit := points_at(heat, mask, tolerance_px)) is not None]
    return exact_rate(sum(hits), len(hits), confidence)


def _places(heat: Floats) -> NDArray[np.int64]:
    """(H, W): each pixel's place from the hottest, 0, on."""
    order = np.argsort(-_clean(heat).ravel(), kind="stable")
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    return place.reshape(heat.shape)


def _curve(
    score: Scorer, start: Image, goal: Image, place: NDArray[np.int64], steps: int, batch: int
) -> NDArray[np.float64]:
    """Scores (steps + 1,) as the pixels of `start` become those of `goal`, the hottest first."""
    limits = np.linspace(0, place.size, steps + 1).round().astype(np.int64)
    found = []
    for first in range(0, limits.size, batch):
        changed = place < limits[first : first + batch, None, None]
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
