"""A result that still has its picture: the heat map and the overlay for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.band import Verdict
from sightline.core.errors import InputError
from sightline.core.result import Result
from sightline.runtime.image import Image

VERDICT_RGB = {Verdict.OK: (46, 160, 67), Verdict.REVIEW: (210, 140, 0), Verdict.NG: (218, 54, 51)}
BAND_ROWS = 256  # mixed at a time: in floats, a large image at once would need gigabytes


@dataclass(frozen=True)
class Overlay:
    """A picture for people: `image` is (H, W, 3) uint8 RGB."""

    image: Image

    def save(self, path: str | Path) -> Path:
        """Write as the format of the suffix. Raises InputError."""
        path = Path(path)
        known = cv2.haveImageWriter(path.name) if path.suffix else False
        done, data = cv2.imencode(path.suffix, self.image[..., ::-1]) if known else (False, np.empty(0))
        if not done:
            raise InputError(f"{path}: cannot write this format. Use a name that ends in .png or .jpg")
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}). Check the folder and its space") from error
        return path


@dataclass(frozen=True, kw_only=True)
class Inspection(Result):
    """A Result with its image (H, W, 3) uint8 RGB, its heat grid (h, w) float32 that covers the whole
    image, the heat above which regions are outlined, the embedding (e,) float32, and where the
    recipe knows defect types, the share `seen` (h, w) float32 of each cell of the image that shows one, and
    `class_maps`, which makes the shares of each type (K, h, w) float32 when it is called."""

    image: Image = field(repr=False)
    heat: NDArray[np.float32] = field(repr=False)
    heat_threshold: float = field(repr=False)
    embedding: NDArray[np.float32] = field(repr=False)
    seen: NDArray[np.float32] | None = field(default=None, repr=False)
    class_maps: Callable[[], NDArray[np.float32]] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def heatmap(self) -> NDArray[np.float32]:
        """Heat map (H, W) float32 at the image's size; higher = more defective. Made on first use."""
        high, wide = self.image.shape[:2]
        return np.asarray(cv2.resize(self.heat, (wide, high), interpolation=cv2.INTER_LINEAR), np.float32)

    def overlay(self, low: float | None = None, high: float | None = None) -> Overlay:
        """The image with heat from `low` (clear) to `high` (strongest), outlines and the verdict.

        The scale is that of the recipe, not of the image, so a good part does not look red: by default
        colour starts at half the outline threshold and is strongest at twice.
        """
        low = 0.5 * self.heat_threshold if low is None else low
        high = max(2.0 * self.heat_threshold, low + 1e-6) if high is None else high
        mixed = np.empty(self.image.shape, np.uint8)
        for top in range(0, len(mixed), BAND_ROWS):
            rows = slice(top, top + BAND_ROWS)
            share = np.clip(np.nan_to_num((self.heatmap[rows] - low) / (high - low), nan=1.0), 0.0, 1.0)  # none: hot
            colours = cv2.applyColorMap(np.rint(share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
            opacity = (0.5 * np.sqrt(share))[..., None]
            mixed[rows] = np.rint(self.image[rows] * (1 - opacity) + colours * opacity)
        return Overlay(self._annotate(mixed))

    def _annotate(self, image: Image) -> Image:
        unit = max(1.0, max(image.shape[:2]) / 600)
        colour = VERDICT_RGB[self.verdict]
        for defect in self.defects:
            cv2.polylines(image, [defect.contour], True, (255, 255, 255), round(3 * unit), cv2.LINE_AA)
            cv2.polylines(image, [defect.contour], True, colour, max(1, round(1.5 * unit)), cv2.LINE_AA)
        text = f"{self.verdict}  {self.score:.2f}"
        (wide, high), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6 * unit, max(1, round(1.5 * unit)))
        pad = round(6 * unit)
        cv2.rectangle(image, (0, 0), (wide + 2 * pad, high + base + 2 * pad), colour, cv2.FILLED)
        cv2.putText(
            image, text, (pad, high + pad), cv2.FONT_HERSHEY_SIMPLEX, 0.6 * unit, (255, 255, 255),
            max(1, round(1.5 * unit)), cv2.LINE_AA,
        )  # fmt: skip
        return image
