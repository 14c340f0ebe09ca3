"""The studio: one product, one camera, one seed; renders any part of a run on its own.

Each part draws from generators made of (seed, product, index) alone. Part 17 is therefore the same picture
in a run of 20 and in a run of 2,000, and the same part with and without a defect differs by the defect only.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from sightline.core.errors import InputError
from sightline.data.sample.camera import Camera, draw_light
from sightline.data.sample.catalog import product_class
from sightline.data.sample.damage import Damage, measure
from sightline.data.sample.lot import Lot, draw_lot
from sightline.data.sample.part import Part
from sightline.data.sample.plane import Planes
from sightline.data.sample.product import Product

SIZES = (64, 2048)
_POSE, _LIGHT, _NOISE, _DEFECT, _LOT = range(5)
"""One stream of chance per purpose: more draws in one never move another."""
_ATTEMPTS = 16
_LEAST_MASK = 1.2e-4
"""Smallest defect, share of the image: 32 px at 512 x 512."""


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

    def drawn_kind(self, index: int, types: tuple[str, ...], rate: float) -> str | None:
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
            if damage.mask.mean() >= _LEAST_MASK:
                break
        return spoiled, damage

    def _chance(self, purpose: int, *numbers: int) -> Generator:
        return np.random.default_rng((*self._key, purpose, *numbers))


@lru_cache(maxsize=4)
def _stage(product: str, size: int) -> tuple[Product, Camera]:
    """A product's still layers take a second to draw: keep the few in use."""
    return product_class(product)(size), Camera(size)
