"""Pairs of images that show the same part: exact copies first, then candidates that are looked at closely.

Parts in one fixture look alike in everything but their own texture. So the small copies are high-passed, one is laid
over the other (scale and offset searched, then ECC: Evangelidis and Psarakis 2008, "Parametric image alignment using
enhanced correlation coefficient maximization"), the directions in which the set's pictures resemble each other most
are taken out, and what is left is correlated. How much of it is enough is taken from random pairs of the same set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from operator import itemgetter

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.sample import Sample
from sightline.data.curation.image_statistics import ImageStatistics, Prints, read_prints
from sightline.data.curation.neighbours import Neighbourhood, close_hashes, crop_neighbours, neighbourhood
from sightline.data.curation.robust import MIN_IMAGES

HASH_BITS = 12  # of 128
PER_IMAGE = 8  # followers with a like hash
NEIGHBOURS = 6  # by embedding, and as many that could be crops
MAX_PAIRS = 80_000  # that are aligned
MANY = 20_000  # images; beyond, fewer neighbours of each are looked at, and no crops in thought
THREADS = 2
BEYOND_DOUBT = 0.75  # similarity that different parts have never shown
OUTSTANDING = 0.2  # above the median of an image's candidates
FEW, FEW_BEYOND_DOUBT = 64, 0.9  # of fewer pictures, not all that parts share is known: more is asked of a pair
STILL, STILL_SHARE = 0.6, 0.03  # mean grey difference, and as a share of the picture's contrast: nothing has moved
CHUNK = 256

Grey = NDArray[np.float32]

SCALES = (1.0, 0.95, 0.9, 0.85)  # of a side: a crop of a tenth, and a little more
ALL = tuple((high, wide) for high in SCALES for wide in SCALES)
EVEN = tuple((scale, scale) for scale in SCALES)
UNEVEN = tuple(scale for scale in ALL if scale not in EVEN)
HASTE = 0.15  # by which the even scales may fit worse than the best: no pair of the real sets is lost by it
COARSE_PX = 32
MIN_COARSE = 0.5  # best correlation of the coarse copies; below it, alignment is not worth its time
HIGH_PASS = 16  # the Gaussian that is subtracted has a sigma of a sixteenth of the side
SMOOTH_PX = 1.0  # finer detail changes with the way in which a copy was made smaller
EVENED = 10  # contrast is evened out over a tenth of the side
NOISE = 1.0  # grey values of detail below which there is nothing to bring out
SHARED = 8  # directions that are taken out as common to the set
FITTED = 512  # pictures that they are fitted on
PAIRS = 120  # random pairs that say how alike different parts look
MAX_Z = 5.0
LOWEST, HIGHEST = 0.40, 0.75  # bounds of the limit, whatever the random pairs say
MIN_OVERLAP = 0.5
BLOCKS = 4  # along a side
STEPS = 25
CACHED = 4096  # pictures whose detail is cached: each is compared with several others


@dataclass(frozen=True, slots=True)
class Pair:
    """Images `first` < `second`, and how alike they are (1 = the same); `exact` where the files are equal."""

    first: int
    second: int
    similarity: float
    exact: bool = False


def neighbours_of(statistics: ImageStatistics) -> Neighbourhood | None:
    """The nearest others of each image, as many as are looked at closely; None without embeddings."""
    if not statistics.embeddings.shape[1] or len(statistics) < 2:
        return None
    count = NEIGHBOURS if len(statistics) <= MANY else max(1, MAX_PAIRS // len(statistics))
    return neighbourhood(statistics.embeddings, count)


def find_pairs(prints: Prints, near: Neighbourhood | None = None, *, seed: int = 0) -> list[Pair]:
    """All pairs of the same part, in order: the one test of training, splits and `data check`.

    `near` is `neighbours_of(statistics)`; without embeddings, crops are found less often. Candidates are pictures
    with a like hash and the nearest by embedding; `Similarity` decides. In sets of up to 20,000 images six neighbours
    of each are looked at, in larger ones as many as `MAX_PAIRS` allows, nearest first.
    """
    if len(prints) < 2:
        return []
    exact = _copies(prints.digests)
    copies = {(pair.first, pair.second) for pair in exact}
    doubtful = [pair for pair in candidates(prints, near) if pair not in copies]
    if not doubtful:
        return exact
    still = {(i, j): Pair(i, j, 1.0) for i, j in doubtful if _nothing_moved(prints.thumbs[i], prints.thumbs[j])}
    doubtful = [pair for pair in doubtful if pair not in still]
    alike: list[Pair] = []
    if doubtful and len(prints) >= MIN_IMAGES:  # what a few pictures have in common may be all parts' looks
        similarity = Similarity(prints.thumbs, seed)
        values = _compared(similarity, doubtful)
        alike = [Pair(i, j, value) for (i, j), value in zip(doubtful, values, strict=True)]
        few = len(prints) < FEW
        alike = (
            [x for x in alike if x.similarity >= FEW_BEYOND_DOUBT] if few else _standing_out(alike, similarity.limit)
        )
    return sorted([*exact, *still.values(), *alike], key=lambda pair: (pair.first, pair.second))


def find_pairs_among(
    samples: Sequence[Sample], full_scale: int | None
) -> tuple[list[Pair], dict[int, tuple[int, int]]]:
    """`find_pairs` of images read for it, and the sizes (height, width) of those that could be read, all by index."""
    prints, readable = read_prints(samples, full_scale)
    sizes = {index: (int(high), int(wide)) for index, (high, wide) in zip(readable, prints.sizes, strict=True)}
    return [replace(x, first=readable[x.first], second=readable[x.second]) for x in find_pairs(prints)], sizes


def _nothing_moved(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether two grey copies differ by noise and light alone: the same scene, photographed again.

    Parts in one fixture differ by more at this size: by 0.9 grey values and more in every real set.
    """
    first, second = (values.astype(np.float32) - values.mean() for values in (one, other))
    return bool(np.abs(first - second).mean() <= min(STILL, STILL_SHARE * float(first.std())))


