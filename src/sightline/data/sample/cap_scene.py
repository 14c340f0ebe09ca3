"""A bottle cap on a conveyor belt: still layers, drawn once per image size, and what is put together of them per cap.

The cap is modelled as a height map (domed top, groove, rounded rim, knurled skirt, tamper band) lit by one
large softbox from the upper left; the print is coverage only, because its ink is lit by the same light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from sightline.data.sample import lettering
from sightline.data.sample.drawing import (
    Colour,
    Plane,
    Planes,
    Points,
    Tile,
    averaged,
    cloud,
    grain,
    room,
    smoothstep,
    unit_grid,
)
from sightline.data.sample.product import Lot

CENTRE = np.array([0.5, 0.5])
TOP_RADIUS = 0.335
RIM_RADIUS = 0.365
BAND_RADIUS = 0.418
KNURLS = 96
_LIGHT = np.array([-0.42, -0.55, 0.72]) / math.sqrt(0.42**2 + 0.55**2 + 0.72**2)
_FINE_PX = 1024

PLASTIC: Colour = (0.016, 0.120, 0.420)
WHITE_INK: Colour = (0.80, 0.81, 0.78)
ACCENT_INK: Colour = (0.88, 0.55, 0.05)
_BELT: Colour = (0.098, 0.102, 0.100)
PRINT_TOLERANCE = 0.0032
"""Deviation of the print's position on good parts, fraction of the image side."""


@dataclass(frozen=True)
class CapLayers:
    """All (size, size) float32, of a cap at the nominal pose."""

    lit: Plane
    """Diffuse light on the cap; 0 off the cap."""
    gloss: Plane
    """Light reflected by the surface whatever its colour; 0 off the cap."""
    keep: Plane
    """How much light of the belt is seen: 0 on the cap, less than 1 in its shadow."""
    white: Plane
    accent: Plane
    """Coverage of the two inks."""


def build_layers(size: int) -> CapLayers:
    """Draw at least 1024 px wide, then average down: anti-aliased at any size."""
    fine = size * max(2, math.ceil(_FINE_PX / size))
    x, y = unit_grid(fine)
    dx, dy = x - 0.5, y - 0.5
    radius = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx)
    silhouette = np.asarray(BAND_RADIUS + 0.0006 * np.cos(KNURLS * angle), dtype=np.float32)
    alpha = np.clip((silhouette - radius) * fine + 0.5, 0, 1)
    diffuse, gloss = _light(_height(radius, angle), radius, dx, dy)
    layers = (alpha * diffuse, alpha * gloss, _shadow(radius, dx, dy) * (1 - alpha), *_print(fine))
    return CapLayers(*(averaged(layer.astype(np.float32), size) for layer in layers))


def _height(radius: Plane, angle: Plane) -> Plane:
    """Height above the belt in fractions of the side (only its slope matters)."""
    dome = -0.06 * radius**2
    groove = -0.0022 * np.exp(-(((radius - 0.312) / 0.0032) ** 2))
    rim = 0.0035 * np.exp(-(((radius - 0.345) / 0.010) ** 2))
    fall = -0.9 * np.maximum(radius - RIM_RADIUS + 0.012, 0) ** 1.25
    on_skirt = smoothstep(0.356, 0.370, radius) * (1 - smoothstep(0.398, 0.403, radius))
    knurl = 0.0030 * on_skirt * np.abs(np.cos(KNURLS / 2 * angle)) ** 0.7
    band = 0.010 * np.exp(-(((radius - 0.4105) / 0.0045) ** 2))
    return np.asarray(dome + groove + rim + fall + knurl + band, dtype=np.float32)


