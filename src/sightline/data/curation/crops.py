"""Which pictures could be a crop of which: each small copy beside crops of the others that are cut out in thought."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.curation.neighbours import Indices, nearest

SIDE_PX = 12  # of what is compared: coarse enough to forgive half a step between two crops
FINE, SLOW = 2.0, 6.0  # sigmas, at 64 px, between which detail is compared: neither noise nor light
SHARED, DIMENSIONS = 8, 64  # components: the first are what all parts share, the next are compared
FITTED = 4096
# Height and width of the crops as shares of a side. Places: corners, for the first one the middles as well.
SHAPES = ((0.95, 0.95), (0.92, 0.97), (0.97, 0.92), (0.92, 0.92))

Box = tuple[float, float, float, float]


def boxes() -> list[Box]:
    """The whole and its crops: y, x, height, width as shares of a side."""
    found: list[Box] = [(0.0, 0.0, 1.0, 1.0)]
    for number, (height, width) in enumerate(SHAPES):
        places = (0.0, 0.5, 1.0) if number == 0 else (0.0, 1.0)
        found += [(y * (1 - height), x * (1 - width), height, width) for y in places for x in places]
    return found


def crop_neighbours(thumbs: NDArray[np.uint8], count: int, seed: int = 0) -> Indices:
    """For each of the copies (N, S, S) uint8, the `count` others (N, k) that, whole or cropped, look most like it."""
    whole = _described(thumbs, boxes()[0])
    mean, axes = _axes(whole[np.random.default_rng(seed).permutation(len(whole))[:FITTED]])
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
    return mean, axes[:, ::-1][:, shared : shared + DIMENSIONS].astype(np.float32)


def _units(rows: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    own = rows @ axes
    return np.asarray(own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-3), np.float32)