def _standing_out(compared: Sequence[Pair], limit: float) -> list[Pair]:
    """Pairs that are alike beyond doubt, or more than random pairs are and more than either's other neighbours.

    In a set of two makes of a part, the neighbours of the plainer make resemble one another more than random pairs.
    """
    found: dict[int, list[float]] = defaultdict(list)
    for pair in compared:
        found[pair.first].append(pair.similarity)
        found[pair.second].append(pair.similarity)
    median = {index: float(np.median(values)) for index, values in found.items()}
    return [
        pair
        for pair in compared
        if pair.similarity >= BEYOND_DOUBT
        or (pair.similarity >= limit and pair.similarity >= max(median[pair.first], median[pair.second]) + OUTSTANDING)
    ]


def _copies(digests: Sequence[str]) -> list[Pair]:
    """Each copy with the first of its kind."""
    first: dict[str, int] = {}
    pairs = []
    for index, digest in enumerate(digests):
        if first.setdefault(digest, index) != index:
            pairs.append(Pair(first[digest], index, 1.0, exact=True))
    return pairs


def candidates(prints: Prints, near: Neighbourhood | None) -> list[tuple[int, int]]:
    """Pairs (i < j) that are worth a closer look, the most promising first, at most MAX_PAIRS."""
    hashed = close_hashes(prints.hashes, HASH_BITS, PER_IMAGE)
    chosen = dict.fromkeys((int(i), int(j)) for i, j in hashed)
    if len(prints) <= MANY:
        for column in crop_neighbours(prints.thumbs, NEIGHBOURS).T:
            chosen |= dict.fromkeys((min(i, int(j)), max(i, int(j))) for i, j in enumerate(column))
    if near is not None:
        for i, j in _neighbours(near):
            chosen.setdefault((i, j))
    return list(islice(chosen, MAX_PAIRS))


def _neighbours(near: Neighbourhood) -> Iterator[tuple[int, int]]:
    """Every image with its nearest, then with its second, and so on; the nearest pairs of each round first."""
    for column in near.index.T:
        away = np.linalg.norm(near.points - near.points[column], axis=1)
        for i in np.argsort(away, kind="stable"):
            yield min(int(i), int(column[i])), max(int(i), int(column[i]))


def _compared(similarity: Similarity, pairs: Sequence[tuple[int, int]]) -> list[float]:
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # pairs side by side: OpenCV's own threads would only wait for one another
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            parts = pool.map(lambda chunk: [similarity(i, j) for i, j in chunk], chunks)
            return [value for part in parts for value in part]
    finally:
        cv2.setNumThreads(threads)


