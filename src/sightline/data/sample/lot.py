"""A lot: the small shift of material, print and light that all parts of one batch share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator


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
