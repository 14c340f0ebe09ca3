"""Product "board": a populated circuit board in its fixture, seen from above."""

from __future__ import annotations

from typing import ClassVar

from numpy.random import Generator

from sightline.data.sample.board_defects import DEFECTS
from sightline.data.sample.board_scene import BoardScene
from sightline.data.sample.drawing import Planes
from sightline.data.sample.product import Lot


class Board:
    """Circuit boards of one image size."""

    types: ClassVar[tuple[str, ...]] = tuple(DEFECTS)

    def __init__(self, size: int) -> None:
        self._scene = BoardScene(size)

    def draw(self, rng: Generator, lot: Lot) -> Planes:
        """A good board, (3, size, size)."""
        return self._scene.draw(self._scene.plan(rng, lot))

    def spoil(self, kind: str, rng: Generator, lot: Lot, good: Planes, chance: Generator) -> Planes:
        """The same board with one defect of this kind."""
        return DEFECTS[kind].make(self._scene, self._scene.plan(rng, lot), good, chance)

    def grade(self, kind: str, damage: float) -> int:
        """Severity of this much damage of this kind: 1, 2 or 3."""
        return DEFECTS[kind].grade(damage)
