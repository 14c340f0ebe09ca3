"""A flaw: how one defect type is made, and how much damage of its kind is major or critical."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from numpy.random import Generator

from sightline.data.sample.plane import Planes

SceneT = TypeVar("SceneT")
PlanT = TypeVar("PlanT")


@dataclass(frozen=True)
class Flaw(Generic[SceneT, PlanT]):
    """One line of a product's table of defects."""

    make: Callable[[SceneT, PlanT, Planes, Generator], Planes]
    """Draws the planned part with the defect: on a copy of the good drawing, or anew."""
    major: float
    critical: float
    """Damage (see `damage.py`) from which the grade is 2, and 3: by type, as an inspector's limits are."""

    def grade(self, damage: float) -> int:
        """1 minor, 2 major, 3 critical."""
        return 1 + (damage >= self.major) + (damage >= self.critical)
