"""The studio: one product, one industrial camera, one seed; renders any part of a run on its own.

Each part draws from generators made of (seed, product, index) alone. Part 17 is therefore the same picture
in a run of 20 and in a run of 2,000, and the same part with and without a defect differs by the defect only.

The camera has a light field, a lens, gamma and sensor noise. Gamma is a square root: it is close to what machine-vision
cameras deliver, and it turns shot noise, whose variance grows with the light, into noise of constant deviation
(Anscombe, Biometrika 1948). One pregenerated noise tile therefore serves bright and dark areas alike.

A defect's mask is measured on the part with and without it: whatever it does (cover, expose, move, bend), the mask is
exactly the pixels that look different, and the grade follows from how large and how strong that difference is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sightline.core.errors import InputError
from sightline.data.sample import board_defects, cap_defects
from sightline.data.sample.board_scene import BoardScene
from sightline.data.sample.cap_scene import CapScene
from sightline.data.sample.drawing import Mask, Planes, Tile, grain, room, unit_grid
from sightline.data.sample.product import Flaw, Lot, Part, Product, draw_lot

PRODUCTS: Final[dict[str, tuple[Callable[[int], Any], Mapping[str, Flaw[Any, Any]]]]] = {
    "cap": (CapScene, cap_defects.DEFECTS),
    "board": (BoardScene, board_defects.DEFECTS),
}

VISIBLE = 0.022
"""Smallest change that counts, of the 0..1 range after gamma: above the noise of a small area."""
NOISE_LEVELS = 1.3
"""Deviation of the sensor noise in grey levels of 255."""

SIZES = (64, 2048)
_POSE, _LIGHT, _NOISE, _DEFECT, _LOT = range(5)
"""One stream of chance per purpose: more draws in one never move another."""
_ATTEMPTS = 16
_MIN_MASK = 1.2e-4
"""Smallest defect, share of the image: 32 px at 512 x 512."""


def open_product(name: str, size: int) -> Product:
    """A product for images of `size` px. Raises InputError for a name that does not exist."""
    _check(name)
    scene, defects = PRODUCTS[name]
    return Product(scene(size), defects)


def defect_types(name: str) -> tuple[str, ...]:
    """The defect types that a product can be rendered with, in a fixed order. Raises InputError as `open_product`."""
    _check(name)
    return tuple(PRODUCTS[name][1])


def _check(name: str) -> None:
    if name not in PRODUCTS:
        raise InputError(f"there is no sample product '{name}'. Choose one of: {', '.join(PRODUCTS)}")


@dataclass(frozen=True)
class Damage:
    """The difference that one defect makes."""

    mask: Mask
    """(size, size), True where the part changed visibly."""
    weight: float
    """Change after gamma summed over the mask, as a fraction of the image: area x contrast."""


def measure(good: Planes, spoiled: Planes) -> Damage:
    """Compare two drawings (3, H, W) of one part."""
    size = good.shape[-1]
    mask = np.zeros((size, size), np.bool_)
    # Gap closing reaches this far beyond the changed pixels.
    reach = max(1, round(0.004 * size))
    box = _changed_box(good, spoiled, 2 * reach)
    if box is None:
        return Damage(mask=mask, weight=0.0)
    change = np.abs(_gamma(spoiled[:, *box]) - _gamma(good[:, *box])).max(axis=0)
    visible = (change >= VISIBLE).astype(np.uint8)
    # People outline a defect as a whole: close the gaps that chance equality leaves inside it.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx(visible, cv2.MORPH_CLOSE, disc)
    mask[box] = closed > 0
    return Damage(mask=mask, weight=float(change[mask[box]].sum()) / size**2)


def _gamma(planes: Planes) -> Planes:
    return np.asarray(np.sqrt(np.clip(planes, 0, 1)), dtype=np.float32)


def _changed_box(good: Planes, spoiled: Planes, margin: int) -> tuple[slice, slice] | None:
    """Rows and columns that hold every difference; measuring there alone is several times faster."""
    differs = (good != spoiled).any(axis=0)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if len(rows) == 0:
        return None
    spans = ((int(found[0]), int(found[-1]) + 1) for found in (rows, columns))
    down, across = (slice(max(0, low - margin), high + margin) for low, high in spans)
    return down, across


@dataclass(frozen=True)
class Light:
    """The light on one part."""

    level: float
    slope: tuple[float, float]
    """Relative change across the image, left to right and top to bottom."""
    warmth: float
    blur: float
    """Deviation of the lens blur as a fraction of the image side."""


def draw_light(rng: Generator, lot: Lot, drift: float) -> Light:
    """Light of one part: its lot's lamps, a little flicker, and the slow `drift` (0 = none)."""
    across, down = 0.035 * rng.standard_normal(2)
    return Light(
        level=lot.level * (1.0 + 0.015 * float(rng.standard_normal())) * (1.0 + drift),
        slope=(float(across), float(down)),
        warmth=lot.warmth + 0.006 * float(rng.standard_normal()),
        blur=float(rng.uniform(0.0009, 0.0016)),
    )


