"""Small pictures for the report: thumbnails, outlines, and heat on one scale for all images."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.runtime.image import Image, read_image
from sightline.runtime.region import find_defects

QUALITY = 80  # WebP; artefacts stay below what a defect looks like at this size
# Position on the scale (0 = clear, 0.5 = the outline threshold, 1 = hottest): red, green, blue, opacity.
STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
COLOURS = ((46, 134, 193), (58, 176, 170), (255, 209, 71), (243, 124, 38), (200, 22, 29))
OPACITIES = (0.0, 0.22, 0.5, 0.66, 0.78)
OUTLINE_RGB, HALO_RGB = (214, 40, 40), (255, 255, 255)  # what the recipe found
DRAWN_RGB, DARK_RGB = (120, 235, 255), (0, 0, 0)  # what a person drew


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


def thumbnail(path: Path, longest: int) -> Image | None:
    """The image (h, w, 3) uint8 RGB, its longer side at most `longest` px; None if it cannot be read."""
    try:
        image, _ = read_image(path)
    except (InputError, OSError):
        return None
    height, width = image.shape[:2]
    factor = min(1.0, longest / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def with_heat(image: Image, heat: NDArray[np.float32], scale: Scale) -> Image:
    """The image with heat (h, w) laid over it on the scale."""
    height, width = image.shape[:2]
    position = scale.position(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR))
    colour = np.stack([np.interp(position, STOPS, channel) for channel in zip(*COLOURS, strict=True)], axis=-1)
    opacity = np.interp(position, STOPS, OPACITIES)[..., None]
    mixed: Image = np.rint(image * (1.0 - opacity) + colour * opacity).astype(np.uint8)
    return mixed


def with_outline(image: Image, heat: NDArray[np.float32], scale: Scale) -> Image:
    """The image with the outlines that an operator sees for this heat grid (h, w)."""
    height, width = image.shape[:2]
    contours = [defect.contour for defect in find_defects(heat, (height, width), scale.threshold)]
    drawn = np.ascontiguousarray(image)
    cv2.drawContours(drawn, contours, -1, HALO_RGB, 4, cv2.LINE_AA)
    cv2.drawContours(drawn, contours, -1, OUTLINE_RGB, 2, cv2.LINE_AA)
    return drawn


def with_mask(image: Image, mask: NDArray[np.bool_]) -> Image:
    """The image with the outline of a mask (H, W) bool of any size, as a person has drawn the defect."""
    height, width = image.shape[:2]
    marked = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.0
    contours, _ = cv2.findContours(marked.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    drawn = np.ascontiguousarray(image)
    cv2.drawContours(drawn, contours, -1, DARK_RGB, 3, cv2.LINE_AA)
    cv2.drawContours(drawn, contours, -1, DRAWN_RGB, 1, cv2.LINE_AA)
    return drawn


def data_uri(image: Image) -> str:
    """The image (h, w, 3) uint8 RGB as a WebP data URI."""
    done, data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise InputError("The report's pictures cannot be written as WebP. Reinstall opencv-python-headless.")
    return f"data:image/webp;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def legend() -> str:
    """The colours of every scale as a CSS gradient, from `low` on the left to `high` on the right."""
    stops = (
        f"rgba({red}, {green}, {blue}, {max(opacity, 0.08):.2f}) {100 * stop:.0f}%"
        for stop, (red, green, blue), opacity in zip(STOPS, COLOURS, OPACITIES, strict=True)
    )
    return f"linear-gradient(to right, {', '.join(stops)})"
