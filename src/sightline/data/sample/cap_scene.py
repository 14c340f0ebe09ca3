"""A bottle cap on a conveyor belt: the still layers put together for one part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from sightline.data.sample.cap_layers import CENTRE, build_layers
from sightline.data.sample.lot import Lot
from sightline.data.sample.plane import Colour, Plane, Planes, Points
from sightline.data.sample.texture import Tile, cloud, grain, room

PLASTIC: Colour = (0.016, 0.120, 0.420)
WHITE_INK: Colour = (0.80, 0.81, 0.78)
ACCENT_INK: Colour = (0.88, 0.55, 0.05)
_BELT: Colour = (0.098, 0.102, 0.100)
PRINT_TOLERANCE = 0.0032
"""Deviation of the print's position on good parts, fraction of the image side."""


@dataclass(frozen=True)
class CapPlan:
    """Everything that differs between good caps."""

    shift: tuple[float, float]
    turn: float
    """Pose of the cap: fractions of the side, radians."""
    print_shift: tuple[float, float]
    print_turn: float
    """The print against the cap."""
    ink: Plane
    """Thickness of the ink film, about 1."""
    tint: Colour
    belt: Plane
    skin: Plane
    """Texture of belt and plastic, about 1."""

    @property
    def centre(self) -> Points:
        """Middle of the cap on the image, fractions."""
        return np.asarray(CENTRE + np.array(self.shift))


class CapScene:
    """Draws caps of one image size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._layers = build_layers(size)
        rng = np.random.default_rng(7)
        side = room(size)
        scale = size / 512
        self._belt = Tile(1 + _belt_texture(side, scale, rng), size)
        self._skin = Tile(1 + 0.020 * grain(side, side, 0.7 * scale, rng) + 0.018 * cloud(side, side, 9, rng), size)
        self._film = Tile(0.95 + 0.030 * grain(side, side, 1.1 * scale, rng) + 0.022 * cloud(side, side, 14, rng), size)

    def plan(self, rng: Generator, lot: Lot) -> CapPlan:
        """The harmless variation of one good cap."""
        x, y = np.clip(rng.standard_normal(2), -2, 2) * 0.007
        right, down = 0.6 * np.clip(rng.standard_normal(2), -2, 2) + 0.8 * np.array(lot.shift)
        red, green, blue = np.array(lot.tint) * (1 + 0.008 * rng.standard_normal(3))
        return CapPlan(
            shift=(float(x), float(y)),
            turn=math.radians(float(np.clip(2.5 * rng.standard_normal(), -6, 6))),
            print_shift=(float(right) * PRINT_TOLERANCE, float(down) * PRINT_TOLERANCE),
            print_turn=math.radians(float(np.clip(0.8 * rng.standard_normal(), -2, 2))),
            ink=self._film.window(rng) * np.float32(lot.density),
            tint=(float(red), float(green), float(blue)),
            belt=self._belt.window(rng),
            skin=self._skin.window(rng),
        )

    def draw(self, plan: CapPlan) -> Planes:
        """The good cap of this plan, (3, size, size)."""
        return self.compose(plan, *self.inks(plan))

    def inks(self, plan: CapPlan) -> tuple[Plane, Plane]:
        """Coverage of the white and the accent ink where this cap has them."""
        shift = (plan.shift[0] + plan.print_shift[0], plan.shift[1] + plan.print_shift[1])
        matrix = self._matrix(shift, plan.turn + plan.print_turn)
        return self._warp(self._layers.white, matrix), self._warp(self._layers.accent, matrix)

    def compose(self, plan: CapPlan, white: Plane, accent: Plane) -> Planes:
        """Belt, shadow, plastic, the given inks and gloss."""
        matrix = self._matrix(plan.shift, plan.turn)
        lit = self._warp(self._layers.lit, matrix) * plan.skin
        gloss = self._warp(self._layers.gloss, matrix)
        belt = self._warp(self._layers.keep, matrix, outside=1.0) * plan.belt
        white, accent = white * plan.ink, accent * plan.ink
        scene = np.empty((3, self.size, self.size), np.float32)
        for c, plane in enumerate(scene):
            body = PLASTIC[c] * plan.tint[c]
            np.multiply(white, WHITE_INK[c] - body, out=plane)
            plane += accent * (ACCENT_INK[c] - body)
            plane += body
            plane *= lit
            plane += gloss
            plane += belt * _BELT[c]
        return scene

    def on_cap(self, plan: CapPlan) -> Plane:
        """Light on the cap of this plan, 0 off the cap: what a mark on its surface is lit by."""
        return self._warp(self._layers.lit, self._matrix(plan.shift, plan.turn))

    def _matrix(self, shift: tuple[float, float], turn: float) -> Points:
        """Still layer -> image: a turn about the cap's centre, then a shift."""
        middle = (self.size - 1) / 2
        matrix = cv2.getRotationMatrix2D((middle, middle), math.degrees(-turn), 1.0)
        matrix[:, 2] += np.array(shift) * self.size
        return np.asarray(matrix, dtype=np.float64)

    def _warp(self, layer: Plane, matrix: Points, outside: float = 0.0) -> Plane:
        side = (self.size, self.size)
        return np.asarray(
            cv2.warpAffine(layer, matrix, side, borderMode=cv2.BORDER_CONSTANT, borderValue=outside),
            dtype=np.float32,
        )


def _belt_texture(side: int, scale: float, rng: Generator) -> Plane:
    """Relative brightness of a rubber belt: fabric imprint, grain, wear along its travel."""
    along = np.arange(side, dtype=np.float32) / scale
    imprint = 0.05 * np.sin(along[None, :] * 1.05) * np.sin(along[:, None] * 1.05)
    wear = cv2.resize(rng.standard_normal((1, max(4, side // 3))).astype(np.float32), (side, side))
    texture = imprint + 0.07 * grain(side, side, 0.8 * scale, rng) + 0.05 * cloud(side, side, 5, rng)
    return np.asarray(texture + 0.035 * wear, dtype=np.float32)
