"""Large images: cut into overlapping tiles of the graph's size, and the tiles' heat merged without seams.

One implementation for the lab and the line. Memory: the image, at most one scaled copy of it (never larger than the
image), a bounded number of tiles in the engine, and a heat grid of bounded size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.imaging.image import Image
from sightline.runtime.letterbox import HEAT_STRIDE_PX, STRETCH_TOLERANCE, Letterbox, crop_of, over_image, prepare

MAX_HEAT_CELLS = 2**20  # of the grid over the whole image: 4 MiB
MAX_AT_ONCE = 4  # tiles in one call of the engine; more are no faster on a CPU
MATRIX_BYTES = 2**27  # of patches x bank entries in one call, the largest array of an inspection
MARGIN = (
    0.25  # of the overlap: this near to a tile's edge the backbone sees padding, so a neighbour's heat counts there
)
FAINT = 1e-6  # weight within the margin: it counts only where there is no neighbour, at the image's edge


@dataclass(frozen=True, slots=True)
class Tiling:
    """Where the tiles of an image lie.

    `whole` places the image's region of interest on a canvas (its `input_size`) that the tiles cover exactly; `tile`
    is the (height, width) px of each; a tile begins at every one of `tops` and `lefts`, px of the canvas. Tiles are
    numbered row by row.
    """

    whole: Letterbox
    tile: tuple[int, int]
    overlap: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def corner(self, index: int) -> tuple[int, int]:
        """Top and left px of a tile on the canvas."""
        row, column = divmod(index, len(self.lefts))
        return self.tops[row], self.lefts[column]

    def letterbox(self, index: int) -> Letterbox:
        """Where the image lies inside one tile; `crop` is that tile's piece of the image, rounded to px."""
        top, left = self.corner(index)
        x, y, w, h = self.whole.crop
        inner_x, inner_y, inner_w, inner_h = self.whole.inner
        x0, x1 = max(left, inner_x), min(left + self.tile[1], inner_x + inner_w)
        y0, y1 = max(top, inner_y), min(top + self.tile[0], inner_y + inner_h)
        scale_x, scale_y = w / inner_w, h / inner_h
        crop_x, crop_y = x + int((x0 - inner_x) * scale_x), y + int((y0 - inner_y) * scale_y)
        crop = (crop_x, crop_y, max(1, round((x1 - x0) * scale_x)), max(1, round((y1 - y0) * scale_y)))
        return Letterbox(self.whole.image_size, crop, (x0 - left, y0 - top, x1 - x0, y1 - y0), self.tile)


def lay_tiles(
    image_size: tuple[int, int],
    tile: tuple[int, int],
    overlap: int,
    roi: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    scale: float = 1.0,
) -> Tiling:
    """Tiles (height, width) over an image (H, W) at `scale` tile px per image px, evenly spread.

    Neighbours share at least `overlap` px, and every tile is full of image, except where the scaled region of
    interest is smaller than a tile: it is centred and gets a border there (or is stretched, where a tenth is all
    that is missing).
    """
    x, y, w, h = crop_of(image_size, roi)
    inner_w, inner_h = _side(w * scale, tile[1]), _side(h * scale, tile[0])
    wide, high = max(inner_w, tile[1]), max(inner_h, tile[0])
    inner = ((wide - inner_w) // 2, (high - inner_h) // 2, inner_w, inner_h)
    whole = Letterbox(image_size, (x, y, w, h), inner, (high, wide))
    return Tiling(whole, tile, overlap, _starts(high, tile[0], overlap), _starts(wide, tile[1], overlap))


def _side(length: float, tile: int) -> int:
    side = max(1, round(length))
    return tile if (1 - STRETCH_TOLERANCE) * tile <= side < tile else side


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    count = max(1, math.ceil((length - overlap) / (tile - overlap)))
    return tuple(index * (length - tile) // max(1, count - 1) for index in range(count))


def onto_canvas(image: Image, tiling: Tiling) -> Image:
    """The canvas (height, width, 3) uint8 that tiles are cut from; a view of the image where nothing changes."""
    x, y, w, h = tiling.whole.crop
    if tiling.whole.inner == (0, 0, w, h) and tiling.whole.input_size == (h, w):
        return image[y : y + h, x : x + w]
    return prepare(image, tiling.whole)


def cut(canvas: Image, tiling: Tiling, indices: Sequence[int]) -> Image:
    """Tiles (K, height, width, 3) uint8 of a canvas, by their numbers."""
    height, width = tiling.tile
    corners = [tiling.corner(index) for index in indices]
    return np.stack([canvas[top : top + height, left : left + width] for top, left in corners])


class HeatMerger:
    """Heat grids (h, w) of tiles -> one heat grid over the whole image.

    Every tile counts with a weight that falls linearly over the overlap, and the weights of all tiles sum to 1
    everywhere, so where tiles agree there is no seam. Tiles lie on a rectangular grid: their weights are products of
    one for the row and one for the column, and resampling and weighing are two small matrix products.
    """

    def __init__(self, tiling: Tiling, cells: tuple[int, int], stride: float = HEAT_STRIDE_PX) -> None:
        self._tiling = tiling
        left, top, inner_w, inner_h = tiling.whole.inner
        (high, wide), (_, _, w, h) = tiling.whole.image_size, tiling.whole.crop
        # The bound is on the grid over the whole image, of which the region of interest may be a small part.
        stride = max(stride, math.sqrt(high * wide * (inner_h / h) * (inner_w / w) / MAX_HEAT_CELLS))
        size = max(1, int(inner_h / stride)), max(1, int(inner_w / stride))
        height, width = tiling.tile
        self._rows = _resampling(tiling.tops, (height, cells[0]), (top, inner_h, size[0]), tiling.overlap)
        self._columns = _resampling(tiling.lefts, (width, cells[1]), (left, inner_w, size[1]), tiling.overlap)
        self._heat = np.zeros(size, np.float32)

    def add(self, index: int, heat: NDArray[np.float32]) -> None:
        """Add the heat (h, w) of one tile; each exactly once."""
        row, column = divmod(index, len(self._tiling.lefts))
        (rows, by_row), (columns, by_column) = self._rows[row], self._columns[column]
        with np.errstate(invalid="ignore", over="ignore"):  # heat that is not a number spreads over its tile
            self._heat[rows, columns] += by_row @ heat @ by_column.T

    def merged(self) -> NDArray[np.float32]:
        """Heat grid over the whole image, at most `MAX_HEAT_CELLS` cells; 0 outside the region of interest."""
        return over_image(self._heat, self._tiling.whole)


def _resampling(
    starts: tuple[int, ...], tile: tuple[int, int], inner: tuple[int, int, int], overlap: int
) -> list[tuple[slice, NDArray[np.float32]]]:
    """For each tile along one axis, the output cells that it reaches and the matrix (cells out, cells in) to them.

    `tile` is its length in px and in cells; `inner` the first px, the length in px and the output cells of the image
    on the canvas. Bilinear between the centres of cells, times the tile's weight.
    """
    (length, cells), (first, span, count) = tile, inner
    centres = first + (np.arange(count) + 0.5) * span / count
    inside = [(centres >= start) & (centres <= start + length) for start in starts]
    margin, ramp = MARGIN * overlap, max(1.0, (1 - 2 * MARGIN) * overlap)
    weights = np.zeros((len(starts), count))
    for weight, start, reached in zip(weights, starts, inside, strict=True):
        edge = np.minimum(centres - start, start + length - centres)
        weight[reached] = np.clip((edge[reached] - margin) / ramp, FAINT, 1.0)
    weights /= weights.sum(axis=0)
    found = []
    for weight, start, reached in zip(weights, starts, inside, strict=True):
        position = np.clip((centres[reached] - start) * cells / length - 0.5, 0, cells - 1)
        matrix = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(cells))) * weight[reached][:, None]
        begin = int(np.argmax(reached))
        found.append((slice(begin, begin + len(matrix)), matrix.astype(np.float32)))
    return found


