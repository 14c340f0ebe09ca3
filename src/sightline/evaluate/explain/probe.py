"""A probe: the recipe's own graph with some of its inner values as further outputs.

No package for ONNX files is needed: by the encoding's rules the concatenation of two encoded messages is the two
merged, and repeated fields add up (Protocol Buffers, "Encoding", section "Last One Wins"). So outputs are added to a
model by appending a model that has nothing but them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.errors import RecipeError
from sightline.runtime.image import Image
from sightline.runtime.placement import Placement, place, prepare
from sightline.runtime.session import OnnxSession
from sightline.runtime.tiling import cut, lay_tiles, spread_out

MODEL_GRAPH, GRAPH_OUTPUT, VALUE_NAME, VALUE_TYPE = 7, 12, 1, 2  # field numbers of onnx.proto
FLOAT_TENSOR = b"\x0a\x02\x08\x01"  # TypeProto: a tensor of floats, its shape left to the engine


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
        _field(GRAPH_OUTPUT, _field(VALUE_NAME, name.encode()) + _field(VALUE_TYPE, FLOAT_TENSOR)) for name in names
    )
    return data + _field(MODEL_GRAPH, outputs)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def input_of(image: Image, card: Card, point: tuple[float, float]) -> tuple[Image, Placement]:
    """What the graph reads of an image (H, W, 3), and where that lies; of tiles the one whose middle is nearest to
    `point` (x, y) px.
    """
    size = (card.height, card.width)
    if card.tiles is None:
        where = place(image.shape[:2], size, card.roi, card.scale, card.stretch is not None)
        return prepare(image, where), where
    tiling = lay_tiles(image.shape[:2], size, card.tiles.overlap_px, card.roi, card.scale)
    places = [tiling.placement(index) for index in range(len(tiling))]
    middles = [(p.crop[0] + p.crop[2] / 2, p.crop[1] + p.crop[3] / 2) for p in places]
    nearest = int(np.argmin([(x - point[0]) ** 2 + (y - point[1]) ** 2 for x, y in middles]))
    return cut(spread_out(image, tiling), tiling, [nearest])[0], places[nearest]


def to_input(point: tuple[float, float], where: Placement) -> tuple[float, float]:
    """A point (x, y) px of the image -> px of the input."""
    x, y, w, h = where.crop
    left, top, wide, high = where.inner
    return left + (point[0] - x) * wide / w, top + (point[1] - y) * high / h
