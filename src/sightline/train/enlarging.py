"""Bilinear enlarging of a map in the recipe's graph: ONNX's words for `models.memory.enlarge`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Grid = tuple[int, int]

ENLARGE_TEXT = """    {to} = Resize<mode="linear", coordinate_transformation_mode="half_pixel">({x}, , {to}_scale)
"""


def enlarging(grid: Grid, target: Grid) -> NDArray[np.float32]:
    """The constant `{to}_scale` of `ENLARGE_TEXT`: from a grid (h, w) to the target's."""
    # Enough more than the ratio that rounding down cannot lose a cell, too little to move any.
    return np.array([1, 1, target[0] / grid[0] * (1 + 1e-6), target[1] / grid[1] * (1 + 1e-6)], np.float32)
