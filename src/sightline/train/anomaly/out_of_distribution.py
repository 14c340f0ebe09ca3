"""Fitting the test for pictures that do not show the product, and writing it into the recipe's graph."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.imaging.image import Image
from sightline.models.anomaly import OutOfDistribution, map_moments
from sightline.models.arrays import like, to_numpy
from sightline.runtime.letterbox import Letterbox
from sightline.train.anomaly.held_out_distances import again
from sightline.train.anomaly.memory_bank import FACTORS, MAX_PARTS, Maps, PooledParts, leading, without
from sightline.train.images.loader import ImageLoader, Part, brightened
from sightline.train.settings import TrainSettings

MAX_FOLDS = 20  # units are held out one by one up to that many, beyond in so many groups
FACTOR = 2.2  # times the median distance of held-out good parts (docs/decisions/0034)
TAIL, TAIL_FACTOR = 0.9, 1.2  # where good parts differ much among themselves, their own tail sets the limit
NOISE, EVEN = (3.0, 8.0, 20.0, 60.0), (0.0, 0.5, 1.0, 2.0)  # grey values of noise; times the part's own colour
MID_GREY = 110.0  # noise comes around it as well as around the part's own colour
TOWARDS = 0.15  # in ratio, from the farthest good part: a wrong OK costs more than a look
BLUR = 1 / 60  # of a side: sigma of a picture far out of focus
Rows = NDArray[np.float64]
MOMENTS_TEXT = """
    ood_{i}_mean = ReduceMean<keepdims=1>({map}, spatial)
    ood_{i}_away = Sub({map}, ood_{i}_mean)
    ood_{i}_square = Mul(ood_{i}_away, ood_{i}_away)
    ood_{i}_variance = ReduceMean<keepdims=0>(ood_{i}_square, spatial)
    ood_{i}_deviation = Sqrt(ood_{i}_variance)
    ood_{i}_centre = Squeeze(ood_{i}_mean, spatial)
"""
OOD_TEXT = """
    ood_moments = Concat<axis=1>({names})
    ood = Gemm<transB=1>(ood_moments, ood_weights, ood_bias)
