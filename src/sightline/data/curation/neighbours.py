"""Nearest neighbours among a hundred thousand pictures, exactly, in blocks that fit the processor's cache.

By embedding, by hash, and by what one picture would look like as a crop of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
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

# Crops: each small copy beside cut-outs of the others.
SIDE_PX = 12  # of what is compared: coarse enough to forgive half a step between two crops
FINE, SLOW = 2.0, 6.0  # sigmas, at 64 px, between which detail is compared: neither noise nor light
SHARED, CROP_DIMENSIONS = 8, 64  # components: the first are what all parts share, the next are compared
# Height and width of the crops as shares of a side. Positions: corners, for the first one the middles as well.
SHAPES = ((0.95, 0.95), (0.92, 0.97), (0.97, 0.92), (0.92, 0.92))

Box = tuple[float, float, float, float]


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
    """Points (N, d) float32 of embeddings (N, E): standardised, then the `dimensions` directions of most variance.

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
        close = (away <= bits) & (i + row < j + column)
        near.append(np.stack([i[close] + row, j[close] + column, away[close]], axis=1))
    pairs = np.concatenate(near)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 2], pairs[:, 0]))]
    first = np.searchsorted(pairs[:, 0], pairs[:, 0])  # where each picture's own pairs begin
    return pairs[np.arange(len(pairs)) - first < most][:, :2]


def boxes() -> list[Box]:
    """The whole and its crops: y, x, height, width as shares of a side."""
    found: list[Box] = [(0.0, 0.0, 1.0, 1.0)]
    for number, (height, width) in enumerate(SHAPES):
        steps = (0.0, 0.5, 1.0) if number == 0 else (0.0, 1.0)
        found += [(y * (1 - height), x * (1 - width), height, width) for y in steps for x in steps]
    return found


def crop_neighbours(thumbs: NDArray[np.uint8], count: int) -> Indices:
    """For each of the copies (N, S, S) uint8, the `count` others (N, k) that, whole or cropped, look most like it."""
    whole = _described(thumbs, boxes()[0])
    mean, axes = _axes(whole[np.random.default_rng(0).permutation(len(whole))[:FITTED]])
    vectors = [_units(whole - mean, axes)]
    vectors += [_units(_described(thumbs, box) - mean, axes) for box in boxes()[1:]]
    return nearest(vectors[0], count, among=vectors)[0]


def _described(thumbs: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    side = thumbs.shape[1]
    y, x, height, width = box
    warp = np.array([[width, 0, x * side + (width - 1) / 2], [0, height, y * side + (height - 1) / 2]], np.float32)
    rows = np.empty((len(thumbs), SIDE_PX * SIDE_PX), np.float32)
    scale = side / 64
    for number, thumb in enumerate(thumbs):
        values = thumb.astype(np.float32)
        if height < 1 or width < 1:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            values = cv2.warpAffine(values, warp, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        fine = cv2.GaussianBlur(values, (0, 0), FINE * scale)
        slow = cv2.GaussianBlur(values, (0, 0), SLOW * scale)
        rows[number] = cv2.resize(fine - slow, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).ravel()
    return rows


def _axes(whole: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and the directions (D, d) that come after those that the set shares."""
    mean = whole.mean(axis=0)
    away = whole - mean
    away = away / (np.linalg.norm(away, axis=1, keepdims=True) + 1e-6)
    _, axes = np.linalg.eigh((away.T @ away).astype(np.float64))
    shared = min(SHARED, len(whole) // 8)
    return mean, axes[:, ::-1][:, shared : shared + CROP_DIMENSIONS].astype(np.float32)


def _units(rows: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    own = rows @ axes
    return np.asarray(own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-3), np.float32)
