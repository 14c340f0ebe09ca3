"""The port of a product: what the renderer asks of a bottle cap, a board, a fabric."""

from __future__ import annotations

from typing import ClassVar, Protocol

from numpy.random import Generator

from sightline.data.sample.lot import Lot
from sightline.data.sample.plane import Planes


class Product(Protocol):
    """Draws parts of one image size; stateless after construction, so calls may come in any order."""

    types: ClassVar[tuple[str, ...]]
    """The defects it can have."""

    def __init__(self, size: int) -> None: ...

    def draw(self, rng: Generator, lot: Lot) -> Planes:
        """A good part, (3, size, size) linear light; all variation comes from `rng` and `lot`."""
        ...

    def grade(self, kind: str, damage: float) -> int:
        """1 minor, 2 major, 3 critical for this much damage (see `damage.py`) of this kind."""
        ...

    def spoil(self, kind: str, rng: Generator, lot: Lot, good: Planes, chance: Generator) -> Planes:
        """The part with one defect shaped by `chance`; `good`: what `draw` made of an equal `rng` (kept)."""
        ...
