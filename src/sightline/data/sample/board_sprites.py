"""The parts on the circuit board as sprites: each package drawn once, lit like the board."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sightline.data.sample import lettering
from sightline.data.sample.board_layout import PITCH, Component
from sightline.data.sample.drawing import Colour, Plane, column

BLACK: Final[Colour] = (0.016, 0.016, 0.018)
_INK: Final[Colour] = (0.34, 0.34, 0.33)
_TIN: Final[Colour] = (0.52, 0.53, 0.52)
_REACH: Final = {
    "resistor": 0.034, "capacitor": 0.034, "diode": 0.046, "tantalum": 0.054, "crystal": 0.062, "sot": 0.044,
    "inductor": 0.058, "electrolytic": 0.064, "soic": 0.070, "qfp": 0.118, "header": 0.165,
}  # fmt: skip
"""Half the side of each package's square sheet, with room for its shadow."""
_HEIGHT: Final = {"electrolytic": 0.016, "header": 0.014, "inductor": 0.010, "crystal": 0.008}
"""How far the shadow of a tall part reaches; 0.0045 for the flat ones."""


@dataclass(frozen=True)
class Sprite:
    """A part seen from above: (h, w, 4) float32, premultiplied linear RGB and coverage, shadow included."""

    pixels: NDArray[np.float32]


