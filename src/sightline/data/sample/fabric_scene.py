"""A woven fabric under a line of light: a window on the swatch, bent and dyed for one part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from sightline.data.sample.fabric_layers import PERIOD, Weave, build_layers, mottle
from sightline.data.sample.lot import Lot
from sightline.data.sample.plane import Colour, Plane, Planes, Points, unit_grid
from sightline.data.sample.texture import Tile, cloud, room

_WARP: Colour = (0.060, 0.130, 0.270)
_WEFT: Colour = (0.580, 0.560, 0.500)
_MARGIN = 0.06
"""Cloth kept beyond the image on each side, fraction of it: bending reaches there."""


@dataclass(frozen=True)
class FabricPlan:
    """Everything that differs between good pieces of cloth."""

    corner: tuple[int, int]
    """Where on the swatch the window lies: row, column in px."""
    warp_gain: Plane
    weft_gain: Plane
    """Brightness of each column and of each row of the window, by yarn: (1, w) and (h, 1)."""
    turn: float
    skew: float
    bend_x: Plane
    bend_y: Plane
    """Wander of the yarns in fractions of the side, (size, size)."""
    dye: Plane
    tint: Colour


Maps = tuple[Plane, Plane]
"""Where on the window each pixel of the image looks: x and y in px, (size, size) each."""


class FabricScene:
    """Draws cloth of one image size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.margin = math.ceil(_MARGIN * size)
        self.layers = build_layers(size)
        rng = np.random.default_rng(9)
        side = room(size)
        self._dye = Tile(mottle(side, rng), size)
        self._bend = Tile(0.0016 * cloud(side, side, 6, rng) + 0.0008 * cloud(side, side, 20, rng), size)
        self._x, self._y = unit_grid(size)

    def plan(self, rng: Generator, lot: Lot) -> FabricPlan:
        """The harmless variation of one good piece."""
        side = self.size + 2 * self.margin
        top, left = rng.integers(0, room(self.size) - side + 1, 2)
        red, green, blue = np.array(lot.tint) * (1 + 0.006 * rng.standard_normal(3))
        return FabricPlan(
            corner=(int(top), int(left)),
            warp_gain=self._gains(int(left), side, rng)[None, :],
            weft_gain=self._gains(int(top), side, rng)[:, None] * np.float32(lot.density),
            turn=math.radians(float(np.clip(0.5 * rng.standard_normal(), -1.2, 1.2))),
            skew=float(0.004 * (lot.shift[0] + np.clip(rng.standard_normal(), -2, 2))),
            bend_x=self._bend.window(rng),
            bend_y=self._bend.window(rng),
            dye=self._dye.window(rng),
            tint=(float(red), float(green), float(blue)),
        )

    def draw(self, plan: FabricPlan) -> Planes:
        """The good cloth of this plan, (3, size, size)."""
        return self.dye(plan, self.window(plan, self.layers.whole), self.maps(plan))

    def window(self, plan: FabricPlan, weave: Weave) -> Weave:
        """This part's piece of a swatch, its yarns as bright as they happen to be; owned by the caller."""
        top, left = plan.corner
        side = self.size + 2 * self.margin
        cut = np.s_[top : top + side, left : left + side]
        return Weave(weave.warp[cut] * plan.warp_gain, weave.weft[cut] * plan.weft_gain)

    def maps(self, plan: FabricPlan) -> Maps:
        """Image -> window: a small turn, skew and wander; owned by the caller."""
        dx, dy = self._x - 0.5, self._y - 0.5
        cosine, sine = math.cos(plan.turn), math.sin(plan.turn)
        x = plan.bend_x * self.size
        x += (cosine * dx - sine * dy) * self.size + (self.size / 2 + self.margin - 0.5)
        y = plan.bend_y * self.size
        y += ((sine + plan.skew) * dx + cosine * dy) * self.size + (self.size / 2 + self.margin - 0.5)
        return x, y

    def dye(self, plan: FabricPlan, cloth: Weave, maps: Maps) -> Planes:
        """Bend the window into the image and give its yarns their colours."""
        warp, weft = (
            cv2.remap(plane, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101) * plan.dye
            for plane in (cloth.warp, cloth.weft)
        )
        scene = np.empty((3, self.size, self.size), np.float32)
        for c, plane in enumerate(scene):
            np.multiply(warp, _WARP[c] * plan.tint[c], out=plane)
            plane += weft * (_WEFT[c] * (0.5 + 0.5 * plan.tint[c]))
        return scene

    def yarn_at(self, plan: FabricPlan, place: Points, across: bool) -> tuple[float, float]:
        """Window px of the middle of the yarn next to a place (fractions): its first and last edge."""
        along = place[1] if across else place[0]
        start = plan.corner[0] if across else plan.corner[1]
        yarn = math.floor((along * self.size + self.margin + start) / (PERIOD * self.size))
        return yarn * PERIOD * self.size - start, (yarn + 1) * PERIOD * self.size - start

    def _gains(self, start: int, length: int, rng: Generator) -> Plane:
        """Brightness of each pixel line of a window by the yarn that it lies on; (length,)."""
        yarn = ((np.arange(length) + start + 0.5) / (PERIOD * self.size)).astype(np.int64)
        gains = 1 + 0.035 * np.clip(rng.standard_normal(int(yarn[-1]) + 1), -2, 2)
        return gains.astype(np.float32)[yarn]
