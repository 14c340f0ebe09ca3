"""What goes wrong with circuit boards: one function per defect type, and the table that names them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.random import Generator

from sightline.data.sample.board_layers import TIN
from sightline.data.sample.board_layout import COMPONENTS, Component, Land, lands
from sightline.data.sample.board_scene import BoardPlan, BoardScene
from sightline.data.sample.drawing import (
    Colour,
    Patch,
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

_CHIPS: Final = ("resistor", "capacitor")
_LOOSE: Final = (*_CHIPS, "diode", "tantalum", "sot", "crystal", "inductor", "soic", "electrolytic")
_COPPER: Final[Colour] = (0.60, 0.36, 0.20)


def _one_of(chance: Generator, packages: tuple[str, ...]) -> Component:
    """A component of one of the packages; first the package by chance, so that rare ones get their turn."""
    package = packages[int(chance.integers(len(packages)))]
    parts = [part for part in COMPONENTS if part.package == package]
    return parts[int(chance.integers(len(parts)))]


def _spot(plan: BoardPlan, chance: Generator) -> Points:
    """A random place on the board, on the image."""
    x, y = chance.uniform(0.10, 0.90, 2)
    return plan.point(float(x), float(y))


def _missing_component(scene: BoardScene, plan: BoardPlan, _: Planes, chance: Generator) -> Planes:
    """The part was never placed, or fell off: its pads lie bare."""
    part = _one_of(chance, _LOOSE)
    return scene.draw(plan.changed(part.name, replace(plan.placements[part.name], present=False)))


def _misaligned(scene: BoardScene, plan: BoardPlan, _: Planes, chance: Generator) -> Planes:
    """The part sits beside its pads, or turned on them."""
    part = _one_of(chance, (*_LOOSE, *_CHIPS))
    good = plan.placements[part.name]
    shift, turn = between(chance, 0.006, 0.016), chance.choice((-1, 1)) * between(chance, 7, 38)
    heading = chance.uniform(0, 2 * math.pi)
    if chance.random() < 0.4:
        turn *= 0.1
    else:
        shift *= 0.3
    moved = (good.shift[0] + shift * math.cos(heading), good.shift[1] + shift * math.sin(heading))
    return scene.draw(plan.changed(part.name, replace(good, shift=moved, turn=good.turn + math.radians(turn))))


def _wrong_polarity(scene: BoardScene, plan: BoardPlan, _: Planes, chance: Generator) -> Planes:
    """A part that has a direction sits the wrong way round."""
    part = _one_of(chance, tuple(sorted({part.package for part in scene.polar})))
    return scene.draw(plan.changed(part.name, replace(plan.placements[part.name], flipped=True)))


def _tombstone(scene: BoardScene, plan: BoardPlan, _: Planes, chance: Generator) -> Planes:
    """A chip stands up on one pad, pulled there by solder that melted first: seen from above it is short."""
    part = _one_of(chance, _CHIPS)
    good = plan.placements[part.name]
    steep = chance.uniform(0.28, 0.62)
    ends = lands(part)
    end = ends[int(chance.integers(2))]
    lean = 1 - steep * 0.9
    shift = ((end.x - part.x) * lean + good.shift[0], (end.y - part.y) * lean + good.shift[1])
    stood = replace(good, shift=shift, stretch=steep, gain=0.85, turn=good.turn + math.radians(chance.normal(0, 5)))
    planes = scene.draw(plan.changed(part.name, replace(good, present=False)))
    # Standing 2 mm tall it throws a longer shadow than any chip lying flat.
    foot = plan.point(part.x + shift[0], part.y + shift[1])
    shadow = np.stack([foot, foot + np.array([0.030, 0.040]) * (1.1 - steep)])
    curve(scene.size, shadow, 0.019, soft=0.004).shade(planes, 0.45)
    upright = plan.changed(part.name, stood)
    scene.place(planes, upright, part)
    return planes


def _solder_bridge(scene: BoardScene, plan: BoardPlan, good: Planes, chance: Generator) -> Planes:
    """Solder that joins neighbouring leads."""
    planes = good.copy()
    part = _one_of(chance, ("qfp", "qfp", "soic"))
    pads = lands(part)
    pairs = [(a, b) for i, a in enumerate(pads) for b in pads[i + 1 :] if math.hypot(a.x - b.x, a.y - b.y) < 0.022]
    first, second = pairs[int(chance.integers(len(pairs)))]
    start, end = plan.point(first.x, first.y), plan.point(second.x, second.y)
    if chance.random() < 0.3:  # now and then it runs on over a third lead
        end = end + (end - start)
    out = _outwards(part, first, plan) * chance.uniform(-0.004, 0.008)
    steps = np.linspace(0, 1, 14)[:, None]
    waist = between(chance, 0.0045, 0.013)
    width = waist * (1 + 0.5 * np.abs(steps[:, 0] - 0.5)) * (1 + 0.1 * chance.standard_normal(14))
    path = start + out + steps * (end - start) + chance.normal(0, 0.0006, (14, 2))
    _bead(scene.size, planes, path, width)
    return planes


def _outwards(part: Component, pad: Land, plan: BoardPlan) -> Points:
    """Unit direction from the part's body to the toe of this pad, on the image."""
    level = pad.width > pad.height
    step = math.copysign(1.0, pad.x - part.x if level else pad.y - part.y)
    place = np.array([part.x, part.y]) + (np.array([step, 0]) if level else np.array([0, step]))
    return plan.point(float(place[0]), float(place[1])) - plan.point(part.x, part.y)


