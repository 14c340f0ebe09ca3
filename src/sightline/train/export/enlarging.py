"""Bilinear enlarging of a map in the recipe's graph, ONNX's words for `models.arrays.enlarge`; what heads add to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Grid = tuple[int, int]
Arrays = dict[str, NDArray[np.generic]]

ENLARGE_TEXT = """    {to} = Resize<mode="linear", coordinate_transformation_mode="half_pixel">({x}, , {to}_scale)
"""


def enlarging(grid: Grid, target: Grid) -> NDArray[np.float32]:
    """The constant `{to}_scale` of `ENLARGE_TEXT`: from a grid (h, w) to the target's."""
    # Enough more than the ratio that rounding down cannot lose a cell, too little to move any.
    return np.array([1, 1, target[0] / grid[0] * (1 + 1e-6), target[1] / grid[1] * (1 + 1e-6)], np.float32)


class Head(NamedTuple):
    """What a network on the backbone's maps adds to the graph: operators, outputs as ONNX declares them, and
    numbers.
    """

    text: str
    outputs: list[str]
    constants: Arrays
