"""Product "cap": a printed plastic bottle cap on a conveyor belt, seen from above."""

from __future__ import annotations

from typing import ClassVar

from numpy.random import Generator

from sightline.data.sample.cap_defects import DEFECTS
from sightline.data.sample.cap_scene import CapScene
from sightline.data.sample.lot import Lot
from sightline.data.sample.plane import Planes


class Cap:
    """Bottle caps of one image size."""

    types: ClassVar[tuple[str, ...]] = tuple(DEFECTS)

    def __init__(self, size: int) -> None:
        self._scene = CapScene(size)

    def draw(self, rng: Generator, lot: Lot) -> Planes:
        """A good cap, (3, size, size)."""
        return self._scene.draw(self._scene.plan(rng, lot))

    def spoil(self, kind: str, rng: Generator, lot: Lot, good: Planes, chance: Generator) -> Planes:
        """The same cap with one defect of this kind."""
        return DEFECTS[kind].make(self._scene, self._scene.plan(rng, lot), good, chance)

    def grade(self, kind: str, damage: float) -> int:
        """Severity of this much damage of this kind: 1, 2 or 3."""
        return DEFECTS[kind].grade(damage)