"""


def fit_out_of_distribution(
    maps_of: Maps,
    loader: ImageLoader,
    pooled: PooledParts,
    parts: Sequence[Part],
    learned: set[int],
    settings: TrainSettings,
) -> tuple[OutOfDistribution, NDArray[np.float64]]:
    """The test, learned from the units `learned`, and the distances (m,) of `parts`, each held out with its unit.

    Every moment is measured in the deviation of its own channel inside the pictures; what a change of light moves
    plays no part. A distance of 1 is the limit: `FACTOR` times the median held-out distance, or `TAIL_FACTOR` times its
    upper tail where that is wider; but where pictures that show no part lie near, a little of the way to the nearest.
    """
    names = maps_of.source.whole
    known = np.isin(pooled.units, list(learned))
    moments = to_numpy(pooled.rows).astype(np.float64)
    inside = moments[known][:, moments.shape[1] // 2 :].mean(axis=0)
    scale = np.tile(inside + 1e-6, 2)
    strangers, moved = _strangers_and_light(maps_of, loader, settings)
    count = settings.light_directions
    light = leading(moved / scale, count) if count else None
    rows = without(moments / scale, light)
    scored = np.unique([part.unit for part in parts])
    distances = np.zeros(len(rows))
    for fold in np.array_split(scored, min(MAX_FOLDS, len(scored))):
        held_out = np.isin(pooled.units, fold)
        mean, factor = _covariance(rows[known & ~held_out])
        distances[held_out] = _distances(rows[held_out], mean, factor)
    row_of = {digest: row for row, digest in enumerate(pooled.hashes)}
    found = distances[[row_of[part.hash] for part in parts]]
    mean, factor = _covariance(rows[known])
    away = _distances(without(strangers / scale, light), mean, factor)
    limit = max(FACTOR * float(np.median(found)), TAIL_FACTOR * float(np.quantile(found, TAIL)), 1e-9)
    # A strange picture that lies among the good parts, as half of a textile may, cannot be told from them by any limit.
    farthest = float(found.max())
    if (away > farthest).any():
        limit = min(limit, max(float(farthest * (away[away > farthest].min() / farthest) ** TOWARDS), 1e-9))
    weights = without(np.linalg.inv(factor), light) / limit
    bias = -(weights @ mean)
    numbers = (like(x.astype(np.float32), pooled.rows) for x in (weights / scale, bias))
    return OutOfDistribution(names, *numbers), found / limit


def _strangers_and_light(maps_of: Maps, loader: ImageLoader, settings: TrainSettings) -> tuple[Rows, Rows]:
    """Moments (s, 2 C) of pictures that show no part, and what a change of light adds to those of parts (p, 2 C)."""
    moved = []
    image, letterbox = next(again(loader, loader.parts[0]).some(1))
    strangers = [_moments(maps_of, x) for x in strange_pictures(image, letterbox, settings.seed)]
    for part in list(loader.parts)[:: max(1, len(loader.parts) // MAX_PARTS)][:MAX_PARTS]:
        image, letterbox = next(again(loader, part).some(1))
        plain = _moments(maps_of, image)
        moved += [_moments(maps_of, brightened(image, letterbox, factor)) - plain for factor in FACTORS]
    return np.concatenate(strangers), np.concatenate(moved)


def _moments(maps_of: Maps, image: Image) -> Rows:
    return to_numpy(map_moments(maps_of(image), maps_of.source.whole)).astype(np.float64)


def strange_pictures(image: Image, letterbox: Letterbox, seed: int) -> list[Image]:
    """Pictures (H, W, 3) uint8 that show no part, or no whole one: noise, even grey, the part `image` far out of
    focus, and half of it."""
    rng, (left, top, wide, high) = np.random.default_rng(seed), letterbox.inner
    inner = image[top : top + high, left : left + wide]
    mean = inner.reshape(-1, 3).mean(0)
    noise = rng.normal(0, 1, inner.shape)
    images = [np.clip(colour + spread * noise, 0, 255) for spread in NOISE for colour in (mean, MID_GREY)]
    images += [np.broadcast_to(np.clip(mean * factor, 0, 255), inner.shape) for factor in EVEN]
    images.append(cv2.GaussianBlur(inner, (0, 0), BLUR * np.sqrt(high * wide)))
    half = inner.copy()
    half[:, : wide // 2] = half[:, :1]
    images.append(half)
    pictures = []
    for values in images:
        picture = image.copy()
        picture[top : top + high, left : left + wide] = values
        pictures.append(picture)
    return pictures


def _covariance(rows: Rows) -> tuple[Rows, Rows]:
    """Mean (D,) of rows (n, D), and the Cholesky factor (D, D) of their shrunk covariance.

    The covariance gets the mean variance of the directions that the rows span on its diagonal: between sphere and
    sample, and sound from five rows on.
    """
    mean = rows.mean(axis=0)
    deviations = rows - mean
    spanned = max(1, min(len(rows) - 1, rows.shape[1]))
    covariance = deviations.T @ deviations / max(1, len(rows) - 1)
    # Rows that are all the same picture still need a length to measure by: that of rounding.
    base = max(float(covariance.trace()) / spanned, 1e-6 * float((mean * mean).mean()), 1e-12)
    return mean, np.linalg.cholesky(covariance + base * np.eye(len(covariance)))


def _distances(rows: Rows, mean: Rows, factor: Rows) -> Rows:
    """Mahalanobis distances (n,) of rows (n, D)."""
    return np.asarray(np.linalg.norm(np.linalg.solve(factor, (rows - mean).T), axis=0))


def out_of_distribution_text(names: tuple[str, ...]) -> str:
    """The graph's lines for the output `ood` (N, D)."""
    moments = "".join(MOMENTS_TEXT.format(i=i, map=name) for i, name in enumerate(names))
    joined = [f"ood_{i}_{moment}" for moment in ("centre", "deviation") for i in range(len(names))]
    return moments + OOD_TEXT.format(names=", ".join(joined))


def out_of_distribution_constants(test: OutOfDistribution) -> dict[str, NDArray[np.generic]]:
    """The numbers that the lines need."""
    return {"ood_weights": to_numpy(test.weights), "ood_bias": to_numpy(test.bias)}
