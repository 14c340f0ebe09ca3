"""The defects of a sample cap, a printed plastic bottle cap on a conveyor belt: one function per type."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from sightline.data.sample.cap_scene import BAND_RADIUS, PLASTIC, TOP_RADIUS, CapPlan, CapScene
from sightline.data.sample.drawing import (
    Colour,
    Plane,
    Planes,
    Points,
    between,
    blob_outline,
    column,
    curve,
    polygon,
    wander,
)
from sightline.data.sample.product import Flaw

_BRUISE: Final[Colour] = (0.22, 0.36, 0.66)
"""Stressed plastic turns pale."""


def _spot(plan: CapPlan, chance: Generator, reach: float = TOP_RADIUS - 0.03) -> Points:
    """A random place on the top of the cap, uniform by area."""
    angle, radius = chance.uniform(0, 2 * math.pi), reach * math.sqrt(chance.uniform(0, 1))
    return np.asarray(plan.centre + radius * np.array([math.cos(angle), math.sin(angle)]))


def _scratch(scene: CapScene, plan: CapPlan, good: Planes, chance: Generator) -> Planes:
    """One to three strokes of a sharp edge: a pale line with a dark flank."""
    planes = good.copy()
    lit = np.minimum(scene.on_cap(plan), 1)
    length, width = between(chance, 0.07, 0.34), between(chance, 0.0016, 0.0050)
    start, heading = _spot(plan, chance, 0.22), chance.uniform(0, 2 * math.pi)
    opacity = chance.uniform(0.45, 0.95)
    for _ in range(int(chance.integers(1, 4))):
        path = wander(start + chance.normal(0, 0.012, 2), heading, length * chance.uniform(0.5, 1), chance, 0.25)
        taper = width * np.sin(np.linspace(0.15, math.pi - 0.05, len(path))) ** 0.6
        curve(scene.size, path, taper * 1.4, move=0.0018).faded(lit).shade(planes, 1 - 0.55 * opacity)
        curve(scene.size, path, taper).faded(lit).paint(planes, _BRUISE, opacity)
    return planes


def _dent(scene: CapScene, plan: CapPlan, good: Planes, chance: Generator) -> Planes:
    """A dimple: the near side falls out of the light, the far side catches it."""
    planes = good.copy()
    depth, radius = chance.uniform(0.35, 1.0), between(chance, 0.022, 0.060)
    spot = _spot(plan, chance, 0.27)
    side = scene.size
    patch = polygon(side, spot + 3 * radius * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]))
    height, width = patch.alpha.shape
    x = (patch.left + np.arange(width, dtype=np.float32)[None, :] + 0.5) / side - spot[0]
    y = (patch.top + np.arange(height, dtype=np.float32)[:, None] + 0.5) / side - spot[1]
    turn, oval = chance.uniform(0, math.pi), chance.uniform(1.0, 1.5)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    bowl = np.exp(-0.5 * ((along / oval) ** 2 + (across * oval) ** 2) / (0.5 * radius) ** 2)
    slope_y, slope_x = (np.gradient(bowl, axis=axis) * side * radius for axis in (0, 1))
    light = -(0.62 * slope_x + 0.78 * slope_y)  # the far wall of a hollow faces the light
    under = patch.on(planes)
    under *= np.clip(1 + depth * 0.75 * light, 0.15, 2.2) * (1 - 0.25 * depth * bowl)
    glint = 0.16 * depth * np.maximum(light - 0.35, 0) ** 2 * np.minimum(patch.on(scene.on_cap(plan)), 1)
    under += glint
    return planes


def _print_spot(inks: tuple[Plane, Plane], chance: Generator) -> Points:
    """A place that good caps have ink on."""
    rows, columns = np.nonzero(np.maximum(*inks) > 0.5)
    pick = chance.integers(len(rows))
    position = np.array([columns[pick] + 0.5, rows[pick] + 0.5])
    return np.asarray(position / inks[0].shape[0], dtype=np.float64)


def _missing_print(scene: CapScene, plan: CapPlan, _: Planes, chance: Generator) -> Planes:
    """Ink that did not transfer: a patch of the print is thin or gone."""
    inks = scene.inks(plan)
    outline = blob_outline(_print_spot(inks, chance), between(chance, 0.022, 0.10), chance, 0.5, chance.uniform(1, 2.5))
    gone = polygon(scene.size, outline, soft=0.0016)
    strength = chance.uniform(0.6, 1.0)
    for ink in inks:
        under = gone.on(ink)
        # Thick film (where the ink is dense) lets go last: a mottled edge.
        under *= 1 - np.clip(strength * 1.25 * gone.alpha * (2 - gone.on(plan.ink)), 0, strength)
    return scene.compose(plan, *inks)


def _smeared_print(scene: CapScene, plan: CapPlan, _: Planes, chance: Generator) -> Planes:
    """Wet ink dragged across the cap by a guide rail."""
    inks = scene.inks(plan)
    drag = between(chance, 0.025, 0.085)
    outline = blob_outline(_print_spot(inks, chance), chance.uniform(0.04, 0.10), chance, 0.3, 1.6)
    where = polygon(scene.size, outline, soft=0.006)
    angle = chance.uniform(0, 2 * math.pi)
    pulled = tuple(_drag(ink, drag * scene.size, angle) for ink in inks)
    weight = np.zeros_like(inks[0])
    where.on(weight)[...] = where.alpha
    lit = np.minimum(scene.on_cap(plan), 1)
    smeared = [np.maximum(ink, weight * lit * tail) for ink, tail in zip(inks, pulled, strict=True)]
    return scene.compose(plan, smeared[0], smeared[1] * (1 - 0.7 * smeared[0]))


def _drag(ink: Plane, length_px: float, angle: float) -> Plane:
    """Ink pulled along a direction: a one-sided, fading motion blur."""
    reach = max(1, math.ceil(length_px))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for step in np.linspace(0, 1, 3 * reach):
        x, y = reach + step * length_px * math.cos(angle), reach + step * length_px * math.sin(angle)
        kernel[round(y), round(x)] += 1.0 - 0.8 * step
    tail = cv2.filter2D(ink, cv2.CV_32F, kernel[::-1, ::-1] / kernel.sum(), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(np.minimum(tail * 1.7, 0.92), dtype=np.float32)


def _contamination(scene: CapScene, plan: CapPlan, good: Planes, chance: Generator) -> Planes:
    """Burnt specks moulded in, or a fibre that fell on the cap."""
    planes = good.copy()
    spot, size = _spot(plan, chance), scene.size
    if chance.random() < 0.4:
        path = wander(spot, chance.uniform(0, 2 * math.pi), between(chance, 0.06, 0.20), chance, 3.0)
        width = chance.uniform(0.0022, 0.0042)
        curve(size, path, width, soft=0.0022, move=0.0042).shade(planes, 0.55)
        curve(size, path, width).paint(planes, (0.030, 0.024, 0.020), 0.9)
        return planes
    for radius in between(chance, 0.006, 0.024) * chance.uniform(0.25, 1, int(chance.integers(1, 5))):
        outline = blob_outline(spot + chance.normal(0, 0.03, 2), float(radius), chance, 0.5, 1.3)
        polygon(size, outline, soft=0.0010).paint(planes, (0.020, 0.015, 0.010), chance.uniform(0.65, 0.95))
    return planes


def _chipped_edge(scene: CapScene, plan: CapPlan, good: Planes, chance: Generator) -> Planes:
    """A bite out of the skirt: the belt shows, and the pale fracture face around the gap."""
    planes = good.copy()
    angle, span = chance.uniform(0, 2 * math.pi), between(chance, 0.05, 0.19)
    bite = between(chance, 0.018, 0.050)
    swing = np.linspace(-span, span, 24)
    ragged = 1 + 0.22 * np.convolve(chance.standard_normal(26), np.ones(3) / 3, "valid")
    inner = BAND_RADIUS - bite * np.sqrt(np.clip(1 - (swing / span) ** 2, 0, 1)) * ragged
    outer = np.full_like(swing, BAND_RADIUS + 0.0012)
    size = scene.size
    face = polygon(size, _ring_points(plan, angle + swing * 1.04, inner - 0.008, outer), soft=0.0008)
    face.faded(np.minimum(1, 3 * scene.on_cap(plan))).paint(planes, (0.07, 0.18, 0.44), 0.85)
    gap = polygon(size, _ring_points(plan, angle + swing, inner, outer), soft=0.0006)
    # The belt under the cap lies in the cap's own shade.
    under = gap.on(planes)
    under += gap.alpha * (column((0.046, 0.048, 0.048)) * gap.on(plan.belt) - under)
    return planes


def _ring_points(plan: CapPlan, angle: Points, inner: Points, outer: Points) -> Points:
    """The closed outline between two radii over a range of angles."""
    ray = np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.concatenate([plan.centre + ray * inner[:, None], (plan.centre + ray * outer[:, None])[::-1]])


def _flash(scene: CapScene, plan: CapPlan, good: Planes, chance: Generator) -> Planes:
    """A thin fin of plastic squeezed out where the mould did not close."""
    planes = good.copy()
    angle, span = chance.uniform(0, 2 * math.pi), between(chance, 0.08, 0.35)
    reach = between(chance, 0.007, 0.030)
    swing = np.linspace(-span, span, 40)
    ragged = np.clip(1 + 0.9 * np.convolve(chance.standard_normal(60), np.hanning(21) / 10, "valid"), 0.15, 2)
    outer = BAND_RADIUS + reach * np.clip(1 - (swing / span) ** 2, 0, 1) ** 0.6 * ragged
    fin = _ring_points(plan, angle + swing, np.full_like(swing, BAND_RADIUS - 0.003), outer)
    size = scene.size
    polygon(size, fin, soft=0.004, move=0.005).shade(planes, 0.6)
    thin: Colour = (PLASTIC[0] * 1.6, PLASTIC[1] * 1.15, PLASTIC[2] * 0.85)
    polygon(size, fin, soft=0.0005).paint(planes, thin, 0.88)
    edge = fin[len(swing) :]
    curve(size, edge, 0.0022).paint(planes, (0.10, 0.24, 0.55), 0.45)
    # The print above covers nothing here, but the skirt must stay in front of the fin's root.
    curve(size, fin[: len(swing)], 0.003, soft=0.001).shade(planes, 0.7)
    return planes


def _off_centre_print(scene: CapScene, plan: CapPlan, _: Planes, chance: Generator) -> Planes:
    """The whole print sits beside the middle, beyond any tolerance of good parts."""
    reach, angle = between(chance, 0.012, 0.055), chance.uniform(0, 2 * math.pi)
    return scene.draw(replace(plan, print_shift=(reach * math.cos(angle), reach * math.sin(angle))))


DEFECTS: Final[dict[str, Flaw[CapScene, CapPlan]]] = {
    "scratch": Flaw(_scratch, major=0.00012, critical=0.0003),
    "dent": Flaw(_dent, major=0.00045, critical=0.0008),
    "missing_print": Flaw(_missing_print, major=0.0004, critical=0.0012),
    "smeared_print": Flaw(_smeared_print, major=0.0015, critical=0.0035),
    "contamination": Flaw(_contamination, major=0.00015, critical=0.0004),
    "chipped_edge": Flaw(_chipped_edge, major=0.00045, critical=0.0009),
    "flash": Flaw(_flash, major=0.00055, critical=0.001),
    "off_centre_print": Flaw(_off_centre_print, major=0.0515, critical=0.056),
}
