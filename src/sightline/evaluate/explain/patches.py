"""Suspicious patches beside the nearest good patch that the memory holds."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import RecipeError
from sightline.core.evidence import ACROSS, CROP_PX, VIEW_PX, Atlas
from sightline.runtime.image import Image
from sightline.runtime.view import view_of

SHOWN_PX = 192  # side of a patch's picture


@dataclass(frozen=True, slots=True)
class Patch:
    """One place of the part and the good patch nearest to it.

    `centre` (x, y) px of the image; `view` its picture; `distance` to the nearest entry of the memory; `usual` the
    median distance of this part's own patches. `good` is a picture of the nearest entry that has one, at
    `good_distance`, from the training image `source` at `place` (x, y as shares of it); None where the recipe keeps
    no pictures.
    """

    centre: tuple[float, float]
    view: Image = field(repr=False)
    distance: float
    usual: float
    good: Image | None = field(default=None, repr=False)
    good_distance: float | None = None
    source: str = ""
    place: tuple[float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The patch as plain JSON values, without its pictures."""
        return {
            "centre": [round(value, 1) for value in self.centre],
            "distance": round(self.distance, 4),
            "usual": round(self.usual, 4),
            "good_distance": None if self.good_distance is None else round(self.good_distance, 4),
            "source": self.source,
            "place": None if self.place is None else list(self.place),
        }


class Memory:
    """The good patches of a recipe, as a probe of its graph shows them for one input image."""

    def __init__(self, outputs: Mapping[str, NDArray[Any]], level: str, atlas: Atlas | None) -> None:
        self._keys, self._entries = outputs[f"{level}_keys"], outputs[f"{level}_entries"]
        self._grid = outputs[f"{level}_map"].shape[-2:]
        self._usual = float(np.median(outputs[f"{level}_map"]))
        self._atlas = atlas
        self._pictures = None if atlas is None else pictures(atlas)

    def patch(self, image: Image, at: tuple[float, float], centre: tuple[float, float]) -> Patch:
        """The patch at `at` (x, y) px of the input `image`, which is `centre` of the part's image."""
        rows, columns = self._grid
        row = int(np.clip(at[1] * rows / image.shape[0], 0, rows - 1))
        column = int(np.clip(at[0] * columns / image.shape[1], 0, columns - 1))
        distances = self._distances(row * columns + column)
        middle = ((column + 0.5) * image.shape[1] / columns, (row + 0.5) * image.shape[0] / rows)
        found = Patch(centre, view_of(image, middle, VIEW_PX, SHOWN_PX), float(distances.min()), self._usual)
        if self._atlas is None or self._pictures is None:
            return found
        known = np.array([entry for entry in self._atlas.entries if entry < len(distances)], np.int64)
        if not len(known):
            return found
        best = int(np.argmin(distances[known]))
        picture = cv2.resize(self._pictures[best], (SHOWN_PX, SHOWN_PX), interpolation=cv2.INTER_CUBIC)
        return Patch(
            centre, found.view, found.distance, self._usual, np.asarray(picture, np.uint8),
            float(distances[known[best]]), self._atlas.sources[self._atlas.source[best]], self._atlas.centres[best],
        )  # fmt: skip

    def _distances(self, cell: int) -> NDArray[np.float64]:
        """Of one cell to all entries (M,); a key ends in 1 and an entry in minus half its squared length."""
        key, entries = self._keys[cell].astype(np.float64), self._entries.astype(np.float64)
        squared = (key[:-1] ** 2).sum() - 2 * entries @ key
        return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def pictures(atlas: Atlas) -> Sequence[Image]:
    """The crops of an atlas (CROP_PX, CROP_PX, 3) uint8 RGB, in its order."""
    data = np.frombuffer(base64.b64decode(atlas.jpeg), np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if decoded is None:
        raise RecipeError("the recipe's pictures of good patches are damaged. Train or copy it again")
    sheet = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    corners = [divmod(number, ACROSS) for number in range(len(atlas.entries))]
    return [sheet[r * CROP_PX : (r + 1) * CROP_PX, c * CROP_PX : (c + 1) * CROP_PX] for r, c in corners]
