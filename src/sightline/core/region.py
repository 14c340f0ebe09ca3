"""A region: where on an image a defect is, and of what type it is; and the outlines that it is made of.

A pixel in column c and row r covers [c, c + 1) x [r, r + 1): an outline along pixel edges and the mask that it was
traced from say exactly the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError

Box: TypeAlias = tuple[float, float, float, float]
Ring = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """An upright box: upper left corner and size, px."""

    x: float
    y: float
    width: float
    height: float

    @property
    def box(self) -> Box:
        """(x, y, width, height) in px."""
        return self.x, self.y, self.width, self.height

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The four corners, (4, 2)."""
        left, top, right, bottom = self.x, self.y, self.x + self.width, self.y + self.height
        return (np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float),)

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Pixels (height, width) whose centres are in the box."""
        return fill(self.rings, height, width)

    def cut(self, height: int, width: int) -> Rectangle | None:
        """The part inside an image, None where there is none."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right, bottom = min(self.x + self.width, width), min(self.y + self.height, height)
        return Rectangle(left, top, right - left, bottom - top) if left < right and top < bottom else None


@dataclass(frozen=True, slots=True, eq=False)
class Polygons:
    """Rings of points (K, 2), px. Rings that turn one way add up, an inner ring that turns the other way is a hole."""

    rings: tuple[Ring, ...]

    @classmethod
    def united(cls, rings: Sequence[Ring]) -> Polygons:
        """Rings that all add area, whichever way each was drawn."""
        arrays = [np.asarray(ring, float).reshape(-1, 2) for ring in rings]
        return cls(tuple(ring if signed_area(ring) >= 0 else ring[::-1] for ring in arrays))

    @property
    def box(self) -> Box:
        """(x, y, width, height) in px around all points."""
        points = np.concatenate([np.zeros((0, 2)), *self.rings])
        if not len(points):
            return 0.0, 0.0, 0.0, 0.0
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left, top, right - left, bottom - top

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Pixels (height, width) whose centres are inside."""
        return fill(self.rings, height, width)

    def cut(self, height: int, width: int) -> Polygons | None:
        """The part inside an image, None where it has no area."""
        left, top, wide, high = self.box
        inside = left >= 0 and top >= 0 and left + wide <= width and top + high <= height
        parts = self.rings if inside else tuple(cut(ring, height, width) for ring in self.rings)
        rings = tuple(part for part in parts if has_area(part))
        return Polygons(rings) if rings else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Polygons):
            return NotImplemented
        return len(self.rings) == len(other.rings) and all(map(np.array_equal, self.rings, other.rings))

    def __hash__(self) -> int:
        return hash(tuple(ring.tobytes() for ring in self.rings))


@dataclass(frozen=True, slots=True)
class Runs:
    """A mask (height, width) as lengths of runs down the columns, pixels outside first (the order of COCO).

    Raises InputError where the runs do not add up to height x width.
    """

    height: int
    width: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if (
            not (self.height > 0 and self.width > 0 and self.height * self.width < 2**31)
            or min(self.counts, default=-1) < 0
        ):
            raise InputError(f"run lengths for {self.width} x {self.height} px are not valid. Export the mask again")
        if sum(self.counts) != self.height * self.width:
            raise InputError(
                f"the run lengths cover {sum(self.counts)} px, but the mask has {self.width} x {self.height} px. "
                "Export the mask again"
            )

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Runs:
        """The runs of a mask (H, W)."""
        flat = np.concatenate([[False], np.asarray(mask, bool).ravel(order="F")])
        changes = np.flatnonzero(flat[1:] != flat[:-1])
        edges = np.concatenate([[0], changes, [mask.size]])
        return cls(mask.shape[0], mask.shape[1], tuple(np.diff(edges).tolist()))

    @classmethod
    def placed(cls, part: NDArray[np.bool_], left: int, top: int, height: int, width: int) -> Runs:
        """The runs of a mask (height, width) that is `part` (h, w) at a place inside and empty elsewhere.

        Only the part is drawn: a file may state any size. Raises InputError where the part reaches outside.
        """
        high, wide = part.shape
        if min(left, top) < 0 or left + wide > width or top + high > height:
            raise InputError(
                f"a mask of {wide} x {high} px at {left}, {top} reaches outside the image of {width} x {height} px. "
                "Check the image's size, or draw the mask again"
            )
        change = np.diff(np.pad(np.asarray(part, bool).T, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        first, last = ((left + c) * height + top + r for c, r in (np.nonzero(change == 1), np.nonzero(change == -1)))
        joined_on = np.zeros(len(first), bool)  # a run that goes on at the top of the next column
        joined_on[1:] = first[1:] == last[:-1]
        ends = np.stack([first[~joined_on], last[~np.roll(joined_on, -1)]], axis=1).ravel()
        counts = np.diff([0, *ends.tolist(), height * width]).tolist()
        return cls(height, width, tuple(counts[:-1] if counts[-1] == 0 and len(counts) > 1 else counts))

    @property
    def box(self) -> Box:
        """(x, y, width, height) in px, all 0 for an empty mask; found without drawing the mask."""
        ends = np.cumsum(np.array(self.counts, np.int64))[1::2]
        lengths = np.array(self.counts[1::2], np.int64)
        ends, lengths = ends[lengths > 0], lengths[lengths > 0]
        if not len(lengths):
            return 0.0, 0.0, 0.0, 0.0
        first, last = ends - lengths, ends - 1
        left, right = int(first[0]) // self.height, int(last[-1]) // self.height
        over = first // self.height != last // self.height  # such a run touches the lower and the upper border
        top = int(np.where(over, 0, first % self.height).min())
        bottom = int(np.where(over, self.height - 1, last % self.height).max())
        return float(left), float(top), float(right - left + 1), float(bottom - top + 1)

    @property
    def rings(self) -> tuple[Ring, ...]:
        """Outlines along the pixel edges; holes turn the other way."""
        return trace(self.mask(self.height, self.width))

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """The mask (height, width). Raises InputError where it was made for another size."""
        if (height, width) != (self.height, self.width):
            raise InputError(
                f"a mask of {self.width} x {self.height} px does not fit an image of {width} x {height} px. "
                "Export the masks at the image's size"
            )
        values = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(values, self.counts).reshape((height, width), order="F")

    def cut(self, height: int, width: int) -> Runs | None:
        """Itself, None where no pixel is set. Raises InputError where it was made for another size."""
        if (height, width) != (self.height, self.width):
            self.mask(height, width)
        return self if any(self.counts[1::2]) else None


Shape: TypeAlias = Rectangle | Polygons | Runs


@dataclass(frozen=True, slots=True)
class Region:
    """One place on an image and its defect type; the shape is a box, rings of points, or a mask in runs."""

    type: str
    shape: Shape

    @property
    def box(self) -> Box:
        """The smallest upright box around it: (x, y, width, height) in px."""
        return self.shape.box

    @property
    def outline(self) -> Ring:
        """Its border as one ring (K, 2), px, holes and separate parts included."""
        return joined(self.shape.rings)

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Its pixels on an image: (height, width) bool. Raises InputError for run lengths of another size."""
        return self.shape.mask(height, width)

    def cut(self, height: int, width: int) -> Region | None:
        """The part that is inside an image, None where there is none."""
        shape = self.shape.cut(height, width)
        return None if shape is None else Region(self.type, shape)


def union(regions: Iterable[Region], height: int, width: int) -> NDArray[np.bool_]:
    """All pixels that any of the regions marks: (height, width) bool. Raises InputError as `Region.mask` does."""
    whole = np.zeros((height, width), bool)
    for region in regions:
        whole |= region.mask(height, width)
    return whole


def overlap(first: Iterable[Region], second: Iterable[Region], height: int, width: int) -> float:
    """Intersection over union of two sets of marks on an image (height, width) px; 1 where neither marks any."""
    one, other = union(first, height, width), union(second, height, width)
    either = int((one | other).sum())
    return float((one & other).sum() / either) if either else 1.0


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
