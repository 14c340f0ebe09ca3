"""What goes wrong with woven fabric: one function per defect type, and the table that names them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.random import Generator

from sightline.data.sample.fabric_layers import PERIOD, Weave
from sightline.data.sample.fabric_scene import FabricPlan, FabricScene
from sightline.data.sample.flaw import Flaw
from sightline.data.sample.patch import Patch, between, blob_outline, curve, polygon, wander
from sightline.data.sample.plane import Colour, Plane, Planes, Points, smoothstep, unit_grid

_BLUE: Final[Colour] = (0.075, 0.150, 0.290)
_PALE: Final[Colour] = (0.560, 0.540, 0.480)


def _spot(chance: Generator, border: float = 0.14) -> Points:
    return np.asarray(chance.uniform(border, 1 - border, 2), dtype=np.float64)


def _pull(scene: FabricScene, plan: FabricPlan, place: Points, length: float, across: bool, yarns: int = 1) -> Weave:
    """The cloth with neighbouring yarns gone over `length` (fraction, about `place`) of their run."""
    cloth = scene.window(plan, scene.layers.whole)
    first, last = scene.yarn_at(plan, place, across)
    last += (yarns - 1) * (last - first)
    side = cloth.warp.shape[0]
    line = np.arange(side, dtype=np.float32)
    soft = 0.18 * PERIOD * scene.size + 0.3
    middle = (place[0] if across else place[1]) * scene.size + scene.margin
    half = length * scene.size / 2
    along = smoothstep(middle - half - 2, middle - half + 2, line)
    along *= 1 - smoothstep(middle + half - 2, middle + half + 2, line)
    athwart = smoothstep(first - soft, first + soft, line) * (1 - smoothstep(last - soft, last + soft, line))
    band = athwart[:, None] * along[None, :] if across else along[:, None] * athwart[None, :]
    bared = scene.window(plan, scene.layers.no_weft if across else scene.layers.no_warp)
    return Weave(cloth.warp + band * (bared.warp - cloth.warp), cloth.weft + band * (bared.weft - cloth.weft))


def _missing_pick(scene: FabricScene, plan: FabricPlan, _: Planes, chance: Generator) -> Planes:
    """The weaving machine dropped a weft yarn, over part of the width or all of it."""
    place = _spot(chance)
    length = 3.0 if chance.random() < 0.3 else between(chance, 0.15, 0.8)
    cloth = _pull(scene, plan, place, length, across=True, yarns=1 + int(chance.random() < 0.25))
    return scene.dye(plan, cloth, scene.maps(plan))


def _broken_yarn(scene: FabricScene, plan: FabricPlan, _: Planes, chance: Generator) -> Planes:
    """A warp yarn tore: a run is missing and its loose ends lie on the cloth."""
    place, length = _spot(chance), between(chance, 0.05, 0.30)
    cloth = _pull(scene, plan, place, length, across=False)
    planes = scene.dye(plan, cloth, scene.maps(plan))
    for side in (-1, 1):
        end = place + np.array([0, side * length / 2])
        heading = chance.normal(-side * math.pi / 2, 0.7)
        _strand(scene.size, planes, wander(end, heading, chance.uniform(0.02, 0.06), chance, 1.5), 0.0095, _BLUE)
    return planes


def _strand(size: int, planes: Planes, path: Points, width: float, colour: Colour) -> None:
    """A loose yarn end: round, thinner to its tip, with its shadow."""
    taper = width * np.linspace(1, 0.35, len(path))
    curve(size, path, taper, soft=0.003, move=0.0045).shade(planes, 0.5)
    dark: Colour = (colour[0] * 0.45, colour[1] * 0.45, colour[2] * 0.45)
    curve(size, path, taper).paint(planes, dark, 0.95)
    curve(size, path - 0.0009, taper * 0.65, soft=0.0008).paint(planes, colour, 0.9)


def _hole(scene: FabricScene, plan: FabricPlan, good: Planes, chance: Generator) -> Planes:
    """A tear through to the dark table, with frayed ends reaching into it."""
    planes = good.copy()
    centre, radius, size = _spot(chance), between(chance, 0.011, 0.050), scene.size
    outline = blob_outline(centre, radius, chance, 0.35, chance.uniform(1.0, 2.0))
    polygon(size, outline, soft=0.005).shade(planes, 0.55)
    polygon(size, outline, soft=0.0012).paint(planes, (0.010, 0.010, 0.011), 0.97)
    for start in outline[chance.permutation(len(outline))[: 8 + round(500 * radius)]]:
        inward = math.atan2(*(centre - start)[::-1]) + chance.normal(0, 0.6)
        path = wander(start, inward, radius * chance.uniform(0.25, 0.95), chance, 1.2, steps=10)
        colour = _BLUE if chance.random() < 0.5 else _PALE
        curve(size, path, chance.uniform(0.0012, 0.0036)).paint(planes, colour, chance.uniform(0.5, 0.9))
    return planes


def _stain(scene: FabricScene, plan: FabricPlan, good: Planes, chance: Generator) -> Planes:
    """Oil, rust or water: the weave shows through, and the rim is darkest where it dried last."""
    planes = good.copy()
    outline = blob_outline(_spot(chance), between(chance, 0.028, 0.125), chance, 0.45, chance.uniform(1, 1.8))
    tone: Colour = ((0.30, 0.28, 0.25), (0.72, 0.45, 0.22), (0.55, 0.55, 0.58))[int(chance.integers(3))]
    strength = chance.uniform(0.30, 1.0)
    body, rim = polygon(scene.size, outline, soft=0.007), polygon(scene.size, outline, soft=0.004)
    red, green, blue = (1 - strength * 0.75 * (1 - value) for value in tone)
    body.shade(planes, (red, green, blue))
    Patch(rim.top, rim.left, 4 * rim.alpha * (1 - rim.alpha)).shade(planes, 1 - 0.28 * strength)
    return planes


def _slub(scene: FabricScene, plan: FabricPlan, _: Planes, chance: Generator) -> Planes:
    """A thick lump spun into a weft yarn: it pushes its neighbours aside and hides the warp."""
    place, length = _spot(chance), between(chance, 0.035, 0.16)
    swell = chance.uniform(0.40, 0.72)
    # The bulge opens about the middle of the yarn, which on the image lies where the window's yarn does.
    x, y = (axis - float(value) for axis, value in zip(unit_grid(scene.size), place, strict=True))
    bulge = np.exp(-((x / (0.55 * length)) ** 2) - (y / (1.7 * PERIOD)) ** 2).astype(np.float32)
    maps = scene.maps(plan)
    first, last = scene.yarn_at(plan, place, across=True)
    column, row = (min(scene.size - 1, int(value * scene.size)) for value in place)
    drift = (first + last) / 2 - float(maps[1][row, column])
    pulled = maps[1] + bulge * (drift - swell * y * scene.size)
    cloth = scene.window(plan, scene.layers.whole)
    lump = _pull_over(scene, plan, cloth, place, 0.8 * length)
    planes = scene.dye(plan, lump, (maps[0], pulled))
    planes *= 1 + 0.22 * swell * bulge * (1 - (y / PERIOD) * 0.8)
    return planes


def _pull_over(scene: FabricScene, plan: FabricPlan, cloth: Weave, place: Points, length: float) -> Weave:
    """The cloth with one weft yarn on top of all warp over `length`."""
    first, last = (round(edge) for edge in scene.yarn_at(plan, place, across=True))
    over = scene.window(plan, scene.layers.no_warp)
    side = cloth.warp.shape[0]
    middle = place[0] * scene.size + scene.margin
    x = np.arange(side, dtype=np.float32) - np.float32(middle)
    share: Plane = np.exp(-((x / (0.5 * length * scene.size)) ** 4)).astype(np.float32)[None, :]
    rows = slice(max(first, 0), max(last, first + 1))
    for plane, bared in ((cloth.warp, over.warp), (cloth.weft, over.weft)):
        plane[rows] += share * (bared[rows] - plane[rows])
    return cloth


def _foreign_fibre(scene: FabricScene, plan: FabricPlan, good: Planes, chance: Generator) -> Planes:
    """A hair or a coloured fibre lying on the cloth, or half woven in."""
    planes = good.copy()
    path = wander(_spot(chance), chance.uniform(0, 2 * math.pi), between(chance, 0.08, 0.38), chance, 1.8, steps=48)
    tone: Colour = ((0.02, 0.016, 0.014), (0.52, 0.05, 0.05), (0.75, 0.55, 0.10))[int(chance.integers(3))]
    width = between(chance, 0.0024, 0.0065)
    curve(scene.size, path, width, soft=0.003, move=0.004).shade(planes, 0.62)
    curve(scene.size, path, width).paint(planes, tone, chance.uniform(0.75, 0.98))
    bright: Colour = (tone[0] * 1.8 + 0.03, tone[1] * 1.8 + 0.03, tone[2] * 1.8 + 0.03)
    curve(scene.size, path - 0.0006, width * 0.35).paint(planes, bright, 0.6)
    return planes


def _crease(scene: FabricScene, plan: FabricPlan, _: Planes, chance: Generator) -> Planes:
    """A pressed-in fold: one flank towards the light, one away, the yarns bent between."""
    place, turn = _spot(chance, 0.25), chance.uniform(0, math.pi)
    depth, width = chance.uniform(0.28, 0.95), between(chance, 0.010, 0.024)
    x, y = (axis - float(value) for axis, value in zip(unit_grid(scene.size), place, strict=True))
    along = x * math.cos(turn) + y * math.sin(turn)
    bow = chance.normal(0, 0.25)
    off = y * math.cos(turn) - x * math.sin(turn) + bow * along**2
    reach = between(chance, 0.16, 0.60)
    fade = np.exp(-((along / reach) ** 4))
    flank = (off / width * np.exp(0.5 - 0.5 * (off / width) ** 2) * fade).astype(np.float32)
    ridge = (np.exp(-((off / (0.45 * width)) ** 2)) * fade).astype(np.float32)
    maps = scene.maps(plan)
    bend = (0.35 * depth * width * scene.size) * flank
    bent = (maps[0] - bend * math.sin(turn), maps[1] + bend * math.cos(turn))
    planes = scene.dye(plan, scene.window(plan, scene.layers.whole), bent)
    towards = math.copysign(1.0, math.cos(turn) * 0.8 - math.sin(turn) * 0.6)
    planes *= np.maximum(1 - 0.42 * depth * towards * flank + 0.30 * depth * ridge, 0.2)
    return planes


DEFECTS: Final[dict[str, Flaw[FabricScene, FabricPlan]]] = {
    "missing_pick": Flaw(_missing_pick, major=0.0015, critical=0.004),
    "broken_yarn": Flaw(_broken_yarn, major=0.00035, critical=0.0006),
    "hole": Flaw(_hole, major=0.0003, critical=0.0012),
    "stain": Flaw(_stain, major=0.0006, critical=0.002),
    "slub": Flaw(_slub, major=0.0009, critical=0.002),
    "foreign_fibre": Flaw(_foreign_fibre, major=0.00035, critical=0.00065),
    "crease": Flaw(_crease, major=0.002, critical=0.005),
}
