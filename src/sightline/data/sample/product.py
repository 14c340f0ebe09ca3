"""A sample product: its parts with the whole truth about each, its lots, and how its defects are made and graded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sightline.data.sample.drawing import Planes

SceneT = TypeVar("SceneT")
PlanT = TypeVar("PlanT")


@dataclass(frozen=True)
class Part:
    """One rendered part."""

    image: NDArray[np.uint8]
    """(size, size, 3) RGB."""
    mask: NDArray[np.bool_]
    """(size, size), True where a defect changed the part; all False on a good one."""
    types: tuple[str, ...]
    """Its defects; empty on a good part."""
    grade: int
    """0 good, 1 minor, 2 major, 3 critical, from the size and contrast of the defect."""
    lot: str
    index: int
    """Its place in the run: 0, 1, ..."""


@dataclass(frozen=True)
class Flaw(Generic[SceneT, PlanT]):
    """One line of a product's table of defects."""

    make: Callable[[SceneT, PlanT, Planes, Generator], Planes]
    """Draws the planned part with the defect: on a copy of the good drawing, or anew."""
    major: float
    critical: float
    """Damage (see `studio.measure`) from which the grade is 2, and 3: by type, as an inspector's limits are."""

    def grade(self, damage: float) -> int:
        """1 minor, 2 major, 3 critical."""
        return 1 + (damage >= self.major) + (damage >= self.critical)


@dataclass(frozen=True)
class Lot:
    """What sets one lot apart; every number is relative to the product's nominal."""

    name: str
    tint: tuple[float, float, float]
    """Gain of the material's colour per channel, about 1."""
    shift: tuple[float, float]
    """Where the process (print, placement) sits, in standard deviations of its tolerance."""
    density: float
    """Gain of ink, solder or yarn weight, about 1."""
    level: float
    """Gain of the light, about 1 (lamps differ between shifts)."""
    warmth: float
    """Colour temperature: red gain minus blue gain."""


def draw_lot(number: int, rng: Generator) -> Lot:
    """The lot with this number (0, 1, ...), from its own generator."""
    red, green, blue = 1.0 + 0.035 * rng.standard_normal(3)
    right, down = rng.standard_normal(2)
    return Lot(
        name=f"L{number + 1:02d}",
        tint=(float(red), float(green), float(blue)),
        shift=(float(np.clip(right, -1.6, 1.6)), float(np.clip(down, -1.6, 1.6))),
        density=float(1.0 + 0.03 * rng.standard_normal()),
        level=float(1.0 + 0.035 * rng.standard_normal()),
        warmth=float(0.02 * rng.standard_normal()),
    )


class Product:
    """Draws parts of one image size; stateless after construction, so calls may come in any order."""

    def __init__(self, scene: Any, defects: Mapping[str, Flaw[Any, Any]]) -> None:
        """`scene` plans a part, `plan(rng, lot)`, and draws it, `draw(plan)`; `defects` are its flaws by type."""
        self._scene, self._defects = scene, defects

    def draw(self, rng: Generator, lot: Lot) -> Planes:
        """A good part, (3, size, size) linear light; all variation comes from `rng` and `lot`."""
        planes: Planes = self._scene.draw(self._scene.plan(rng, lot))
        return planes

    def grade(self, kind: str, damage: float) -> int:
        """1 minor, 2 major, 3 critical for this much damage (see `studio.measure`) of this kind."""
        return self._defects[kind].grade(damage)

    def spoil(self, kind: str, rng: Generator, lot: Lot, good: Planes, chance: Generator) -> Planes:
        """The part with one defect shaped by `chance`; `good`: what `draw` made of an equal `rng`, left as it is."""
        return self._defects[kind].make(self._scene, self._scene.plan(rng, lot), good, chance)
