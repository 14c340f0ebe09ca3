"""A region: where on an image a defect is, and of what type it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.outline import Ring, cut, fill, has_area, joined, signed_area, trace

Box: TypeAlias = tuple[float, float, float, float]


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