class Camera:
    """Turns scenes of one size into images."""

    def __init__(self, size: int) -> None:
        self._x, self._y = (axis - 0.5 for axis in unit_grid(size))
        self._vignette = 1.0 - 0.16 * (self._x**2 + self._y**2)
        self._size = size
        side = room(size)
        # A colour sensor interpolates its mosaic, so its noise is slightly soft, not white.
        noise = grain(side, side, 0.45, np.random.default_rng(20_240))
        self._noise = Tile(noise * NOISE_LEVELS, size)

    def expose(self, scene: Planes, light: Light, rng: Generator) -> NDArray[np.uint8]:
        """(3, size, size) linear scene -> (size, size, 3) uint8 RGB."""
        across, down = light.slope
        field = self._vignette * ((1.0 + across * self._x) * (1.0 + down * self._y))
        field *= light.level * 255.0**2  # the square of the white level: the root comes after
        gains = (1.0 + light.warmth, 1.0, 1.0 - light.warmth)
        sigma = light.blur * self._size
        channels = []
        for plane, gain in zip(scene, gains, strict=True):
            lit = plane * field
            lit *= gain
            if sigma > 0.2:
                lit = cv2.GaussianBlur(lit, _kernel(sigma), sigma)
            np.sqrt(np.maximum(lit, 0.0, out=lit), out=lit)
            channels.append(cv2.add(lit, self._noise.window(rng), dtype=cv2.CV_8U))
        return np.asarray(cv2.merge(channels), dtype=np.uint8)


def _kernel(sigma: float) -> tuple[int, int]:
    side = 2 * max(1, round(2.5 * sigma)) + 1
    return side, side


class Studio:
    """Renders the parts of one run."""

    def __init__(self, product: str, *, seed: int = 0, size: int = 512, lots: int = 3) -> None:
        if not SIZES[0] <= size <= SIZES[1]:
            raise InputError(f"sample parts of {size} px cannot be drawn. Choose a size from {SIZES[0]} to {SIZES[1]}")
        if lots < 1:
            raise InputError(f"a run of {lots} lots is impossible. Choose lots of 1 or more")
        if seed < 0:
            raise InputError(f"the seed {seed} is negative. Choose a seed of 0 or more")
        self._key = (seed, zlib.crc32(product.encode()))
        self._size = size
        self._product, self._camera = _stage(product, size)
        self._lots = [draw_lot(number, self._chance(_LOT, number)) for number in range(lots)]

    def render(self, index: int, kind: str | None = None, drift: float = 0.0) -> Part:
        """Part `index`, good or with a defect of type `kind`; `drift`: relative change of its light."""
        lot = self._lots[index % len(self._lots)]
        scene = self._product.draw(self._chance(_POSE, index), lot)
        mask, grade = np.zeros((self._size, self._size), np.bool_), 0
        if kind is not None:
            scene, damage = self._spoiled(scene, index, lot, kind)
            mask, grade = damage.mask, self._product.grade(kind, damage.weight)
        light = draw_light(self._chance(_LIGHT, index), lot, drift)
        return Part(
            image=self._camera.expose(scene, light, self._chance(_NOISE, index)),
            mask=mask,
            types=() if kind is None else (kind,),
            grade=grade,
            lot=lot.name,
            index=index,
        )

    def random_kind(self, index: int, types: tuple[str, ...], rate: float) -> str | None:
        """Whether part `index` is defective at this rate, and with which of the types."""
        chance = self._chance(_DEFECT, index)
        luck, pick = chance.random(2)
        return types[int(pick * len(types))] if luck < rate else None

    def _spoiled(self, good: Planes, index: int, lot: Lot, kind: str) -> tuple[Planes, Damage]:
        """The part with a defect that can be seen: one that fell where it shows nothing is drawn again."""
        for attempt in range(_ATTEMPTS):
            chance = self._chance(_DEFECT, index, 1 + attempt, zlib.crc32(kind.encode()))
            spoiled = self._product.spoil(kind, self._chance(_POSE, index), lot, good, chance)
            damage = measure(good, spoiled)
            if damage.mask.mean() >= _MIN_MASK:
                break
        return spoiled, damage

    def _chance(self, purpose: int, *numbers: int) -> Generator:
        return np.random.default_rng((*self._key, purpose, *numbers))


@lru_cache(maxsize=4)
def _stage(product: str, size: int) -> tuple[Product, Camera]:
    """A product's still layers take a second to draw: keep the few in use."""
    return open_product(product, size), Camera(size)
