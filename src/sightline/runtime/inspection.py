"""An inspection: a result that still has its image, its heat map and its overlay; and defects outlined from heat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.core.result import Defect, Result, Verdict
from sightline.imaging.image import Image
from sightline.runtime.appearance import Appearance
from sightline.runtime.drawing import BOLD, Scale, draw_outlines, width_of, with_heat, wrapped, write

VERDICT_RGB = {Verdict.OK: (46, 160, 67), Verdict.REVIEW: (210, 140, 0), Verdict.NG: (218, 54, 51)}

UNKNOWN = "unknown"  # the type of a region that looks like no good part and like no known defect
MAX_REGIONS = 20  # of the hottest: an all-hot image must not turn into thousands of outlines
CELL_SHARE = 0.5  # a pixel belongs to a region if half of its interpolated surroundings do
HALO_SHARE = 0.25  # cells below this share of their region's peak are its halo, not the defect
PEAK_SHARE = 0.7  # where no cell passes the threshold, outline what is this close to the peak


@dataclass(frozen=True)
class Overlay:
    """A picture for people: `image` is (H, W, 3) uint8 RGB."""

    image: Image

    def _repr_png_(self) -> bytes:
        """The picture, for notebooks."""
        return bytes(cv2.imencode(".png", self.image[..., ::-1])[1].tobytes())

    def save(self, path: str | Path) -> Path:
        """Write as the format of the suffix. Raises InputError."""
        path = Path(path)
        # Only the suffix: OpenCV dies of a name that is no UTF-8.
        supported = bool(path.suffix) and path.suffix.isascii() and cv2.haveImageWriter(f"picture{path.suffix}")
        done, data = cv2.imencode(path.suffix, self.image[..., ::-1]) if supported else (False, np.empty(0))
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
    recipe knows defect types, the `defect_share` (h, w) float32 of each cell of the image that shows one, and
    `class_maps`, which makes the shares of each type (K, h, w) float32 when it is called. `appearance` are the measures
    by which a drift is found; `adaptation` names what was learned since the recipe was made, "" for nothing."""

    image: Image = field(repr=False)
    heat: NDArray[np.float32] = field(repr=False)
    heat_threshold: float = field(repr=False)
    embedding: NDArray[np.float32] = field(repr=False)
    defect_share: NDArray[np.float32] | None = field(default=None, repr=False)
    class_maps: Callable[[], NDArray[np.float32]] | None = field(default=None, repr=False, compare=False)
    appearance: Appearance | None = field(default=None, repr=False, compare=False)
    adaptation: str = ""

    @cached_property
    def heatmap(self) -> NDArray[np.float32]:
        """Heat map (H, W) float32 at the image's size; higher = more defective. Made on first use."""
        high, wide = self.image.shape[:2]
        return np.asarray(cv2.resize(self.heat, (wide, high), interpolation=cv2.INTER_LINEAR), np.float32)

    def overlay(self, low: float | None = None, high: float | None = None) -> Overlay:
        """The image with heat from `low` (clear) to `high` (strongest), outlines, the verdict and what decided it.

        The scale is that of the recipe, not of the image, so a good part does not look red: by default
        colour starts at half the outline threshold and is strongest at twice. Colours are those of the reports.
        """
        limit, unit = self.heat_threshold, max(abs(self.heat_threshold), 1e-6)
        bottom = limit - unit / 2 if low is None else low
        top = max(limit + unit if high is None else high, bottom + 1e-6)
        middle = limit if low is None and high is None else (bottom + top) / 2
        return Overlay(self._annotate(with_heat(self.image, self.heatmap, Scale(bottom, middle, top))))

    def _repr_png_(self) -> bytes:
        """The overlay, for notebooks."""
        return self.overlay()._repr_png_()

    def _annotate(self, image: Image) -> Image:
        unit = max(1.0, max(image.shape[:2]) / 600)
        colour = VERDICT_RGB[self.verdict]
        cell_px = max(image.shape[1] / self.heat.shape[1], image.shape[0] / self.heat.shape[0])
        contours = [defect.contour for defect in self.defects]
        draw_outlines(image, contours, cell_px, colour, round(3 * unit), max(1, round(1.5 * unit)))
        size, small, pad = round(18 * unit), round(13 * unit), round(6 * unit)
        title = f"{self.verdict}  {self.score:.2f}"
        why = self.reason.split(". ")[0]  # its first sentence: what to do about it stands in the result
        lines = wrapped(why, small, image.shape[1] - 2 * pad) if why else []
        wide = max([width_of(title, size, BOLD), *(width_of(line, small) for line in lines)])
        high = round(1.4 * size) + round(1.35 * small) * len(lines) + pad
        top = self._free(wide + 2 * pad, high)
        cv2.rectangle(image, (0, top), (wide + 2 * pad, top + high), colour, cv2.FILLED)
        write(image, title, (pad, top + round(1.2 * size)), size, (255, 255, 255), BOLD)
        for number, line in enumerate(lines, start=1):
            write(image, line, (pad, top + round(1.3 * size) + round(1.35 * small) * number), small, (255, 255, 255))
        return image

    def _free(self, wide: int, high: int) -> int:
        """The row at which a caption begins: at the top, or at the bottom where it would hide a defect at the top."""
        bottom = self.image.shape[0] - high
        hidden = [sum(x < wide and y < top + high and y + h > top for x, y, _, h in (d.box for d in self.defects))
                  for top in (0, bottom)]  # fmt: skip
        return bottom if bottom > 0 and hidden[1] < hidden[0] else 0