@dataclass(frozen=True, slots=True)
class Reading:
    """What a graph says about one image: score, p-value, heat grid over the whole image, embedding (e,), and how far
    the whole image lies from the good parts (1 is the limit).
    """

    score: float
    p_value: float
    heat: NDArray[np.float32]
    embedding: NDArray[np.float32]
    distance: float


def at_once(tile: tuple[int, int], bank: int) -> int:
    """How many tiles go through the engine together, so that its memory stays bounded."""
    matrix = (tile[0] // 8) * (tile[1] // 8) * bank * 4
    return max(1, min(MAX_AT_ONCE, MATRIX_BYTES // matrix))


def read_tiles(
    run: Callable[[Image], dict[str, NDArray[Any]]], canvas: Image, tiling: Tiling, together: int
) -> Reading:
    """Score a canvas tile by tile; `run` takes images (N, height, width, 3) and gives the graph's outputs.

    The image's score is its highest tile's: a defect need not be seen by more than one. Its p-value is the lowest of
    the tiles'. That is still a conformal p-value: the calibration scores in the graph are themselves the highest
    tile's of each held-out good part, so the part and the held-out parts are treated alike and stay exchangeable;
    and a p-value falls as the score rises, so the lowest belongs to the highest score. No correction for the number
    of tiles is due. (It does presume images with about as many tiles as those of the calibration.)

    A tile whose score is not a number makes the image's score no number: a part that was not wholly seen is never OK.
    The embedding is the mean of the tiles', and so is the deviation from good parts, whose length is the distance.
    """
    scores: list[NDArray[np.float32]] = []
    p_values: list[NDArray[np.float32]] = []
    total, deviation, merger = np.zeros((), np.float64), np.zeros((), np.float64), None
    for begin in range(0, len(tiling), together):
        indices = range(begin, min(begin + together, len(tiling)))
        outputs = run(cut(canvas, tiling, indices))
        scores.append(outputs["score"])
        p_values.append(outputs["p_value"])
        total = total + outputs["embedding"].sum(axis=0, dtype=np.float64)
        deviation = deviation + outputs["ood"].sum(axis=0, dtype=np.float64)
        merger = merger or HeatMerger(tiling, outputs["heatmap"].shape[1:])
        for index, heat in zip(indices, outputs["heatmap"], strict=True):
            merger.add(index, heat)
    assert merger is not None  # there is always a tile
    embedding = (total / len(tiling)).astype(np.float32)
    distance = float(np.linalg.norm(deviation / len(tiling)))
    return Reading(worst(scores), float(np.min(np.concatenate(p_values))), merger.merged(), embedding, distance)


def worst(scores: Sequence[NDArray[np.float32]]) -> float:
    """The highest of the tiles' scores; NaN if any of them is not finite, of which -inf would hide in a maximum."""
    every = np.concatenate(scores)
    return float(np.max(every)) if np.isfinite(every).all() else math.nan