def build_sprite(part: Component, size: int, flipped: bool = False) -> Sprite:
    """The part in its place's orientation, for images of `size`; `flipped`: put on the wrong way round."""
    turn = (part.turn + 2 * flipped) % 4
    reach = _REACH[part.package]
    fine = size * max(3, math.ceil(1536 / size))
    half = math.ceil(reach * size)
    sheet = Sheet(half * fine // size, fine, turn)
    _DRAW[part.package](sheet, part)
    pixels = np.rot90(sheet.pixels, turn)
    pixels = _with_shadow(pixels, _HEIGHT.get(part.package, 0.0045) * fine)
    small = cv2.resize(pixels, (2 * half, 2 * half), interpolation=cv2.INTER_AREA)
    return Sprite(np.ascontiguousarray(small, dtype=np.float32))


def _with_shadow(pixels: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    move = round(reach)
    alpha = pixels[..., 3]
    shade = np.zeros_like(alpha)
    shade[move:, move:] = alpha[: alpha.shape[0] - move, : alpha.shape[1] - move]
    shade = cv2.GaussianBlur(np.maximum(shade, alpha), (0, 0), 0.55 * reach + 1) * 0.62
    whole = pixels.copy()
    whole[..., 3] = alpha + (1 - alpha) * shade
    return whole


class Sheet:
    """Square paper for one part, in fractions of the image side about its middle, at turn 0."""

    def __init__(self, half_px: int, fine: int, turn: int) -> None:
        self._fine = fine
        side = 2 * half_px
        self.pixels: NDArray[np.float32] = np.zeros((side, side, 4), np.float32)
        axis = ((np.arange(side) + 0.5 - half_px) / fine).astype(np.float32)
        self.x, self.y = axis[None, :], axis[:, None]
        # The sheet is turned afterwards, so the light must come from the opposite turn now.
        angle = math.atan2(-0.8, -0.6) + turn * math.pi / 2
        self._light = (math.cos(angle), math.sin(angle))

    def box(self, x: float, y: float, width: float, height: float, colour: Colour, corner: float = 0.0,
            edge: float = 0.0, glow: float = 0.5) -> None:  # fmt: skip
        """A box with rounded corners and a bevelled `edge` (its width) of relative brightness `glow`."""
        far_x = np.abs(self.x - x) - width / 2 + corner
        far_y = np.abs(self.y - y) - height / 2 + corner
        outside = np.sqrt(np.maximum(far_x, 0) ** 2 + np.maximum(far_y, 0) ** 2)
        distance = outside + np.minimum(np.maximum(far_x, far_y), 0) - corner
        self._lay(distance.astype(np.float32), colour, edge, glow)

    def disc(self, x: float, y: float, radius: float, colour: Colour, edge: float = 0.0, glow: float = 0.5) -> None:
        """A disc with a bevelled edge."""
        distance = np.sqrt((self.x - x) ** 2 + (self.y - y) ** 2) - radius
        self._lay(distance.astype(np.float32), colour, edge, glow)

    def sector(self, radius: float, cut: float, colour: Colour) -> None:
        """The segment of a disc about the middle to the left of x = `cut`."""
        inside = np.maximum(np.sqrt(self.x**2 + self.y**2) - radius, self.x - cut)
        self._lay(inside, colour, 0.0, 0.0)

    def text(self, lines: str, height: float, colour: Colour = _INK, y: float = 0.0) -> None:
        """Centred lines of lettering."""
        side = self.pixels.shape[0]
        ink = np.zeros((side, side), np.float32)
        rows = lines.split("\n")
        for row, line in enumerate(rows):
            offset = (row - (len(rows) - 1) / 2) * 1.65 * height
            lettering.straight(ink, line, (0.5, 0.5 + (y + offset) * self._fine / side), height * self._fine / side)
        self._blend(ink * 0.85, column(colour).reshape(1, 1, 3))

    def _lay(self, distance: Plane, colour: Colour, edge: float, glow: float) -> None:
        cover: Plane = np.clip(0.5 - distance * self._fine, 0, 1).astype(np.float32)
        lit: Plane = np.ones_like(cover)
        if edge > 0:
            slope_y, slope_x = np.gradient(distance * self._fine)
            facing = slope_x * self._light[0] + slope_y * self._light[1]
            lit += glow * facing * np.clip(1 + distance / edge, 0, 1)
        self._blend(cover, lit[..., None] * np.array(colour, np.float32))

    def _blend(self, cover: Plane, colour: NDArray[np.float32]) -> None:
        alpha = cover[..., None]
        self.pixels *= 1 - alpha
        self.pixels[..., :3] += alpha * colour
        self.pixels[..., 3:] += alpha


def _resistor(sheet: Sheet, part: Component) -> None:
    for side in (-1, 1):
        sheet.box(side * 0.0145, 0, 0.010, 0.0200, _TIN, 0.001, 0.003, 0.55)
    sheet.box(0, 0, 0.0230, 0.0196, (0.020, 0.020, 0.024), 0.0, 0.0015, 0.5)
    sheet.text(part.value, 0.0088, (0.62, 0.62, 0.60))


def _capacitor(sheet: Sheet, _: Component) -> None:
    for side in (-1, 1):
        sheet.box(side * 0.0150, 0, 0.011, 0.0205, _TIN, 0.002, 0.004, 0.6)
    sheet.box(0, 0, 0.0210, 0.0200, (0.300, 0.205, 0.120), 0.0, 0.004, 0.45)


def _diode(sheet: Sheet, part: Component) -> None:
    for side in (-1, 1):
        sheet.box(side * 0.0270, 0, 0.014, 0.0150, _TIN, 0.001, 0.003, 0.5)
    sheet.box(0, 0, 0.0460, 0.0260, BLACK, 0.0015, 0.0035, 1.4)
    sheet.box(-0.0165, 0, 0.0065, 0.0245, (0.50, 0.50, 0.49))
    sheet.text(part.value, 0.0105)


def _tantalum(sheet: Sheet, part: Component) -> None:
    for side in (-1, 1):
        sheet.box(side * 0.0335, 0, 0.010, 0.0200, _TIN, 0.001, 0.003, 0.5)
    sheet.box(0, 0, 0.0640, 0.0380, (0.62, 0.33, 0.035), 0.002, 0.004, 0.4)
    sheet.box(-0.0225, 0, 0.0110, 0.0360, (0.20, 0.075, 0.012))
    sheet.text(part.value, 0.0120, (0.16, 0.06, 0.01))


def _electrolytic(sheet: Sheet, part: Component) -> None:
    for side in (-1, 1):
        sheet.box(side * 0.0480, 0, 0.012, 0.0120, _TIN, 0.001, 0.003, 0.5)
    sheet.box(0, 0, 0.0920, 0.0920, (0.018, 0.018, 0.020), 0.012, 0.003, 1.0)
    sheet.disc(0, 0, 0.0440, (0.36, 0.37, 0.38), 0.006, 0.75)
    sheet.disc(0, 0, 0.0385, (0.46, 0.47, 0.48), 0.002, -0.35)
    sheet.sector(0.0375, -0.0190, BLACK)
    sheet.text(part.value, 0.0120, (0.05, 0.05, 0.06))


def _crystal(sheet: Sheet, part: Component) -> None:
    for side in (-1, 1):
        sheet.box(side * 0.0490, 0, 0.012, 0.0300, _TIN, 0.001, 0.003, 0.5)
    sheet.box(0, 0, 0.0980, 0.0440, (0.40, 0.40, 0.39), 0.021, 0.004, 0.7)
    sheet.box(0, 0, 0.0880, 0.0340, (0.46, 0.46, 0.45), 0.016, 0.003, 0.6)
    sheet.text(part.value, 0.0115, (0.10, 0.10, 0.10))


def _inductor(sheet: Sheet, part: Component) -> None:
    for side in (-1, 1):
        sheet.box(side * 0.0400, 0, 0.013, 0.0480, _TIN, 0.001, 0.003, 0.5)
    sheet.box(0, 0, 0.0780, 0.0780, (0.050, 0.050, 0.054), 0.010, 0.005, 0.9)
    sheet.disc(0, 0, 0.0310, (0.060, 0.060, 0.065), 0.004, -0.7)
    sheet.text(part.value, 0.0170, (0.45, 0.45, 0.44))


def _sot(sheet: Sheet, part: Component) -> None:
    for x, y in ((-PITCH, 0.018), (PITCH, 0.018), (0.0, -0.018)):
        sheet.box(x, y, 0.0080, 0.0170, _TIN, 0.0005, 0.002, 0.5)
    sheet.box(0, 0, 0.0560, 0.0260, BLACK, 0.001, 0.003, 1.4)
    sheet.text(part.value, 0.0105)


def _lead(sheet: Sheet, x: float, y: float, length: float, level: bool) -> None:
    """A gull-wing lead: bright foot, dark bend."""
    width, height = (length, 0.0072) if level else (0.0072, length)
    sheet.box(x, y, width, height, (0.40, 0.41, 0.40), 0.0005, 0.002, 0.55)
    outwards = math.copysign(0.25 * length, x if level else y)
    foot = (x + outwards, y, width * 0.4, height * 0.8) if level else (x, y + outwards, width * 0.8, height * 0.4)
    sheet.box(*foot, (0.66, 0.67, 0.66))


def _soic(sheet: Sheet, part: Component) -> None:
    for side in (-1, 1):
        for i in range(4):
            _lead(sheet, side * 0.0410, (i - 1.5) * PITCH, 0.022, level=True)
    sheet.box(0, 0, 0.0640, 0.0840, BLACK, 0.001, 0.005, 1.5)
    sheet.disc(-0.0210, -0.0310, 0.0050, (0.030, 0.030, 0.033), 0.002, -0.7)
    sheet.text(part.value, 0.0120, y=0.004)


def _qfp(sheet: Sheet, part: Component) -> None:
    for side in (-1, 1):
        for i in range(8):
            _lead(sheet, side * 0.0900, (i - 3.5) * PITCH, 0.024, level=True)
            _lead(sheet, (i - 3.5) * PITCH, side * 0.0900, 0.024, level=False)
    sheet.box(0, 0, 0.1640, 0.1640, BLACK, 0.004, 0.006, 1.5)
    sheet.disc(-0.0630, -0.0630, 0.0070, (0.034, 0.034, 0.037), 0.002, -0.7)
    sheet.text(part.value, 0.0175)


def _header(sheet: Sheet, _: Component) -> None:
    sheet.box(0, 0, 0.3000, 0.0400, (0.020, 0.020, 0.022), 0.002, 0.004, 1.2)
    for i in range(8):
        x = (i - 3.5) * 2 * PITCH
        sheet.box(x, 0, 0.0260, 0.0280, (0.010, 0.010, 0.011), 0.004, 0.003, -0.9)
        sheet.box(x, 0, 0.0110, 0.0110, (0.62, 0.43, 0.14), 0.001, 0.004, 0.7)


_DRAW: Final = {
    "resistor": _resistor,
    "capacitor": _capacitor,
    "diode": _diode,
    "tantalum": _tantalum,
    "electrolytic": _electrolytic,
    "crystal": _crystal,
    "inductor": _inductor,
    "sot": _sot,
    "soic": _soic,
    "qfp": _qfp,
    "header": _header,
}
