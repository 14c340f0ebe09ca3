"""Do two pictures show the same part? Aligned, freed of what all parts share, and correlated.

Parts in one fixture look alike in everything but their own texture. So the small copies are high-passed, one is laid
over the other (scale and place searched, then ECC: Evangelidis and Psarakis 2008, "Parametric image alignment using
enhanced correlation coefficient maximization"), the directions in which the set's pictures resemble each other most
are taken out, and what is left is correlated. How much of it is enough is taken from random pairs of the same set.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.curation.spread import MIN_IMAGES

Grey = NDArray[np.float32]

SCALES = (1.0, 0.95, 0.9, 0.85)  # of a side: a crop of a tenth, and a little more
ALL = tuple((high, wide) for high in SCALES for wide in SCALES)
EVEN = tuple((scale, scale) for scale in SCALES)
HASTE = 0.15  # by which the even scales may fit worse than the best
COARSE_PX = 32
MIN_COARSE = 0.5  # best correlation of the coarse copies; below it, alignment is not worth its time
HIGH_PASS = 16  # the Gaussian that is subtracted has a sigma of a sixteenth of the side
SMOOTH_PX = 1.0  # finer detail changes with the way in which a copy was made smaller
EVENED = 10  # contrast is evened out over a tenth of the side
NOISE = 1.0  # grey values of detail below which there is nothing to bring out
SHARED = 8  # directions that are taken out as common to the set
FITTED = 512  # pictures that they are fitted on
PAIRS = 120  # random pairs that say how alike different parts look
SPREADS = 5.0
LOWEST, HIGHEST = 0.40, 0.75  # bounds of the limit, whatever the random pairs say
MIN_OVERLAP = 0.5
BLOCKS = 4  # along a side
STEPS = 25


class Likeness:
    """Compares small grey copies (N, S, S) uint8 of one set; `limit` is what the same part's two pictures reach."""

    def __init__(self, thumbs: NDArray[np.uint8], seed: int = 0, *, hasty: bool = False) -> None:
        """`hasty` looks at four scales first and gives up where none fits at all: a third of the time in large sets."""
        rng = np.random.default_rng(seed)
        self._hasty = hasty
        self._thumbs = thumbs
        sample = np.stack([high_pass(thumb).ravel() for thumb in thumbs[rng.permutation(len(thumbs))[:FITTED]]])
        self._shared = _shared(sample)
        self.limit = self._limit(rng)

    def __call__(self, one: int, other: int) -> float:
        """Correlation of what the two pictures have beyond the set's common looks, -1..1; 0 where they do not fit."""
        first, second = self._thumbs[one], self._thumbs[other]
        if np.array_equal(first, second):
            return 1.0
        return self._compare(high_pass(first), high_pass(second))

    def _compare(self, one: Grey, other: Grey, least: float = MIN_COARSE) -> float:
        laid = lay_over(one, other, least, self._hasty)
        if laid is None:
            return 0.0
        one, other, inside = laid
        x, y = self._own(one), self._own(other)
        kept = inside.ravel()
        return min(_correlation(x[kept], y[kept]), _everywhere(x, y, inside))

    def _own(self, grey: Grey) -> Grey:
        """What is the picture's own: without the directions that the set shares."""
        flat = grey.ravel()
        return np.asarray(flat - self._shared.T @ (self._shared @ flat), np.float32)

    def _limit(self, rng: np.random.Generator) -> float:
        total = len(self._thumbs)
        if total < MIN_IMAGES:
            return HIGHEST
        pairs = rng.integers(0, total, (PAIRS, 2))
        greys = [(high_pass(self._thumbs[i]), high_pass(self._thumbs[j])) for i, j in pairs if i != j]
        values = np.array([self._compare(one, other, least=-1.0) for one, other in greys])
        middle = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - middle)))
        return float(np.clip(middle + SPREADS * spread, LOWEST, HIGHEST))


def high_pass(thumb: NDArray[np.uint8]) -> Grey:
    """A grey copy (S, S) without slow light and finest detail, its contrast evened out, as float32 around 0.

    Evened out, because one strong line would decide the correlation alone.
    """
    values = thumb.astype(np.float32)
    slow = cv2.GaussianBlur(values, (0, 0), len(thumb) / HIGH_PASS)
    detail = cv2.GaussianBlur(values, (0, 0), SMOOTH_PX) - slow
    strength = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), len(thumb) / EVENED))
    return np.asarray(detail / (strength + NOISE), np.float32)


