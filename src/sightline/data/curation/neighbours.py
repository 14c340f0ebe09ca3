"""Nearest neighbours among a hundred thousand pictures, exactly, in blocks that fit the processor's cache."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

ROWS, COLUMNS = 512, 65_536  # pictures at a time of the two sides: 128 MB of similarities
GROUP = 64  # columns that share one maximum
HASH_ROWS, HASH_COLUMNS = 256, 4096
THREADS = 2
DIMENSIONS = 64  # of what pictures are compared by: more change the order of neighbours little and cost time
FITTED = 4096  # pictures that the directions are fitted on
CLIP = 10.0  # deviations; one mad channel must not decide


@dataclass(frozen=True)
class Neighbourhood:
    """Pictures as points (N, d) float32, and the k nearest others of each: `index` (N, k), nearest first.

    Near is what lies in the same direction from the set's middle: light and contrast change the length more.
    """

    points: NDArray[np.float32]
    index: Indices

    def distances(self, count: int) -> NDArray[np.float64]:
        """Mean distance (N,) to the `count` nearest of the neighbours that are known."""
        away = [np.linalg.norm(self.points - self.points[column], axis=1) for column in self.index.T]
        if not away:
            return np.zeros(len(self.points))
        return np.asarray(np.sort(np.stack(away, axis=1), axis=1)[:, :count].mean(axis=1), np.float64)


def neighbourhood(embeddings: NDArray[np.float32], count: int) -> Neighbourhood:
    """The neighbourhood of embeddings (N, E)."""
    points = compact(embeddings)
    units = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-6)
    return Neighbourhood(points, nearest(units, count)[0])


def compact(embeddings: NDArray[np.float32], dimensions: int = DIMENSIONS, seed: int = 0) -> NDArray[np.float32]:
    """Points (N, d) float32 of embeddings (N, E): standardised, then the `dimensions` directions of most spread.

    The directions are those of a random sample, so that the cost grows with N alone.
    """
    sample = np.random.default_rng(seed).permutation(len(embeddings))[:FITTED]
    mean, deviation = embeddings[sample].mean(axis=0), embeddings[sample].std(axis=0)
    deviation = np.maximum(deviation, 1e-3 * float(deviation.max()) + 1e-9)
    fitted = np.clip((embeddings[sample] - mean) / deviation, -CLIP, CLIP).astype(np.float64)
    _, axes = np.linalg.eigh(fitted.T @ fitted)
    axes = axes[:, ::-1][:, :dimensions].astype(np.float32)
    starts = range(0, len(embeddings), COLUMNS)
    parts = [np.clip((embeddings[start : start + COLUMNS] - mean) / deviation, -CLIP, CLIP) @ axes for start in starts]
    return np.concatenate(parts).astype(np.float32)


def nearest(
    vectors: NDArray[np.float32], count: int, among: Sequence[NDArray[np.float32]] | None = None
) -> tuple[Indices, NDArray[np.float32]]:
    """For each unit vector (N, d) its `count` nearest others: indices (N, k) and cosines (N, k), nearest first.

    `among` gives several looks (N, d) at each picture, of which the nearest counts; by default, only `vectors`.
    k is the smaller of `count` and N - 1. Exact: the nearest lie in the groups of columns with the greatest maxima,
    so only those are looked through.
    """
    total, looks = len(vectors), among or (vectors,)
    count = min(count, total - 1)
    if count < 1:
        return np.zeros((total, 0), np.int64), np.zeros((total, 0), np.float32)
    index, cosine = np.zeros((total, count), np.int64), np.full((total, count), -2.0, np.float32)
    for row in range(0, total, ROWS):
        stop = min(row + ROWS, total)
        for column in range(0, total, COLUMNS):
            cosines = vectors[row:stop] @ looks[0][column : column + COLUMNS].T
            for look in looks[1:]:
                np.maximum(cosines, vectors[row:stop] @ look[column : column + COLUMNS].T, out=cosines)
            own = np.arange(max(row, column), min(stop, column + cosines.shape[1]))
            cosines[own - row, own - column] = -2.0
            where, best = _best(cosines, count)
            index[row:stop], cosine[row:stop] = _merge(
                np.hstack([index[row:stop], where + column]), np.hstack([cosine[row:stop], best]), count
            )
    return index, cosine


def _best(cosines: NDArray[np.float32], count: int) -> tuple[Indices, NDArray[np.float32]]:
    """The greatest entries of each row: columns (R, <= count) and values."""
    rows, columns = cosines.shape
    groups = columns // GROUP
    if groups < 4 * count:
        return _merge(np.broadcast_to(np.arange(columns), cosines.shape), cosines, min(count, columns))
    # Column g of every stripe belongs to group g: the maximum runs over whole rows of memory.
    maxima = cosines[:, : groups * GROUP].reshape(rows, GROUP, groups).max(axis=1)
    chosen = np.argpartition(-maxima, count - 1, axis=1)[:, :count]
    looked = (chosen[:, :, None] + groups * np.arange(GROUP)).reshape(rows, -1)
    rest = np.broadcast_to(np.arange(groups * GROUP, columns), (rows, columns - groups * GROUP))
    looked = np.hstack([looked, rest])
    return _merge(looked, np.take_along_axis(cosines, looked, axis=1), count)


def _merge(index: Indices, value: NDArray[np.float32], count: int) -> tuple[Indices, NDArray[np.float32]]:
    order = np.argpartition(-value, count - 1, axis=1)[:, :count]
    order = np.take_along_axis(order, np.argsort(-np.take_along_axis(value, order, 1), axis=1, kind="stable"), 1)
    return np.take_along_axis(index, order, 1), np.take_along_axis(value, order, 1)


def close_hashes(hashes: NDArray[np.uint64], bits: int, most: int) -> NDArray[np.int64]:
    """Pairs (P, 2), i < j, of hashes (N, words) uint64 that differ in at most `bits` bits.

    Of a picture that has more than `most` such followers, only as many are kept, the nearest: where all parts lie in
    one fixture, the hash tells nothing, and the number of pairs must not grow with the square of the set.
    """
    starts = range(0, len(hashes), HASH_ROWS)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda row: _close_rows(hashes, row, bits, most), starts))
    return np.concatenate(found) if found else np.zeros((0, 2), np.int64)


def _close_rows(hashes: NDArray[np.uint64], row: int, bits: int, most: int) -> NDArray[np.int64]:
    near: list[NDArray[np.int64]] = []
    block = hashes[row : row + HASH_ROWS]
    for column in range(row, len(hashes), HASH_COLUMNS):
        others = hashes[column : column + HASH_COLUMNS]
        # The first word rejects nearly all; the others are counted for what it leaves.
        i, j = np.nonzero(np.bitwise_count(block[:, :1] ^ others[:, 0]) <= bits)
        away = np.bitwise_count(block[i] ^ others[j]).sum(axis=1, dtype=np.int64)
        kept = (away <= bits) & (i + row < j + column)
        near.append(np.stack([i[kept] + row, j[kept] + column, away[kept]], axis=1))
    return _fewest(np.concatenate(near), most)


def _fewest(pairs: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    order = np.lexsort((pairs[:, 1], pairs[:, 2], pairs[:, 0]))
    pairs = pairs[order]
    first = np.searchsorted(pairs[:, 0], pairs[:, 0])  # where each picture's own pairs begin
    return pairs[np.arange(len(pairs)) - first < most][:, :2]
