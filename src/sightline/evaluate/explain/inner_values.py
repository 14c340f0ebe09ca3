"""Inner values of a recipe's own graph: the memory's nearest good patches, and what each cell contributes to the grade.

No package for ONNX files is needed to read them: by the encoding's rules the concatenation of two encoded messages is
the two merged, and repeated fields add up (Protocol Buffers, "Encoding", section "Last One Wins"). So outputs are added
to a model by appending a model that has nothing but them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.card import ACROSS, CROP_PX, VIEW_PX, Card, MemoryCrops
from sightline.core.errors import InputError, RecipeError
from sightline.imaging.decoding import decode
from sightline.imaging.image import Image
from sightline.runtime.drawing import view_of
from sightline.runtime.letterbox import Letterbox, fit_letterbox, prepare
from sightline.runtime.recipe import protobuf_field
from sightline.runtime.session import OnnxSession
from sightline.runtime.tiling import cut, lay_tiles, onto_canvas

MODEL_GRAPH, GRAPH_OUTPUT, VALUE_NAME, VALUE_TYPE = 7, 12, 1, 2  # field numbers of onnx.proto
FLOAT_TENSOR = b"\x0a\x02\x08\x01"  # TypeProto: a tensor of floats, its shape left to the engine
SHOWN_PX = 192  # side of a patch's picture
EPS = 1e-5  # the least variance, as in the head of grades
POINTS = 64  # of the way that slopes are averaged over
LINEAR = ("known_quality_weights", "known_quality_bias")
KERNEL_ORDINAL = (
    "known_scaled",
    "known_centres",
    "known_likeness_weights",
    "known_narrowness",
    "known_pooled_mean",
    "known_pooled_spread",
)


class Probe:
    """Runs a recipe's graph and gives, besides its outputs, those of the groups of inner values that it has."""

    def __init__(self, data: bytes, groups: Sequence[Sequence[str]], threads: int = 2) -> None:
        names: list[str] = []
        self._session = OnnxSession(data, threads)
        for group in groups:
            try:
                self._session = OnnxSession(with_outputs(data, [*names, *group]), threads)
                names += group
            except RecipeError:  # a recipe of another kind, or an older one, has no such values
                continue

    def run(self, image: Image) -> dict[str, NDArray[Any]]:
        """Outputs by name for one input image (height, width, 3) uint8."""
        return self._session.run({"image": image[None]})


def with_outputs(data: bytes, names: Sequence[str]) -> bytes:
    """A model's bytes with float values of its graph as further outputs."""
    outputs = b"".join(
        protobuf_field(
            GRAPH_OUTPUT, protobuf_field(VALUE_NAME, name.encode()) + protobuf_field(VALUE_TYPE, FLOAT_TENSOR)
        )
        for name in names
    )
    return data + protobuf_field(MODEL_GRAPH, outputs)


def input_of(image: Image, card: Card, point: tuple[float, float]) -> tuple[Image, Letterbox]:
    """What the graph reads of an image (H, W, 3), and where that lies; of tiles the one centred nearest to `point`."""
    size = (card.height, card.width)
    if card.tiles is None:
        where = fit_letterbox(image.shape[:2], size, card.roi, card.scale, card.stretch is not None)
        return prepare(image, where), where
    tiling = lay_tiles(image.shape[:2], size, card.tiles.overlap_px, card.roi, card.scale)
    boxes = [tiling.letterbox(index) for index in range(len(tiling))]
    middles = [(box.crop[0] + box.crop[2] / 2, box.crop[1] + box.crop[3] / 2) for box in boxes]
    nearest = int(np.argmin([(x - point[0]) ** 2 + (y - point[1]) ** 2 for x, y in middles]))
    return cut(onto_canvas(image, tiling), tiling, [nearest])[0], boxes[nearest]


def to_input(point: tuple[float, float], where: Letterbox) -> tuple[float, float]:
    """A point (x, y) px of the image -> px of the input."""
    x, y, w, h = where.crop
    left, top, wide, high = where.inner
    return left + (point[0] - x) * wide / w, top + (point[1] - y) * high / h


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of the part and the good patch nearest to it.

    `centre` (x, y) px of the image; `view` its picture; `distance` to the nearest entry of the memory; `typical` the
    median distance of this part's own patches. `good` is a picture of the nearest entry that has one, at
    `good_distance`, from the training image `source` at `place` (x, y as shares of it); None where the recipe keeps
    no pictures.
    """

    centre: tuple[float, float]
    view: Image = field(repr=False)
    distance: float
    typical: float
    good: Image | None = field(default=None, repr=False)
    good_distance: float | None = None
    source: str = ""
    place: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The patch as plain JSON values, without its pictures."""
        return {
            "centre": [round(value, 1) for value in self.centre],
            "distance": round(self.distance, 4),
            "typical": round(self.typical, 4),
            "good_distance": None if self.good_distance is None else round(self.good_distance, 4),
            "source": self.source,
            "place": None if self.place is None else list(self.place),
        }