def _shared(sample: Grey) -> Grey:
    """Orthonormal directions (k, S * S) of high-passed pictures (n, S * S): their mean and their main components."""
    # A few pictures would be explained away by as many components.
    count = min(SHARED, len(sample) // 8)
    mean = sample.mean(axis=0, keepdims=True)
    away = sample - mean
    away = away / (np.linalg.norm(away, axis=1, keepdims=True) + 1e-6)
    _, vectors = np.linalg.eigh((away @ away.T).astype(np.float64))
    main = (away.T @ vectors[:, ::-1][:, :count].astype(np.float32)).T
    if not count:  # of a few pictures, nothing is known to be shared
        return np.zeros((1, sample.shape[1]), np.float32)
    basis, _ = np.linalg.qr(np.vstack([mean, main]).T)
    return np.asarray(basis.T, np.float32)


def _correlation(x: Grey, y: Grey) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y) + 1e-6))


def _everywhere(x: Grey, y: Grey, inside: NDArray[np.bool_]) -> float:
    """Median correlation of the blocks of two flat pictures: one strong line in common makes no part the same."""
    shape = (BLOCKS, len(inside) // BLOCKS, BLOCKS, len(inside) // BLOCKS)

    def blocks(values: NDArray[np.generic]) -> Grey:
        return np.asarray(values.reshape(shape).swapaxes(1, 2).reshape(BLOCKS * BLOCKS, -1), np.float32)

    weight = blocks(inside)
    count = weight.sum(axis=1, keepdims=True)
    enough = count[:, 0] >= MIN_OVERLAP * weight.shape[1]
    weight, count = weight[enough], count[enough]
    a, b = blocks(x)[enough], blocks(y)[enough]
    a = (a - (a * weight).sum(1, keepdims=True) / count) * weight
    b = (b - (b * weight).sum(1, keepdims=True) / count) * weight
    return float(np.median((a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1) + 1e-6)))


def lay_over(one: Grey, other: Grey, least: float, hasty: bool = False) -> tuple[Grey, Grey, NDArray[np.bool_]] | None:
    """One picture, the other moved onto it, and where both are there; None where they do not fit.

    Either may be a crop of the other: the frame is that of the picture that shows more.
    """
    small, small_other = _coarse(one), _coarse(other)
    if hasty:
        first = max(_search(small, small_other, EVEN)[0], _search(small_other, small, EVEN)[0])
        if first < least - HASTE:
            return None
    there, back = _search(small, small_other), _search(small_other, small)
    if max(there[0], back[0]) < least:
        return None
    if back[0] > there[0]:
        one, other, there = other, one, back
    _, width, height, x, y = there
    side = len(one)
    warp = np.array([[width, 0, x * side + (width - 1) / 2], [0, height, y * side + (height - 1) / 2]], np.float32)
    whole = np.full(one.shape, 255, np.uint8)
    try:
        _, found = cv2.findTransformECC(other, one, warp, cv2.MOTION_AFFINE, (3, STEPS, 1e-4), whole, 3)
        warp = np.asarray(found, np.float32)
    except cv2.error:
        pass  # no gradient to follow: the searched place stands
    moved = cv2.warpAffine(other, warp, (side, side), flags=cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.ones_like(other), warp, (side, side), flags=cv2.INTER_LINEAR) > 0.99
    if inside.mean() < MIN_OVERLAP:
        return None
    return one, np.where(inside, moved, one).astype(np.float32), inside


def _coarse(grey: Grey) -> Grey:
    return np.asarray(cv2.resize(grey, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA), np.float32)


def _search(
    whole: Grey, part: Grey, scales: Sequence[tuple[float, float]] = ALL
) -> tuple[float, float, float, float, float]:
    """Best correlation of the part inside the whole, its width and height there, and its place, as shares of a side."""
    best = (-1.0, 1.0, 1.0, 0.0, 0.0)
    for high, wide in scales:
        width, height = round(COARSE_PX * wide), round(COARSE_PX * high)
        smaller = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
        fit = cv2.matchTemplate(whole, smaller, cv2.TM_CCOEFF_NORMED)
        _, value, _, (x, y) = cv2.minMaxLoc(fit)
        if value > best[0]:
            best = (value, width / COARSE_PX, height / COARSE_PX, x / COARSE_PX, y / COARSE_PX)
    return best
