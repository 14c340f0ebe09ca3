"""Drawing on images: heat in colours, on one palette and one scale everywhere; smooth outlines, letters, close-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.card import Card
from sightline.core.sample import readable_name
from sightline.imaging.image import Image

HEAT_CELLS = 128  # on the longer side of what goes out as bytes
BAND_ROWS = 256  # mixed at a time: in floats, a large image at once would need gigabytes
# Position on the scale (0 = clear, 0.5 = the outline threshold, 1 = hottest): red, green, blue, opacity.
STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
COLOURS = ((46, 134, 193), (58, 176, 170), (255, 209, 71), (243, 124, 38), (200, 22, 29))
OPACITIES = (0.0, 0.22, 0.5, 0.66, 0.78)
SMOOTH_CELLS = 0.8  # of a cell of the heat's grid, along an outline: its staircase goes, its bends stay
STEP_PX = 1.0  # between the points that are smoothed
STEPS_PER_POINT = 4  # of them per point that is drawn: rounded to pixels, closer ones would be a staircase again

# OpenCV 5 has an outline font; an older OpenCV draws with its stroke font.
Colour = tuple[int, int, int]
REGULAR, BOLD = 400, 650
STROKE_PX = 29  # height in px of a stroke letter at scale 1
PLAIN = str.maketrans({"–": "-", "×": "x", "≥": ">=", "≤": "<=", "²": "2", "…": "..."})  # what strokes lack
OUTSIDE = (225, 225, 225)


@dataclass(frozen=True, slots=True)
class Scale:
    """The colour scale of heat, fixed for a recipe: clear at `low`, yellow at `threshold`, red at `high`.

    Cool colours lie below the threshold at which a region is outlined and warm ones above it, so a part as
    calm as the good parts of the calibration never looks red, whatever its own maximum is.
    """

    low: float
    threshold: float
    high: float

    def position(self, heat: ArrayLike) -> NDArray[np.float32]:
        """Heat of any shape -> position on the scale, 0..1; heat that is not a number is hottest."""
        clean = np.nan_to_num(np.asarray(heat, np.float64), nan=self.high, posinf=self.high, neginf=self.low)
        position = np.interp(clean, (self.low, self.threshold, self.high), (0.0, 0.5, 1.0))
        return np.asarray(position, np.float32)


def scale_of(card: Card) -> Scale:
    """The scale of a recipe: half the outline threshold, the threshold, and twice to four times of it.

    The upper end follows the band's high threshold within those limits: what is NG by far should look it.
    """
    threshold = card.calibration.heat_threshold
    unit = max(abs(threshold), 1e-6)
    high = float(np.clip(card.band.high, threshold + unit, threshold + 3 * unit))
    return Scale(low=threshold - unit / 2, threshold=threshold, high=high)


def heat_bytes(heat: NDArray[np.float32], scale: Scale) -> NDArray[np.uint8]:
    """Heat (h, w) on the scale in bytes, 128 where outlines begin, of at most `HEAT_CELLS` cells a side.

    Of several cells, the hottest counts.
    The cells are made fewer first: of a large picture in tiles there are millions, and a part's answer waits for this.
    """
    step = -(-max(heat.shape) // HEAT_CELLS)
    if step > 1:
        high, wide = (-(-side // step) * step for side in heat.shape)
        padded = np.pad(heat, ((0, high - heat.shape[0]), (0, wide - heat.shape[1])), mode="edge")
        heat = padded.reshape(high // step, step, wide // step, step).max(axis=(1, 3))
    return np.asarray(np.rint(scale.position(heat) * 255), np.uint8)


def with_heat(image: Image, heat: NDArray[np.float32], scale: Scale) -> Image:
    """The image with heat (h, w) laid over it on the scale."""
    height, width = image.shape[:2]
    large = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    mixed = np.empty(image.shape, np.uint8)
    for top in range(0, height, BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        position = scale.position(large[rows])
        colour = np.stack([np.interp(position, STOPS, channel) for channel in zip(*COLOURS, strict=True)], axis=-1)
        opacity = np.interp(position, STOPS, OPACITIES)[..., None]
        mixed[rows] = np.rint(image[rows] * (1.0 - opacity) + colour * opacity)
    return mixed


def smooth_outline(contour: NDArray[np.int32], cell_px: float) -> NDArray[np.int32]:
    """An outline (K, 2) px without the staircase of the cells it was made from, of the same area; to look at only."""
    closed = np.vstack([contour, contour[:1]]).astype(np.float64)
    along = np.append(0.0, np.cumsum(np.hypot(*np.diff(closed, axis=0).T)))
    count = int(along[-1] / STEP_PX)
    if count < 8:
        return contour
    steps = np.linspace(0.0, along[-1], count, endpoint=False)
    points = np.stack([np.interp(steps, along, closed[:, axis]) for axis in (0, 1)], axis=1)
    # A Gaussian along the closed line, as a product of spectra.
    waves = np.fft.fftfreq(count)[:, None] * (SMOOTH_CELLS * cell_px / STEP_PX)
    smooth = np.fft.ifft(np.fft.fft(points, axis=0) * np.exp(-2 * (np.pi * waves) ** 2), axis=0).real
    before, after = (abs(cv2.contourArea(line.astype(np.float32))) for line in (points, smooth))
    middle = smooth.mean(axis=0)
    grown = middle + (smooth - middle) * np.sqrt(before / after) if after > 0 else points
    return np.rint(grown[::STEPS_PER_POINT]).astype(np.int32)


def draw_outlines(
    canvas: Image, contours: Sequence[NDArray[np.int32]], cell_px: float, colour: Colour, halo_px: int = 4, px: int = 2
) -> None:
    """Draw outlines (K, 2) px in place, `px` wide in a white halo of `halo_px`, smoothed as by `smooth_outline`."""
    smooth = [smooth_outline(contour, cell_px) for contour in contours]
    cv2.polylines(canvas, smooth, True, (255, 255, 255), halo_px, cv2.LINE_AA)
    cv2.polylines(canvas, smooth, True, colour, px, cv2.LINE_AA)


def legend() -> str:
    """The colours of every scale as a CSS gradient, from `low` on the left to `high` on the right."""
    stops = (
        f"rgba({red}, {green}, {blue}, {max(opacity, 0.08):.2f}) {100 * stop:.0f}%"
        for stop, (red, green, blue), opacity in zip(STOPS, COLOURS, OPACITIES, strict=True)
    )
    return f"linear-gradient(to right, {', '.join(stops)})"


def write(canvas: Image, text: str, at: tuple[int, int], size: int, colour: Colour, weight: int = REGULAR) -> None:
    """Write `text` with its baseline's left end at `at` (x, y) px; `size` is the font's height in px."""
    face, text = _face(), readable_name(text)  # OpenCV dies of letters that are no UTF-8
    if face is None:
        plain, thick = text.translate(PLAIN), 2 if weight > REGULAR else 1
        cv2.putText(canvas, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size / STROKE_PX, colour, thick, cv2.LINE_AA)
        return
    cv2.putText(canvas, text, at, colour, face, size, weight)


def width_of(text: str, size: int, weight: int = REGULAR) -> int:
    """Width of `text` in px."""
    face, text = _face(), readable_name(text)
    if face is None:
        thick = 2 if weight > REGULAR else 1
        return int(cv2.getTextSize(text.translate(PLAIN), cv2.FONT_HERSHEY_SIMPLEX, size / STROKE_PX, thick)[0][0])
    found: Any = cv2.getTextSize((0, 0), text, (0, 0), face, size, weight)
    return int(found[2])


def wrapped(text: str, size: int, width: int, weight: int = REGULAR) -> list[str]:
    """The text in lines of at most `width` px; a longer word is cut off with "…"."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, size, width, weight))
    return lines


def shortened(text: str, size: int, width: int, weight: int = REGULAR) -> str:
    """The text, its end replaced by "…" where it is wider than `width` px."""
    if width_of(text, size, weight) <= width:
        return text
    length = len(text)
    while length > 1 and width_of(text[:length] + "…", size, weight) > width:
        length -= 1
    return text[:length] + "…"


@cache
def _face() -> Any:
    return cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None


def view_of(image: Image, centre: tuple[float, float], side: int, to_px: int) -> Image:
    """The square of `side` px around `centre` (x, y) px of an image (H, W, 3), as (to_px, to_px, 3) uint8.

    What lies outside the image is a light grey.
    """
    left, top = round(centre[0] - side / 2), round(centre[1] - side / 2)
    framed = cv2.copyMakeBorder(
        image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)],
        max(0, -top),
        max(0, top + side - image.shape[0]),
        max(0, -left),
        max(0, left + side - image.shape[1]),
        cv2.BORDER_CONSTANT,
        value=OUTSIDE,
    )
    method = cv2.INTER_AREA if to_px < side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(framed, (to_px, to_px), interpolation=method), np.uint8)
