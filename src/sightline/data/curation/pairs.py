"""Pairs of images that show the same part: exact copies first, then candidates that are looked at closely."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from sightline.data.curation.crops import crop_neighbours
from sightline.data.curation.likeness import Likeness
from sightline.data.curation.neighbours import Neighbourhood, close_hashes, neighbourhood
from sightline.data.curation.signs import Signs

HASH_BITS = 12  # of 128
PER_IMAGE = 8  # followers with a like hash
NEIGHBOURS = 6  # by embedding, and as many that could be crops
MOST_PAIRS = 80_000  # that are aligned
MANY = 20_000  # images; beyond, fewer neighbours of each are looked at, and no crops in thought
THREADS = 2
BEYOND_DOUBT = 0.75  # likeness that different parts have never shown
OUTSTANDING = 0.2  # above the median of an image's candidates
CHUNK = 256


@dataclass(frozen=True, slots=True)
class Pair:
    """Images `first` < `second`, and how alike they are (1 = the same); `exact` where the files are equal."""

    first: int
    second: int
    likeness: float
    exact: bool = False


def neighbours_of(signs: Signs) -> Neighbourhood | None:
    """The nearest others of each image, as many as are looked at closely; None without embeddings."""
    if not signs.embeddings.shape[1] or len(signs) < 2:
        return None
    count = NEIGHBOURS if len(signs) <= MANY else max(1, MOST_PAIRS // len(signs))
    return neighbourhood(signs.embeddings, count)


def find_pairs(signs: Signs, near: Neighbourhood | None, *, seed: int = 0) -> list[Pair]:
    """All pairs of the same part, in order. Without embeddings, crops are found less often.

    `near` is `neighbours_of(signs)`. Candidates are pictures with a like hash and the nearest by embedding; `Likeness`
    decides. In sets of up to 20,000 images six neighbours of each are looked at, in larger ones as many as
    `MOST_PAIRS` allows, nearest first.
    """
    exact = _copies(signs.digests)
    known = {(pair.first, pair.second) for pair in exact}
    doubtful = [pair for pair in candidates(signs, near) if pair not in known]
    if not doubtful:
        return exact
    likeness = Likeness(signs.thumbs, seed, hasty=len(signs) > MANY)
    values = _compared(likeness, doubtful)
    alike = [Pair(i, j, value) for (i, j), value in zip(doubtful, values, strict=True)]
    alike = _standing_out(alike, likeness.limit)
    return sorted([*exact, *alike], key=lambda pair: (pair.first, pair.second))


def _standing_out(compared: Sequence[Pair], limit: float) -> list[Pair]:
    """Pairs that are alike beyond doubt, or more than random pairs are and more than either's other neighbours.

    In a set of two makes of a part, the neighbours of the plainer make resemble one another more than random pairs.
    """
    seen: dict[int, list[float]] = defaultdict(list)
    for pair in compared:
        seen[pair.first].append(pair.likeness)
        seen[pair.second].append(pair.likeness)
    usual = {index: float(np.median(values)) for index, values in seen.items()}
    return [
        pair
        for pair in compared
        if pair.likeness >= BEYOND_DOUBT
        or (pair.likeness >= limit and pair.likeness >= max(usual[pair.first], usual[pair.second]) + OUTSTANDING)
    ]


def _copies(digests: Sequence[str]) -> list[Pair]:
    """Each copy with the first of its kind."""
    first: dict[str, int] = {}
    pairs = []
    for index, digest in enumerate(digests):
        if first.setdefault(digest, index) != index:
            pairs.append(Pair(first[digest], index, 1.0, exact=True))
    return pairs


def candidates(signs: Signs, near: Neighbourhood | None) -> list[tuple[int, int]]:
    """Pairs (i < j) that are worth a closer look, the most promising first, at most MOST_PAIRS."""
    hashed = close_hashes(signs.hashes, HASH_BITS, PER_IMAGE)
    chosen = dict.fromkeys((int(i), int(j)) for i, j in hashed)
    if len(signs) <= MANY:
        for column in crop_neighbours(signs.thumbs, NEIGHBOURS).T:
            chosen |= dict.fromkeys((min(i, int(j)), max(i, int(j))) for i, j in enumerate(column))
    if near is not None:
        for i, j in _neighbours(near):
            chosen.setdefault((i, j))
    return list(islice(chosen, MOST_PAIRS))


def _neighbours(near: Neighbourhood) -> Iterator[tuple[int, int]]:
    """Every image with its nearest, then with its second, and so on; the nearest pairs of each round first."""
    for column in near.index.T:
        away = np.linalg.norm(near.points - near.points[column], axis=1)
        for i in np.argsort(away, kind="stable"):
            yield min(int(i), int(column[i])), max(int(i), int(column[i]))


def _compared(likeness: Likeness, pairs: Sequence[tuple[int, int]]) -> list[float]:
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # pairs side by side: OpenCV's own threads would only wait for one another
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            parts = pool.map(lambda chunk: [likeness(i, j) for i, j in chunk], chunks)
            return [value for part in parts for value in part]
    finally:
        cv2.setNumThreads(threads)


def clusters(pairs: Sequence[Pair], count: int) -> list[list[int]]:
    """Images that pairs hold together, each cluster in order, clusters by their first image; single ones left out."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for pair in pairs:
        one, other = sorted((root(pair.first), root(pair.second)))
        parent[other] = one
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(count):
        members[root(index)].append(index)
    return [group for group in members.values() if len(group) > 1]