def find_defects(
    heat: NDArray[np.float32],
    image_size: tuple[int, int],
    threshold: float,
    mm_per_px: float | None = None,
    type_name: str = UNKNOWN,
) -> tuple[Defect, ...]:
    """Regions of a heat grid (h, w) above `threshold`, hottest first, in pixels of an image (H, W).

    Call it for parts that are not OK: when nothing passes the threshold, the surroundings of the peak are
    outlined, so that a person always sees where to look.
    """
    peak = float(heat.max())
    if not np.isfinite(peak):
        return ()
    floor = threshold if peak > threshold else float(heat.mean()) + PEAK_SHARE * (peak - float(heat.mean()))
    labels, stats, peaks = _regions(heat, heat >= min(floor, peak))
    # Around what is very hot, the backbone's wide view warms its surroundings above the threshold, too.
    labels, stats, peaks = _regions(heat, (labels > 0) & (heat >= HALO_SHARE * peaks[labels]))
    count = len(peaks)
    order = np.argsort(-peaks)[: min(count - 1, MAX_REGIONS)]
    return tuple(
        _outline(labels, stats, int(index), float(peaks[index]), image_size, mm_per_px, type_name) for index in order
    )


def _regions(
    heat: NDArray[np.float32], hot: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Connected regions of the hot cells: label of each cell (0: none), their boxes, and their hottest cells."""
    count, found, boxes, _ = cv2.connectedComponentsWithStats(hot.astype(np.uint8), connectivity=8)
    labels = np.asarray(found, np.int32)
    peaks = np.full(count, -np.inf, np.float32)
    np.maximum.at(peaks, labels.ravel(), heat.ravel())
    peaks[0] = -np.inf
    return labels, np.asarray(boxes, np.int32), peaks


def _outline(
    labels: NDArray[np.int32],
    stats: NDArray[np.int32],
    index: int,
    score: float,
    image_size: tuple[int, int],
    mm_per_px: float | None,
    type_name: str,
) -> Defect:
    x, y, w, h = (int(value) for value in stats[index, :4])
    high, wide = image_size
    scale_x, scale_y = wide / labels.shape[1], high / labels.shape[0]
    cell = (labels[y : y + h, x : x + w] == index).astype(np.float32)
    left, top = min(round(x * scale_x), wide - 1), min(round(y * scale_y), high - 1)
    size = (max(1, round((x + w) * scale_x) - left), max(1, round((y + h) * scale_y) - top))
    # Enlarged to image pixels before outlining: smooth outlines, and at least the cells' centres inside.
    large = np.asarray(cv2.resize(cell, size, interpolation=cv2.INTER_LINEAR) >= CELL_SHARE)
    if not large.any():  # cells that are finer than the image's pixels may vanish between them
        large[:] = True
    padded = cv2.copyMakeBorder(large.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    contours, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_KCOS)
    contour = max(contours, key=len).reshape(-1, 2) + np.array([left - 1, top - 1])
    area = float(np.count_nonzero(padded))
    return Defect(
        type=type_name,
        score=score,
        box=(left, top, *size),
        contour=contour.astype(np.int32),
        area_px=area,
        area_mm2=None if mm_per_px is None else area * mm_per_px**2,
    )
