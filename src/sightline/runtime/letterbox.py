"""Placing an image of any size into a recipe's input, and the input's heat map back onto the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.imaging.image import Image

STRETCH_TOLERANCE = 0.10  # an aspect this close is stretched: no border, and no feature notices
BORDER = (127, 127, 127)  # what the backbone scales to 0, as its own padding: the image just ends there
HEAT_STRIDE_PX = 4  # resolution of the heat grid that is kept with a result


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where an image lies inside a recipe's input.

    `image_size` is (H, W) of the whole image; `crop` its region of interest as (x, y, width, height) px;
    `inner` the place (x, y, width, height) px of that region inside the input of `input_size` (height, width).
    """

    image_size: tuple[int, int]
    crop: tuple[int, int, int, int]
    inner: tuple[int, int, int, int]
    input_size: tuple[int, int]

    @property
    def padded(self) -> float:
        """Share of the input that is border, not image: 0..1."""
        return 1.0 - self.inner[2] * self.inner[3] / (self.input_size[0] * self.input_size[1])


def crop_of(image_size: tuple[int, int], roi: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """The region of interest of an image (H, W) as (x, y, width, height) px; at least one pixel."""
    high, wide = image_size
    x, y = min(round(roi[0] * wide), wide - 1), min(round(roi[1] * high), high - 1)
    return x, y, max(1, min(round(roi[2] * wide), wide - x)), max(1, min(round(roi[3] * high), high - y))


def fit_letterbox(
    image_size: tuple[int, int],
    input_size: tuple[int, int],
    roi: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    scale: float = math.inf,
    stretch: bool = False,
) -> Letterbox:
    """Placement of an image (H, W) in an input (height, width): aspect kept, centred.

    `scale` is the recipe's, in input px per image px: a smaller image keeps it and gets a border, because a
    texture must look the same size on every part; a larger one is shrunk to fit. With `stretch`, every
    image fills the input, whatever its shape.
    """
    height, width = input_size
    x, y, w, h = crop_of(image_size, roi)
    scale = min(height / h, width / w, scale)
    inner_w, inner_h = max(1, round(w * scale)), max(1, round(h * scale))
    if stretch or min(inner_w / width, inner_h / height) >= 1 - STRETCH_TOLERANCE:
        inner_w, inner_h = width, height
    left, top = (width - inner_w) // 2, (height - inner_h) // 2
    return Letterbox(image_size, (x, y, w, h), (left, top, inner_w, inner_h), input_size)


def prepare(image: Image, letterbox: Letterbox) -> Image:
    """The recipe's input (height, width, 3) uint8: cropped, resized by area, centred on neutral grey."""
    x, y, w, h = letterbox.crop
    left, top, inner_w, inner_h = letterbox.inner
    height, width = letterbox.input_size
    shrinks = inner_w < w or inner_h < h
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(image[y : y + h, x : x + w], (inner_w, inner_h), interpolation=method), np.uint8)
    if (inner_w, inner_h) == (width, height):
        return resized
    below, right = height - top - inner_h, width - left - inner_w
    bordered = cv2.copyMakeBorder(resized, top, below, left, right, cv2.BORDER_CONSTANT, value=BORDER)
    return np.asarray(bordered, np.uint8)


def heat_to_image(grid: NDArray[np.float32], letterbox: Letterbox) -> NDArray[np.float32]:
    """Heat grid (h, w) over the input -> heat grid over the whole image, at most one cell per 4 px of input.

    Outside the region of interest the heat is 0.
    """
    left, top, inner_w, inner_h = letterbox.inner
    height, width = letterbox.input_size
    out_w, out_h = max(1, inner_w // HEAT_STRIDE_PX), max(1, inner_h // HEAT_STRIDE_PX)
    # Pixel centres: output x covers input (x + 0.5) * inner_w / out_w + left, a grid cell covers width / w px.
    fx, fy = inner_w / out_w * grid.shape[1] / width, inner_h / out_h * grid.shape[0] / height
    ox = left * grid.shape[1] / width + 0.5 * fx - 0.5
    oy = top * grid.shape[0] / height + 0.5 * fy - 0.5
    warp = np.array([[fx, 0, ox], [0, fy, oy]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    heat = cv2.warpAffine(grid, warp, (out_w, out_h), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return over_image(np.asarray(heat, np.float32), letterbox)


def over_image(heat: NDArray[np.float32], letterbox: Letterbox) -> NDArray[np.float32]:
    """Heat grid over the region of interest -> heat grid over the whole image, 0 outside the region."""
    x, y, w, h = letterbox.crop
    high, wide = letterbox.image_size
    if (w, h) == (wide, high):
        return heat
    out_h, out_w = heat.shape
    canvas = np.zeros((max(1, round(high * out_h / h)), max(1, round(wide * out_w / w))), np.float32)
    row, column = round(y * out_h / h), round(x * out_w / w)
    canvas[row : row + out_h, column : column + out_w] = heat[: canvas.shape[0] - row, : canvas.shape[1] - column]
    return canvas