def _bead(size: int, planes: Planes, path: Points, width: Points) -> None:
    """A rounded string of solder: dark rim, grey flank, a bright line towards the light."""
    curve(size, path, width * 1.15, soft=0.0012, move=0.0016).shade(planes, 0.35)
    curve(size, path, width).paint(planes, (0.20, 0.205, 0.20), 1.0)
    curve(size, path - 0.10 * width.mean(), width * 0.70, soft=0.0008).paint(planes, TIN, 0.95)
    curve(size, path - 0.17 * width.mean(), width * 0.25, soft=0.0006).paint(planes, (0.98, 0.98, 0.97), 0.9)


def _scratch(scene: BoardScene, plan: BoardPlan, _: Planes, chance: Generator) -> Planes:
    """The bare board was scored down to the copper; parts placed later may hide some of it."""
    planes = scene.bare(plan)
    depth, length = chance.uniform(0.35, 1.0), between(chance, 0.07, 0.36)
    width = between(chance, 0.0018, 0.0048)
    path = wander(_spot(plan, chance), chance.uniform(0, 2 * math.pi), length, chance, 0.3)
    taper = width * np.sin(np.linspace(0.2, math.pi - 0.1, len(path))) ** 0.5
    # The tool slides unevenly over copper and legend: the score skips.
    skip = np.clip(0.75 + 0.5 * np.convolve(chance.standard_normal(len(path) + 4), np.ones(5) / 5, "valid"), 0.3, 1)
    size = scene.size
    curve(size, path, taper * 1.8, soft=0.0006).paint(planes, (0.16, 0.30, 0.18), 0.55 * depth)
    curve(size, path, taper * skip).paint(planes, _COPPER, 0.5 + 0.5 * depth)
    curve(size, path, taper * skip * 0.4, move=-0.0006).paint(planes, (0.92, 0.70, 0.52), depth**2)
    return scene.populate(planes, plan)


def _contamination(scene: BoardScene, plan: BoardPlan, good: Planes, chance: Generator) -> Planes:
    """Burnt flux, a fibre, or stray solder balls."""
    planes = good.copy()
    spot, size, kind = _spot(plan, chance), scene.size, chance.random()
    if kind < 0.40:
        outline = blob_outline(spot, between(chance, 0.014, 0.048), chance, 0.5, chance.uniform(1, 2))
        stain, rim = polygon(size, outline, soft=0.0035), polygon(size, outline, soft=0.0012)
        strength = chance.uniform(0.45, 1.0)
        stain.paint(planes, (0.155, 0.085, 0.020), 0.62 * strength)
        rim_only = Patch(rim.top, rim.left, 4 * rim.alpha * (1 - rim.alpha))
        rim_only.shade(planes, 1 - 0.5 * strength)
        _glaze(stain, planes, 0.05 * strength, chance)
    elif kind < 0.72:
        path = wander(spot, chance.uniform(0, 2 * math.pi), between(chance, 0.07, 0.22), chance, 3.0)
        tone: Colour = ((0.55, 0.55, 0.56), (0.50, 0.08, 0.07), (0.02, 0.02, 0.025))[int(chance.integers(3))]
        curve(size, path, 0.0032, soft=0.0024, move=0.0045).shade(planes, 0.55)
        curve(size, path, chance.uniform(0.0020, 0.0036)).paint(planes, tone, 0.92)
    else:
        for _ in range(int(chance.integers(1, 6))):
            ball = spot + chance.normal(0, 0.022, 2)
            radius = between(chance, 0.0035, 0.0085)
            _bead(size, planes, np.stack([ball, ball + 0.0004]), np.full(2, 2 * radius))
    return planes


def _glaze(patch: Patch, planes: Planes, strength: float, chance: Generator) -> None:
    """The uneven shine of dried flux."""
    height, width = patch.alpha.shape
    if min(height, width) < 4:
        return
    ramp = np.linspace(0, 9, width)[None, :] + np.linspace(0, 7, height)[:, None] + chance.uniform(0, 6)
    under = patch.on(planes)
    under += column((1.0, 0.85, 0.55)) * (strength * patch.alpha * np.maximum(np.sin(ramp), 0) ** 3).astype(np.float32)


DEFECTS: Final[dict[str, Flaw[BoardScene, BoardPlan]]] = {
    "missing_component": Flaw(_missing_component, major=0.0003, critical=0.001),
    "misaligned": Flaw(_misaligned, major=0.0003, critical=0.0008),
    "solder_bridge": Flaw(_solder_bridge, major=8.5e-05, critical=0.00014),
    "tombstone": Flaw(_tombstone, major=0.00022, critical=0.0003),
    "wrong_polarity": Flaw(_wrong_polarity, major=0.00024, critical=0.0006),
    "scratch": Flaw(_scratch, major=0.00022, critical=0.0004),
    "contamination": Flaw(_contamination, major=0.00015, critical=0.0004),
}
