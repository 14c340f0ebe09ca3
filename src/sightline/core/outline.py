"""Outlines: rings of points in pixels, drawn into masks, traced from masks, and cut at an image's border.

A pixel in column c and row r covers [c, c + 1) x [r, r + 1): an outline along pixel edges and the mask that it
was traced from say exactly the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]


def signed_area(ring: Ring) -> float:
    """Area of a ring (K, 2) in px^2 by the shoelace formula, positive where the ring turns from x towards y."""
    x, y = (ring - ring[:1]).T if len(ring) else (np.zeros(0), np.zeros(0))
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def has_area(ring: Ring) -> bool:
    """Whether the points (K, 2) do not all lie on one line; a figure of eight has area, too, though its sum is 0."""
    if len(ring) < 3:
        return False
    step = ring - ring[0]
    reach = step[np.argmax(np.sum(step**2, axis=1))]
    return bool(np.any(np.abs(step[:, 0] * reach[1] - step[:, 1] * reach[0]) > 1e-9))


def fill(rings: Sequence[Ring], height: int, width: int) -> NDArray[np.bool_]:
    """Mask (height, width), True where a pixel's centre has a winding number other than 0.

    Rings that turn the same way add up; a ring inside another that turns the other way is a hole.
    """
    turns = np.zeros((height, width + 1), np.int32)
    start = np.concatenate([np.zeros((0, 2)), *rings])
    end = np.concatenate([np.zeros((0, 2)), *(np.roll(ring, -1, axis=0) for ring in rings)])
    # An edge counts in the rows whose centres it passes, the upper end included and the lower not.
    first, last = (np.clip(np.ceil(y - 0.5), 0, height).astype(int) for y in (start[:, 1], end[:, 1]))
    top, count = np.minimum(first, last), np.abs(last - first)
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + top[edge]
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    x = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
    np.add.at(turns, (row, column), np.sign(last - first)[edge])
    return np.asarray(np.cumsum(turns, axis=1)[:, :width] != 0)


def trace(mask: NDArray[np.bool_]) -> tuple[Ring, ...]:
    """Rings (K, 2) along the pixel edges of a mask (H, W): outer ones of positive area, holes of negative area."""
    height, width = mask.shape
    inside = np.pad(mask, 1)
    ahead: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Each side of a pixel whose neighbour is outside, walked with the pixel on the same hand.
    sides = (((-1, 0), (0, 0), (1, 0)), ((0, 1), (1, 0), (1, 1)), ((1, 0), (1, 1), (0, 1)), ((0, -1), (0, 1), (0, 0)))
    for (down, right), (x0, y0), (x1, y1) in sides:
        beyond = inside[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        for row, column in np.argwhere(mask & ~beyond).tolist():
            ahead.setdefault((column + x0, row + y0), []).append((column + x1, row + y1))
    rings = []
    while ahead:
        point = first = next(iter(ahead))
        ring = []
        while True:
            ring.append(point)
            ends = ahead[point]
            following = ends.pop()
            if not ends:
                del ahead[point]
            point = following
            if point == first:
                break
        rings.append(_corners(np.array(ring, float)))
    return tuple(rings)


def _corners(ring: Ring) -> Ring:
    """The ring without the points at which it goes straight on."""
    step = np.roll(ring, -1, axis=0) - ring
    return ring[np.any(step != np.roll(step, 1, axis=0), axis=1)]


def cut(ring: Ring, height: int, width: int) -> Ring:
    """The part of a ring inside an image, (K, 2), K = 0 where nothing is inside (Sutherland and Hodgman, 1974)."""
    for axis, border, keep in ((0, 0.0, 1), (0, float(width), -1), (1, 0.0, 1), (1, float(height), -1)):
        depth = (ring[:, axis] - border) * keep
        points: list[Ring] = []
        for here, there, a, b in zip(ring, np.roll(ring, -1, axis=0), depth, np.roll(depth, -1), strict=True):
            if a >= 0:
                points.append(here)
            if (a < 0) != (b < 0):
                points.append(here + (there - here) * (a / (a - b)))
        ring = np.array(points, float).reshape(-1, 2)
    return np.clip(ring, 0, (width, height))  # rounding may leave a point just outside


def joined(rings: Sequence[Ring]) -> Ring:
    """All rings as one ring that fills the same pixels, for formats that know a single outline.

    From the first ring's first point the pen goes to each other ring and back the same way: both ways cancel.
    """
    parts = [rings[0]]
    for ring in rings[1:]:
        parts += [rings[0][:1], ring, ring[:1]]
    return np.concatenate(parts)