def clusters(pairs: Sequence[Pair], count: int) -> list[list[int]]:
    """Images that pairs hold together, each cluster in order, clusters by their first image; single ones left out."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(merge_groups([str(number) for number in range(count)], pairs)):
        members[key].append(index)
    return [group for group in members.values() if len(group) > 1]


def merge_groups(keys: Sequence[str], pairs: Sequence[Pair]) -> list[str]:
    """Group names in which the two of every pair share one: connected components over keys and pairs."""
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for pair in pairs:
        parent[root(keys[pair.second])] = root(keys[pair.first])
    return [root(key) for key in keys]


class Similarity:
    """Compares small grey copies (N, S, S) uint8 of one set; `limit` is what the same part's two pictures reach."""

    def __init__(self, thumbs: NDArray[np.uint8], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._thumbs = thumbs
        self._detail = lru_cache(CACHED)(lambda index: high_pass(thumbs[index]))
        sample = np.stack([self._detail(int(i)).ravel() for i in rng.permutation(len(thumbs))[:FITTED]])
        self._shared = _shared(sample)
        self.limit = self._limit(rng)

    def __call__(self, one: int, other: int) -> float:
        """Correlation of what the two pictures have beyond the set's common looks, -1..1; 0 where they do not fit."""
        if np.array_equal(self._thumbs[one], self._thumbs[other]):
            return 1.0
        return self._compare(self._detail(one), self._detail(other))

    def _compare(self, one: Grey, other: Grey, least: float = MIN_COARSE) -> float:
        laid = lay_over(one, other, least)
        if laid is None:
            return 0.0
        one, other, inside = laid
        x, y = self._own(one), self._own(other)
        both = inside.ravel()
        return min(_correlation(x[both], y[both]), _everywhere(x, y, inside))

    def _own(self, grey: Grey) -> Grey:
        """What is the picture's own: without the directions that the set shares."""
        flat = grey.ravel()
        return np.asarray(flat - self._shared.T @ (self._shared @ flat), np.float32)

    def _limit(self, rng: np.random.Generator) -> float:
        total = len(self._thumbs)
        if total < MIN_IMAGES:
            return HIGHEST
        pairs = rng.integers(0, total, (PAIRS, 2))
        greys = [(self._detail(int(i)), self._detail(int(j))) for i, j in pairs if i != j]
        values = np.array([self._compare(one, other, least=-1.0) for one, other in greys])
        middle = float(np.median(values))
        std = 1.4826 * float(np.median(np.abs(values - middle)))
        return float(np.clip(middle + MAX_Z * std, LOWEST, HIGHEST))


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
    axes, _ = np.linalg.qr(np.vstack([mean, main]).T)
    return np.asarray(axes.T, np.float32)


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


def lay_over(one: Grey, other: Grey, least: float) -> tuple[Grey, Grey, NDArray[np.bool_]] | None:
    """One picture, the other moved onto it, and where both are there; None where they do not fit.

    Either may be a crop of the other: the frame is that of the picture that shows more. Even scales are tried first:
    where none of them fits at all, the others are not.
    """
    small, small_other = _coarse(one), _coarse(other)
    there, back = _search(small, small_other, EVEN), _search(small_other, small, EVEN)
    if max(there[0], back[0]) < least - HASTE:
        return None
    there = max(there, _search(small, small_other, UNEVEN), key=itemgetter(0))
    back = max(back, _search(small_other, small, UNEVEN), key=itemgetter(0))
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
        pass  # no gradient to follow: the offset found by searching stands
    moved = cv2.warpAffine(other, warp, (side, side), flags=cv2.INTER_LINEAR)
    inside = cv2.warpAffine(np.ones_like(other), warp, (side, side), flags=cv2.INTER_LINEAR) > 0.99
    if inside.mean() < MIN_OVERLAP:
        return None
    return one, np.where(inside, moved, one).astype(np.float32), inside


def _coarse(grey: Grey) -> Grey:
    return np.asarray(cv2.resize(grey, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA), np.float32)


def _search(whole: Grey, part: Grey, scales: Sequence[tuple[float, float]]) -> tuple[float, float, float, float, float]:
    """Best correlation of the part inside the whole, its width, height, x and y there, as shares of a side."""
    best = (-1.0, 1.0, 1.0, 0.0, 0.0)
    for high, wide in scales:
        width, height = round(COARSE_PX * wide), round(COARSE_PX * high)
        smaller = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
        fit = cv2.matchTemplate(whole, smaller, cv2.TM_CCOEFF_NORMED)
        _, value, _, (x, y) = cv2.minMaxLoc(fit)
        if value > best[0]:
            best = (value, width / COARSE_PX, height / COARSE_PX, x / COARSE_PX, y / COARSE_PX)
    return best