class Memory:
    """The good patches of a recipe, as a probe of its graph gives them for one input image."""

    def __init__(self, outputs: Mapping[str, NDArray[Any]], level: str, memory_crops: MemoryCrops | None) -> None:
        self._keys, self._entries = outputs[f"{level}_keys"], outputs[f"{level}_entries"]
        self._grid = outputs[f"{level}_map"].shape[-2:]
        self._typical = float(np.median(outputs[f"{level}_map"]))
        self._memory_crops = memory_crops
        self._pictures = None if memory_crops is None else pictures(memory_crops)

    def patch(self, image: Image, at: tuple[float, float], centre: tuple[float, float]) -> Patch:
        """The patch at `at` (x, y) px of the input `image`, which is `centre` of the part's image."""
        rows, columns = self._grid
        row = int(np.clip(at[1] * rows / image.shape[0], 0, rows - 1))
        column = int(np.clip(at[0] * columns / image.shape[1], 0, columns - 1))
        distances = self._distances(row * columns + column)
        middle = ((column + 0.5) * image.shape[1] / columns, (row + 0.5) * image.shape[0] / rows)
        found = Patch(centre, view_of(image, middle, VIEW_PX, SHOWN_PX), float(distances.min()), self._typical)
        if self._memory_crops is None or self._pictures is None:
            return found
        entries = np.array([entry for entry in self._memory_crops.entries if entry < len(distances)], np.int64)
        if not len(entries):
            return found
        best = int(np.argmin(distances[entries]))
        picture = cv2.resize(self._pictures[best], (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_CUBIC)
        crops = self._memory_crops
        return Patch(
            centre, found.view, found.distance, self._typical, np.asarray(picture, np.uint8),
            float(distances[entries[best]]), crops.sources[crops.source[best]], crops.centres[best],
        )  # fmt: skip

    def _distances(self, cell: int) -> NDArray[np.float64]:
        """Of one cell to all entries (M,); a key ends in 1 and an entry in minus half its squared length."""
        key, entries = self._keys[cell].astype(np.float64), self._entries.astype(np.float64)
        squared = (key[:-1] ** 2).sum() - 2 * entries @ key
        return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def pictures(memory_crops: MemoryCrops) -> Sequence[Image]:
    """The crops (CROP_PX, CROP_PX, 3) uint8 RGB, in the order of their entries."""
    try:
        sheet, _ = decode(base64.b64decode(memory_crops.jpeg), "its pictures")
    except (ValueError, InputError) as error:
        raise RecipeError("the recipe's pictures of good patches are damaged. Train or copy it again") from error
    corners = [divmod(number, ACROSS) for number in range(len(memory_crops.entries))]
    return [sheet[r * CROP_PX : (r + 1) * CROP_PX, c * CROP_PX : (c + 1) * CROP_PX] for r, c in corners]


def quality_map(outputs: Mapping[str, NDArray[Any]], maps: Sequence[str]) -> NDArray[np.float32] | None:
    """Contributions (h, w) float32 on the first map's grid, which sum to the quality; None where the graph lacks one.

    The quality is q = b + sum over channels of w * mean + v * deviation, over the P cells of each of the backbone's
    maps. A mean is the sum of its cells' values / P, a deviation that of (value - mean)^2 / (P * deviation): both are
    sums over cells, so the map adds up to q once b is shared out evenly. Class activation maps (B. Zhou et al.,
    "Learning deep features for discriminative localization", CVPR 2016) are the first of the two. A head that goes by
    kernel is made linear for the part at hand first, see `_head`.

    `outputs` hold the backbone's `maps` (1, C, h, w), and the values that `LINEAR` or `KERNEL_ORDINAL` name; a head's
    weights are in the order mean, deviation of each map.
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
        for_mean, for_deviation = weights[start : start + count], weights[start + count : start + 2 * count]
        start += 2 * count
        mean = values.mean((1, 2), keepdims=True)
        variance = ((values - mean) ** 2).mean((1, 2))
        deviation = np.sqrt(np.maximum(variance, EPS))
        own = np.tensordot(for_mean, values, 1) + np.tensordot(for_deviation / deviation, (values - mean) ** 2, 1)
        # A channel that hardly varies counts with the least deviation, which no cell of it makes: shared out, too.
        rest = float((for_deviation * (deviation - variance / deviation)).sum())
        total += _enlarged(own / cells, grid) + rest / total.size
    return total.astype(np.float32)


def _head(outputs: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float64], float] | None:
    """Weights (2 * sum of C,) and bias of the linear head, or of the kernel made linear for this part.

    Its slopes are averaged over the straight way from the mean part to this one (integrated gradients, Sundararajan,
    Taly and Yan, ICML 2017), so that they add up to the quality.
    """
    if outputs.keys() >= set(LINEAR):
        return outputs[LINEAR[0]][:, 0].astype(np.float64), float(outputs[LINEAR[1]].sum())
    if not outputs.keys() >= set(KERNEL_ORDINAL):
        return None
    scaled, centres, column, doubled, mean, deviation = (outputs[name].astype(np.float64) for name in KERNEL_ORDINAL)
    part, weights, narrowness = scaled[0], column[:, 0], float(doubled.reshape(())) / 2
    along = (np.arange(POINTS) + 0.5) / POINTS  # of the way from the mean part, where standardised features are 0
    squared = np.outer(along**2, np.full(len(centres), part @ part)) - 2 * np.outer(along, centres @ part)
    alike = weights * np.exp(-narrowness * (squared + (centres**2).sum(1)))
    slopes = 2 * narrowness * (alike.mean(0) @ centres - (along @ alike.sum(1) / POINTS) * part)
    quality = float(weights @ np.exp(-narrowness * ((centres - part) ** 2).sum(1)))
    return slopes / deviation, quality - float(slopes @ part) - float(slopes / deviation @ mean)


def _enlarged(values: NDArray[np.float64], grid: tuple[int, ...]) -> NDArray[np.float64]:
    """The same sum, spread out over a finer grid."""
    if values.shape == grid:
        return values
    resized = cv2.resize(values, (grid[1], grid[0]), interpolation=cv2.INTER_LINEAR)
    large = np.asarray(resized, np.float64) * (values.size / (grid[0] * grid[1]))
    return np.asarray(large + (values.sum() - large.sum()) / large.size)
