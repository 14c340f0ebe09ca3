"""Lettering: text laid straight or along a circle, as anti-aliased coverage on a plane."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.sample.drawing import Plane

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STRIP_PX = 48.0
"""Height of capitals on the strip that is then warped into place."""


def straight(plane: Plane, text: str, centre: tuple[float, float], height: float) -> None:
    """Lay `text` centred on (x, y), capitals `height` high (fractions)."""
    _stamp(plane, _strip(text)[0], centre, height, 0.0)


def along_circle(
    plane: Plane, text: str, radius: float, height: float, *, spacing: float = 1.12, below: bool = False
) -> None:
    """Lay `text` along a circle about the middle, at its top, or `below` and readable from inside."""
    glyphs = [_strip(letter) for letter in text]
    widths = [advance * height / _STRIP_PX * spacing / radius for _, advance in glyphs]
    sense = -1.0 if below else 1.0
    turn = -sum(widths) / 2
    for (strip, _), width in zip(glyphs, widths, strict=True):
        tilt = sense * (turn + width / 2)
        centre = (0.5 + sense * radius * math.sin(tilt), 0.5 - sense * radius * math.cos(tilt))
        _stamp(plane, strip, centre, height, tilt)
        turn += width


def _strip(text: str) -> tuple[NDArray[np.uint8], float]:
    """Text drawn large on a strip of its own, and how far it advances in strip pixels."""
    (_, high), _ = cv2.getTextSize("H", _FONT, 1.0, 2)
    scale = _STRIP_PX / high
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, 4)
    margin = 12
    strip = np.zeros((round(_STRIP_PX) + 2 * margin, width + 2 * margin), np.uint8)
    cv2.putText(strip, text, (margin, round(_STRIP_PX) + margin), _FONT, scale, 255.0, 4, cv2.LINE_AA)
    return strip, float(width)


def _stamp(plane: Plane, strip: NDArray[np.uint8], centre: tuple[float, float], height: float, angle: float) -> None:
    side = plane.shape[1]
    zoom = height * side / _STRIP_PX
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    middle_x, middle_y = strip.shape[1] / 2, strip.shape[0] / 2
    # The box that holds the turned strip: lettering a whole plane per glyph would be slow.
    reach_x = math.ceil(abs(cosine) * middle_x + abs(sine) * middle_y) + 2
    reach_y = math.ceil(abs(sine) * middle_x + abs(cosine) * middle_y) + 2
    x, y = centre[0] * side, centre[1] * side
    left, top = math.floor(x) - reach_x, math.floor(y) - reach_y
    matrix = np.array(
        [
            [cosine, -sine, x - left - cosine * middle_x + sine * middle_y],
            [sine, cosine, y - top - sine * middle_x - cosine * middle_y],
        ]
    )
    if zoom < 0.6:  # a linear warp that shrinks would skip strokes
        strip = np.asarray(cv2.GaussianBlur(strip, (0, 0), 0.35 / zoom), dtype=np.uint8)
    placed = cv2.warpAffine(strip, matrix, (2 * reach_x, 2 * reach_y)).astype(np.float32) / 255.0
    low_y, low_x = max(top, 0), max(left, 0)
    high_y, high_x = min(top + 2 * reach_y, plane.shape[0]), min(left + 2 * reach_x, side)
    if low_y < high_y and low_x < high_x:
        target = plane[low_y:high_y, low_x:high_x]
        np.maximum(target, placed[low_y - top : high_y - top, low_x - left : high_x - left], out=target)
