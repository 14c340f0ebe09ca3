"""The still layers of a woven fabric: a swatch of 2/2 twill, with every yarn, drawn once per image size.

Each crossing is decided by height: the yarn on top of the weave pattern bulges up over the other. The same
swatch without its weft, and without its warp, is kept beside it, so that a missing yarn really bares
what lies under it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from sightline.data.sample.plane import Plane, averaged, softened
from sightline.data.sample.texture import cloud, grain, room

YARNS: Final = 52
"""Yarns across the image, each way."""
PERIOD: Final = 1.0 / YARNS
_FINE_PX: Final = 1024


@dataclass(frozen=True)
class Weave:
    """Light reflected by each set of yarns, per unit of its colour; (room, room) float32, 0 where hidden."""

    warp: Plane
    """Yarns that run up and down."""
    weft: Plane
    """Yarns that run across (picks)."""


@dataclass(frozen=True)
class FabricLayers:
    """The whole swatch, and the swatch with one set of yarns pulled out."""

    whole: Weave
    no_weft: Weave
    no_warp: Weave


def build_layers(size: int) -> FabricLayers:
    """Draw finely, then average down to `room(size)` pixels a side."""
    side = room(size)
    over = max(2, math.ceil(_FINE_PX / size))
    rng = np.random.default_rng(31)
    warp_height, warp_light = _yarns(side * over, size * over, rng, across=False)
    weft_height, weft_light = _yarns(side * over, size * over, rng, across=True)
    gone = np.full_like(warp_height, -2.0)

    def weave(warp: Plane, weft: Plane) -> Weave:
        seen_warp, seen_weft = _cross(warp, weft, warp_light, weft_light)
        return Weave(averaged(seen_warp, side), averaged(seen_weft, side))

    return FabricLayers(weave(warp_height, weft_height), weave(warp_height, gone), weave(gone, weft_height))


def _yarns(side: int, per_image: int, rng: Generator, across: bool) -> tuple[Plane, Plane]:
    """Height and light of one set of yarns, drawn upright (and turned for the weft); (side, side)."""
    place = ((np.arange(side) + 0.5) * (YARNS / per_image)).astype(np.float32)
    yarn = place.astype(np.int32)
    count = int(yarn[-1]) + 1
    beats = max(4, side * 12 // per_image)
    thick = cv2.resize(rng.standard_normal((beats, count)).astype(np.float32), (count, side))
    # One column per yarn, stretched along it, then handed to every pixel that lies on the yarn.
    width = 0.94 * (1 + 0.055 * thick[:, yarn] + 0.03 * rng.standard_normal(count).astype(np.float32)[yarn])
    sway = cv2.resize(rng.standard_normal((beats * 2, count)).astype(np.float32), (count, side))[:, yarn]
    off = (place - yarn - 0.5)[None, :] + 0.045 * sway
    round_top = 1 - (2 * off / width) ** 2
    # 2/2 twill: over two, under two, one further with each yarn.
    phase = (place[:, None] - yarn[None, :] + (0.5 if across else 0.0)) * (math.pi / 2)
    lift = np.cos(phase - 0.75 * math.pi) if not across else -np.cos(phase + math.pi * 0.75)
    height = np.where(round_top > 0, 0.9 * np.sqrt(np.maximum(round_top, 0)) + 0.75 * lift, -2.0)
    twist = np.sin(2 * math.pi * (place[:, None] * 1.9 + off * (1.6 if across else -1.6)))
    fuzz = grain(side, side, per_image / 1600, rng)
    light = (0.80 - 0.38 * off) * (0.52 + 0.48 * np.sqrt(np.maximum(round_top, 0.02)))
    light = light * (0.90 + 0.22 * lift) * (1 + 0.07 * twist + 0.085 * fuzz)
    light *= 1 + 0.05 * rng.standard_normal(count).astype(np.float32)[yarn]
    if across:
        height, light = height.T, light.T
    return np.ascontiguousarray(height, dtype=np.float32), np.ascontiguousarray(light, dtype=np.float32)


def _cross(warp: Plane, weft: Plane, warp_light: Plane, weft_light: Plane) -> tuple[Plane, Plane]:
    """What is seen of either set, darker the deeper it lies."""
    top = np.maximum(warp, weft)
    depth: Plane = np.clip(0.34 + 0.50 * (top + 0.4), 0.06, 1.0).astype(np.float32)
    depth *= softened(depth, 2.0) ** 0.5
    seen = top > -1.5
    on_top = warp >= weft
    return (depth * warp_light * (seen & on_top)).astype(np.float32), (depth * weft_light * (seen & ~on_top)).astype(
        np.float32
    )


def mottle(side: int, rng: Generator) -> Plane:
    """Slow unevenness of dye and tension, about 1; (side, side)."""
    return np.asarray(1 + 0.020 * cloud(side, side, 5, rng) + 0.014 * cloud(side, side, 16, rng), dtype=np.float32)