def _light(height: Plane, radius: Plane, dx: Plane, dy: Plane) -> tuple[Plane, Plane]:
    """Diffuse and glossy light of a surface of this height."""
    step = 1.0 / height.shape[0]
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / (8 * step))
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / (8 * step))
    norm = 1.0 / np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    facing = np.maximum((-slope_x * _LIGHT[0] - slope_y * _LIGHT[1] + _LIGHT[2]) * norm, 0)
    # Deep places see less of the room's light: the gap under the skirt and the groove.
    open_sky = 1.0 - 0.55 * np.exp(-(((radius - 0.4035) / 0.0028) ** 2))
    open_sky *= 1.0 - 0.25 * np.exp(-(((radius - 0.312) / 0.0040) ** 2))
    diffuse = (0.30 + 0.95 * facing) * open_sky * (0.62 + 0.38 * norm)
    half = _LIGHT + np.array([0, 0, 1.0])
    half /= np.linalg.norm(half)
    mirror = np.maximum((-slope_x * half[0] - slope_y * half[1] + half[2]) * norm, 0)
    # The softbox seen in the dome: a broad, faint sheen on the upper left.
    sheen = 0.030 * np.exp(-(((dx + 0.13) ** 2 + (dy + 0.17) ** 2) / 0.16**2))
    gloss = 0.75 * mirror**60 * (radius > TOP_RADIUS - 0.03) + sheen + 0.006
    return diffuse.astype(np.float32), gloss.astype(np.float32)


def _shadow(radius: Plane, dx: Plane, dy: Plane) -> Plane:
    """What is left of the belt's light beside the cap: a cast shadow and a dark contact line."""
    cast = np.sqrt((dx - 0.014) ** 2 + (dy - 0.019) ** 2)
    shade = 0.62 * (1 - smoothstep(BAND_RADIUS - 0.012, BAND_RADIUS + 0.038, cast))
    contact = 0.35 * (1 - smoothstep(BAND_RADIUS, BAND_RADIUS + 0.014, radius))
    return np.asarray((1 - shade) * (1 - contact), dtype=np.float32)


def _print(side: int) -> tuple[Plane, Plane]:
    """The white ink (ring text, rules, mountains) and the accent ink (sun, waves)."""
    white, accent = (np.zeros((side, side), np.float32) for _ in range(2))
    lettering.along_circle(white, "SIGHTLINE SPRINGS", 0.2435, 0.046)
    lettering.along_circle(white, "NATURAL MINERAL WATER", 0.2435, 0.026, spacing=1.2, below=True)
    for turn in (-1.6, 1.6):
        position = (0.5 + 0.2435 * math.sin(turn), 0.5 - 0.2435 * math.cos(turn))
        _disc(accent, position, 0.011)
    _ring(white, 0.291, 0.0050)
    _ring(white, 0.196, 0.0032)
    _disc(accent, (0.555, 0.405), 0.034)
    _fill(white, [(0.36, 0.535), (0.445, 0.39), (0.49, 0.455), (0.515, 0.42), (0.59, 0.535)])
    _fill(white, [(0.36, 0.535), (0.445, 0.465), (0.475, 0.50), (0.515, 0.470), (0.59, 0.535)], 0)
    for row, span in enumerate((0.135, 0.115, 0.085)):
        _wave(accent if row == 1 else white, 0.563 + 0.030 * row, span)
    return white, np.where(white > accent, 0, accent).astype(np.float32)


def _fill(plane: Plane, outline: list[tuple[float, float]], level: float = 1) -> None:
    dots = np.round(np.array(outline) * plane.shape[0] * 16).astype(np.int32)
    cv2.fillPoly(plane, [dots], level, cv2.LINE_8, 4)


def _disc(plane: Plane, centre: tuple[float, float], radius: float) -> None:
    turn = np.linspace(0, 2 * math.pi, 90, endpoint=False)
    dots = np.stack([centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn)], 1)
    _fill(plane, [(float(x), float(y)) for x, y in dots])


def _ring(plane: Plane, radius: float, width: float) -> None:
    x, y = unit_grid(plane.shape[0])
    distance = np.abs(np.sqrt((x - 0.5) ** 2 + (y - 0.5) ** 2) - radius)
    np.maximum(plane, np.clip((width / 2 - distance) * plane.shape[0] + 0.5, 0, 1), out=plane)


def _wave(plane: Plane, height: float, span: float) -> None:
    x = np.linspace(-span, span, 60)
    upper = np.stack([0.5 + x, height + 0.007 * np.sin(x * 75)], 1)
    lower = upper[::-1] + np.array([0, 0.0115])
    _fill(plane, [(float(a), float(b)) for a, b in np.concatenate([upper, lower])])


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
