"""Moves: flips, small turns, shifts and scales, all in one resampling, with the masks along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.imaging.image import Image

MAX_DEG = 10.0
MAX_SHIFT = 0.05  # of each side
MAX_SCALE = 0.1
FLIP_SHARE = 0.5  # of the pictures at strength 1, along each axis
MIN_KEPT = 0.7  # of a mark's pixels, else the move is left out

Matrix = NDArray[np.float64]
Move = Callable[[float, tuple[int, int], np.random.Generator], Matrix]


def flip(strength: float, size: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """Mirrored along each axis, at most every second time."""
    flips = np.where(rng.random(2) < FLIP_SHARE * strength, -1.0, 1.0)
    return np.diag([*flips, 1.0])


def rotation(strength: float, size: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """Turned by up to `MAX_DEG`."""
    angle = np.deg2rad(strength * rng.uniform(-MAX_DEG, MAX_DEG))
    return np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])


def shift(strength: float, size: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """Shifted by up to `MAX_SHIFT` of each side."""
    matrix = np.eye(3)
    matrix[:2, 2] = strength * rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2) * size[::-1]
    return matrix


def scale(strength: float, size: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """Larger or smaller by up to `MAX_SCALE`."""
    factor = (1 + MAX_SCALE) ** (strength * rng.uniform(-1, 1))
    return np.diag([factor, factor, 1.0])


MOVES: dict[str, Move] = {"flip": flip, "rotation": rotation, "shift": shift, "scale": scale}


def move(
    image: Image, masks: NDArray[Any], moves: Sequence[Move], strength: float, rng: np.random.Generator
) -> tuple[Image, NDArray[Any], Matrix]:
    """An image (H, W, 3) uint8 and masks (K, H, W) after these moves about the picture's centre, and the matrix (3, 3)
    that took each pixel's place (x, y, 1) to its new one.

    Beyond the border both are mirrored alike, so that a mark which comes in with the border is marked, too. A bool
    mask is resampled as the picture is and holds where at least half of a pixel was marked.
    """
    high, wide = image.shape[:2]
    matrix = np.eye(3)
    for step in moves:
        matrix = step(strength, (high, wide), rng) @ matrix
    centre = np.array([[1, 0, (wide - 1) / 2], [0, 1, (high - 1) / 2], [0, 0, 1]])
    matrix = centre @ matrix @ np.linalg.inv(centre)
    moved = np.empty_like(masks)
    for mask, target in zip(masks, moved, strict=True):
        if mask.dtype == np.bool_:
            target[:] = _warp(mask.astype(np.uint8) * np.uint8(255), matrix) > 127
        else:
            target[:] = _warp(mask.astype(np.float32), matrix)
    before, after = masks.sum(axis=(1, 2), dtype=float), moved.sum(axis=(1, 2), dtype=float)
    if (after < MIN_KEPT * before * abs(np.linalg.det(matrix))).any():
        return image.copy(), masks.copy(), np.eye(3)
    return np.asarray(_warp(image, matrix), np.uint8), moved, matrix


def _warp(picture: NDArray[Any], matrix: Matrix) -> NDArray[Any]:
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved)
