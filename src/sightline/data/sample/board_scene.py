"""A populated circuit board in its fixture: bare board and parts put together for one board."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sightline.data.sample.board_layers import build_layers
from sightline.data.sample.board_layout import COMPONENTS, Component
from sightline.data.sample.board_sprites import Sprite, build_sprite
from sightline.data.sample.drawing import Colour, Plane, Planes, Points, Tile, cloud, grain, room
from sightline.data.sample.product import Lot

_FIXTURE: Colour = (0.030, 0.031, 0.034)
PLACEMENT = 0.0011
"""Deviation of a placed part on good boards, fraction of the side."""
_POLAR = ("electrolytic", "tantalum", "diode", "soic", "qfp")


@dataclass(frozen=True)
class Placement:
    """Where one component really sits, against the layout."""

    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    """Radians."""
    gain: float = 1.0
    """Brightness of its body."""
    flipped: bool = False
    stretch: float = 1.0
    """Apparent length: less than 1 for a part that stands up."""
    present: bool = True


@dataclass(frozen=True)
class BoardPlan:
    """Everything that differs between good boards."""

    shift: tuple[float, float]
    turn: float
    """Pose of the board: fractions of the side, radians."""
    tint: Colour
    lacquer: Plane
    solder: Plane
    fixture: Plane
    """Textures about 1."""
    placements: dict[str, Placement] = field(default_factory=dict)

    def changed(self, name: str, placement: Placement) -> BoardPlan:
        """This plan with another placement of one component."""
        return replace(self, placements={**self.placements, name: placement})

    def point(self, x: float, y: float) -> Points:
        """A place on the board -> on the image, both fractions."""
        dx, dy = x - 0.5, y - 0.5
        cosine, sine = math.cos(self.turn), math.sin(self.turn)
        return np.array([0.5 + self.shift[0] + cosine * dx - sine * dy, 0.5 + self.shift[1] + sine * dx + cosine * dy])


class BoardScene:
    """Draws boards of one image size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._layers = build_layers(size)
        self._sprites = {part.name: build_sprite(part, size) for part in COMPONENTS}
        rng = np.random.default_rng(8)
        side, scale = room(size), size / 512
        self._lacquer = Tile(1 + 0.030 * cloud(side, side, 8, rng) + 0.015 * grain(side, side, 0.7 * scale, rng), size)
        self._solder = Tile(0.20 * grain(side, side, 2.2 * scale, rng) + 0.10 * cloud(side, side, 30, rng), size)
        self._fixture = Tile(1 + 0.10 * grain(side, side, 1.0 * scale, rng) + 0.06 * cloud(side, side, 6, rng), size)

    @cached_property
    def _flipped(self) -> dict[str, Sprite]:
        return {part.name: build_sprite(part, self.size, True) for part in COMPONENTS if part.package in _POLAR}

    @property
    def polar(self) -> list[Component]:
        """The parts that can be put on the wrong way round."""
        return [part for part in COMPONENTS if part.package in _POLAR]

    def plan(self, rng: Generator, lot: Lot) -> BoardPlan:
        """The harmless variation of one good board."""
        x, y = np.clip(rng.standard_normal(2), -2, 2) * 0.0028
        red, green, blue = np.array(lot.tint) * (1 + 0.008 * rng.standard_normal(3))
        offsets = np.clip(rng.standard_normal((len(COMPONENTS), 4)), -2, 2)
        # The pick-and-place machine of a lot is off by the same amount for every part.
        offsets[:, :2] = 0.8 * offsets[:, :2] + 0.6 * np.array(lot.shift)
        return BoardPlan(
            shift=(float(x), float(y)),
            turn=math.radians(float(np.clip(0.35 * rng.standard_normal(), -0.8, 0.8))),
            tint=(float(red), float(green), float(blue)),
            lacquer=self._lacquer.window(rng),
            solder=self._solder.window(rng),
            fixture=self._fixture.window(rng),
            placements={
                part.name: Placement(
                    shift=(float(right) * PLACEMENT, float(down) * PLACEMENT),
                    turn=math.radians(0.7 * float(turn)),
                    gain=1 + 0.05 * float(gain),
                )
                for part, (right, down, turn, gain) in zip(COMPONENTS, offsets, strict=True)
            },
        )

    def draw(self, plan: BoardPlan) -> Planes:
        """The board of this plan, (3, size, size)."""
        return self.populate(self.bare(plan), plan)

    def populate(self, scene: Planes, plan: BoardPlan) -> Planes:
        """Set all parts of the plan on a bare board, in place; returns it."""
        for part in COMPONENTS:
            if plan.placements[part.name].present:
                self.place(scene, plan, part)
        return scene

    def bare(self, plan: BoardPlan) -> Planes:
        """The board without parts, in its fixture."""
        middle = (self.size - 1) / 2
        matrix = np.asarray(cv2.getRotationMatrix2D((middle, middle), math.degrees(-plan.turn), 1.0), np.float64)
        matrix[:, 2] += np.array(plan.shift) * self.size
        fixture = self._warp(self._layers.keep, matrix, 1.0) * plan.fixture
        lit = plan.lacquer + self._warp(self._layers.solder, matrix, 0.0) * plan.solder
        scene = np.empty((3, self.size, self.size), np.float32)
        for c, plane in enumerate(scene):
            np.multiply(self._warp(self._layers.board[c], matrix, 0.0), lit, out=plane)
            plane *= plan.tint[c]
            plane += fixture * _FIXTURE[c]
        return scene

    def _warp(self, layer: Plane, matrix: NDArray[np.float64], outside: float) -> Plane:
        side = (self.size, self.size)
        placed = cv2.warpAffine(layer, matrix, side, borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
        return np.asarray(placed, dtype=np.float32)

    def place(self, scene: Planes, plan: BoardPlan, part: Component) -> None:
        """Set one part on the board where the plan has it, in place."""
        placement = plan.placements[part.name]
        pixels = (self._flipped if placement.flipped else self._sprites)[part.name].pixels
        reach = pixels.shape[0] / 2
        centre = plan.point(part.x + placement.shift[0], part.y + placement.shift[1]) * self.size
        angle = plan.turn + placement.turn
        half = math.ceil(reach * (abs(math.sin(angle)) + abs(math.cos(angle)))) + 1
        left, top = max(0, math.floor(centre[0]) - half), max(0, math.floor(centre[1]) - half)
        right, bottom = min(self.size, left + 2 * half + 1), min(self.size, top + 2 * half + 1)
        if right <= left or bottom <= top:
            return
        along = placement.stretch if part.turn % 2 == 0 else 1.0
        across = placement.stretch if part.turn % 2 == 1 else 1.0
        cosine, sine = math.cos(angle), math.sin(angle)
        linear = np.array([[cosine * along, -sine * across], [sine * along, cosine * across]])
        offset = centre - (left + 0.5, top + 0.5) - linear @ np.array([reach - 0.5, reach - 0.5])
        matrix = np.column_stack([linear, offset])
        placed = cv2.warpAffine(pixels, matrix, (right - left, bottom - top))
        red, green, blue, alpha = cv2.split(placed)
        under = scene[:, top:bottom, left:right]
        under *= 1 - alpha
        for plane, colour in zip(under, (red, green, blue), strict=True):
            plane += colour * np.float32(placement.gain)
