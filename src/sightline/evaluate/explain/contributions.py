"""What each cell of a part contributes to its grade: exact, because the grade's head is linear on pooled features.

The head's quality is q = b + sum over channels of w * mean + v * spread, over the cells of each of the trunk's maps. A
mean is the sum of its cells' values / P, P cells. A spread is variance / spread, so it is the sum of its cells'
(value - mean)^2 / (P * spread). Both are sums over cells with nothing left over: q = sum of the map, once b is shared
out evenly. Class activation maps (B. Zhou et al., "Learning deep features for discriminative localization", CVPR 2016)
are the first of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

EPS = 1e-5  # the least variance, as in the head


def quality_map(outputs: Mapping[str, NDArray[Any]], maps: Sequence[str]) -> NDArray[np.float32] | None:
    """Contributions (h, w) float32 on the first map's grid, which sum to the quality; None where the graph lacks one.

    `outputs` hold the trunk's `maps` (1, C, h, w), and `known_quality_weights` (2 * sum of C, 1) and
    `known_quality_bias` (1,), in the order mean, spread of each map.
    """
    if not maps or not {*maps, "known_quality_weights", "known_quality_bias"} <= outputs.keys():
        return None
    weights = outputs["known_quality_weights"][:, 0].astype(np.float64)
    grid = outputs[maps[0]].shape[2:]
    total = np.full(grid, float(outputs["known_quality_bias"].sum()) / (grid[0] * grid[1]))
    start = 0
    for name in maps:
        values = outputs[name][0].astype(np.float64)
        count, cells = len(values), values.shape[1] * values.shape[2]
        for_mean, for_spread = weights[start : start + count], weights[start + count : start + 2 * count]
        start += 2 * count
        mean = values.mean((1, 2), keepdims=True)
        variance = ((values - mean) ** 2).mean((1, 2))
        spread = np.sqrt(np.maximum(variance, EPS))
        own = np.tensordot(for_mean, values, 1) + np.tensordot(for_spread / spread, (values - mean) ** 2, 1)
        # A channel that hardly varies counts with the least spread, which no cell of it makes: shared out, too.
        rest = float((for_spread * (spread - variance / spread)).sum())
        total += _enlarged(own / cells, grid) + rest / total.size
    return total.astype(np.float32)


def _enlarged(values: NDArray[np.float64], grid: tuple[int, ...]) -> NDArray[np.float64]:
    """The same sum, spread out over a finer grid."""
    if values.shape == grid:
        return values
    resized = cv2.resize(values, (grid[1], grid[0]), interpolation=cv2.INTER_LINEAR)
    large = np.asarray(resized, np.float64) * (values.size / (grid[0] * grid[1]))
    return np.asarray(large + (values.sum() - large.sum()) / large.size)
