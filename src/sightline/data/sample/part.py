"""A sample part: the picture of one product, and the whole truth about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """One rendered part."""

    image: NDArray[np.uint8]
    """(size, size, 3) RGB."""
    mask: NDArray[np.bool_]
    """(size, size), True where a defect changed the part; all False on a good one."""
    types: tuple[str, ...]
    """Its defects; empty on a good part."""
    grade: int
    """0 good, 1 minor, 2 major, 3 critical, from the size and contrast of the defect."""
    lot: str
    index: int
    """Its place in the run: 0, 1, ..."""
