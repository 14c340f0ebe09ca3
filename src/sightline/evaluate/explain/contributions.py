"""What each cell of a part contributes to its grade, with nothing left over.

A head that goes by likeness to known parts is made linear for the part at hand: its slopes are averaged over the
straight way from the mean part to this one (integrated gradients, Sundararajan, Taly and Yan, ICML 2017), so that
they add up to the quality. A linear head is taken as it is. Either way the quality is q = b + sum over channels of w
* mean + v * spread, over the cells of each of the trunk's maps. A mean is the sum of its cells' values / P, P cells.
A spread is variance / spread, so it is the sum of its cells' (value - mean)^2 / (P * spread). Both are sums over
cells with nothing left over: q = sum of the map, once b is shared out evenly. Class activation maps (B. Zhou et al.,
"Learning deep features for discriminative localization", CVPR 2016) are the first of the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

EPS = 1e-5  # the least variance, as in the head
POINTS = 64  # of the way that slopes are averaged over
LINEAR = ("known_quality_weights", "known_quality_bias")
LIKENESS = (
    "known_scaled",
    "known_centres",
    "known_likeness_weights",
    "known_narrowness",
    "known_pooled_mean",
    "known_pooled_spread",
)


def quality_map(outputs: Mapping[str, NDArray[Any]], maps: Sequence[str]) -> NDArray[np.float32] | None:
    """Contributions (h, w) float32 on the first map's grid, which sum to the quality; None where the graph lacks one.

    `outputs` hold the trunk's `maps` (1, C, h, w), and the values that `LINEAR` or `LIKENESS` name; a head's weights
    are in the order mean, spread of each map.
    """
    head = _head(outputs) if maps and set(maps) <= outputs.keys() else None
    if head is None:
        return None
    weights, bias = head
    grid = outputs[maps[0]].shape[2:]
    total = np.full(grid, bias / (grid[0] * grid[1]))
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


def _head(outputs: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float64], float] | None:
    """Weights (2 * sum of C,) and bias of the linear head, or of the likeness made linear for this part."""
    if outputs.keys() >= set(LINEAR):
        return outputs[LINEAR[0]][:, 0].astype(np.float64), float(outputs[LINEAR[1]].sum())
    if not outputs.keys() >= set(LIKENESS):
        return None
    scaled, centres, column, doubled, mean, spread = (outputs[name].astype(np.float64) for name in LIKENESS)
    part, weights, narrowness = scaled[0], column[:, 0], float(doubled.reshape(())) / 2
    along = (np.arange(POINTS) + 0.5) / POINTS  # of the way from the mean part, where standardised features are 0
    squared = np.outer(along**2, np.full(len(centres), part @ part)) - 2 * np.outer(along, centres @ part)
    alike = weights * np.exp(-narrowness * (squared + (centres**2).sum(1)))
    slopes = 2 * narrowness * (alike.mean(0) @ centres - (along @ alike.sum(1) / POINTS) * part)
    quality = float(weights @ np.exp(-narrowness * ((centres - part) ** 2).sum(1)))
    return slopes / spread, quality - float(slopes @ part) - float(slopes / spread @ mean)


def _enlarged(values: NDArray[np.float64], grid: tuple[int, ...]) -> NDArray[np.float64]:
    """The same sum, spread out over a finer grid."""
    if values.shape == grid:
        return values
    resized = cv2.resize(values, (grid[1], grid[0]), interpolation=cv2.INTER_LINEAR)
    large = np.asarray(resized, np.float64) * (values.size / (grid[0] * grid[1]))
    return np.asarray(large + (values.sum() - large.sum()) / large.size)
