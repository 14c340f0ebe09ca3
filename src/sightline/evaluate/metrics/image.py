"""Metrics of ranking: how well scores and heat separate defective from good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.errors import require
from sightline.evaluate.metrics.pixel import PixelCurve
from sightline.evaluate.statistics.intervals import ranked


@dataclass(frozen=True, slots=True)
class ImageMetrics:
    """Metrics over images; None where they do not exist, and then `notes` says why.

    `auroc`: area under the ROC curve. `ap`: average precision, defective = positive. `f1_max`: the best F1
    over all thresholds, reached at score >= `f1_threshold`; chosen on the very images it is stated for, so it
    is a ceiling and no promise.
    """

    auroc: float | None
    ap: float | None
    f1_max: float | None
    f1_threshold: float | None
    notes: tuple[str, ...] = ()


def image_metrics(scores: ArrayLike, defective: ArrayLike) -> ImageMetrics:
    """Metrics of `scores` (N,) float, higher = more defective, against `defective` (N,) bool.

    A score that is not a number counts as the highest (fail closed). Raises ValueError for unequal lengths.
    """
    # These metrics depend on order alone; ranks let infinite scores through, which scikit-learn refuses.
    values, ranks, labels = ranked(scores, defective)
    if labels.all() or not labels.any():
        return ImageMetrics(None, None, None, None, (_one_class(labels),))
    learn = require("sklearn.metrics", "scikit-learn")
    f1, threshold = _best_f1(ranks, labels)
    return ImageMetrics(
        auroc=float(learn.roc_auc_score(labels, ranks)),
        ap=float(learn.average_precision_score(labels, ranks)),
        f1_max=f1,
        f1_threshold=float(values[threshold]),
    )


def image_auroc(scores: ArrayLike, defective: ArrayLike) -> float | None:
    """The area under the ROC curve alone; None where one class is missing. See `image_metrics`."""
    return image_metrics(scores, defective).auroc


def pixel_auroc(curve: PixelCurve) -> float | None:
    """AUROC over pixels; None where defective or normal pixels are missing.

    Exact while the heat of normal pixels takes at most as many different values as the curve has bins; beyond that off
    by less than 1 / bins.
    """
    if not curve.normal or not curve.defective:
        return None
    return float(np.clip(np.trapezoid(curve.tpr, curve.fpr), 0.0, 1.0))


def _best_f1(ranks: NDArray[np.int64], labels: NDArray[np.bool_]) -> tuple[float, int]:
    """The best F1 and the rank at or above which a part is called defective to reach it."""
    called = np.bincount(ranks)[::-1].cumsum()[::-1]
    hit = np.bincount(ranks, weights=labels)[::-1].cumsum()[::-1]
    f1 = 2.0 * hit / (called + labels.sum())
    best = int(f1.argmax())
    return float(f1[best]), best


def _one_class(labels: NDArray[np.bool_]) -> str:
    if not labels.size:
        return "No image was scored: image AUROC, AP and F1 cannot be computed."
    present, absent = ("defective", "good") if labels.all() else ("good", "defective")
    return f"All {labels.size} scored images are {present}: without {absent} ones there is no image AUROC, AP or F1."
