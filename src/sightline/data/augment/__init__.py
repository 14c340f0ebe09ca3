"""Other looks of the same part: moved, in other light, less sharp. What a part is called never changes.

One file per family, one line per kind in `MOVES` or `LOOKS`. Moves carry the masks along; looks leave them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import InputError, SettingError
from sightline.data.augment import geometry, photometric
from sightline.imaging.image import Image

Pixels: TypeAlias = NDArray[np.float32]
Masks: TypeAlias = NDArray[Any]
Look = Callable[[Pixels, float, np.random.Generator], Pixels]

OFTEN = 0.5  # how often a look is used: most pictures get some, few get all

MOVES = geometry.MOVES
LOOKS: dict[str, Look] = {  # in the order in which a camera adds them
    "uneven light": photometric.uneven,
    "brightness": photometric.brightness,
    "contrast": photometric.contrast,
    "colour": photometric.colour,
    "gamma": photometric.gamma,
    "defocus": photometric.defocus,
    "motion": photometric.motion,
    "noise": photometric.noise,
    "jpeg": photometric.jpeg,
}


@dataclass(frozen=True)
class Augmentation:
    """Random changes that leave a part's label as it is; `strength` 0 changes nothing, 1 is the most.

    `without` names kinds, of `MOVES` and `LOOKS`, that would change what a product's label means: `flip` where
    handedness counts, `rotation` where the angle is judged, `colour` where a hue is a defect. Raises SettingError.
    """

    strength: float = 0.5
    without: frozenset[str] | set[str] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise SettingError(f"strength {self.strength} is out of range. Give 0 (nothing) to 1 (the most)")
        unknown = sorted(self.without - MOVES.keys() - LOOKS.keys())
        if unknown:
            raise SettingError(f"no kind is called '{unknown[0]}'. Name some of: {', '.join([*MOVES, *LOOKS])}")

    def __call__(self, image: Image, masks: Masks, rng: np.random.Generator) -> tuple[Image, Masks]:
        """A changed copy of an image (H, W, 3) uint8 and of its masks (K, H, W) bool or float; K may be 0.

        A move that would take most of a mark out of the picture is left out. Raises InputError for other shapes.
        """
        return self.with_move(image, masks, rng)[:2]

    def with_move(self, image: Image, masks: Masks, rng: np.random.Generator) -> tuple[Image, Masks, geometry.Matrix]:
        """The same, and the matrix (3, 3) of the move over pixels' middles (x, y, 1), for marks of other kinds."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"an image {image.shape} {image.dtype} cannot be augmented. Give (H, W, 3) uint8")
        if masks.ndim != 3 or masks.shape[1:] != image.shape[:2]:
            raise InputError(f"masks {masks.shape} do not fit an image {image.shape}. Give (K, H, W)")
        if not self.strength:
            return image.copy(), masks.copy(), np.eye(3)
        moves = [move for name, move in MOVES.items() if name not in self.without]
        image, masks, matrix = geometry.move(image, masks, moves, self.strength, rng)
        grey = bool((image == image[..., :1]).all())
        pixels = image.astype(np.float32)
        for name, look in LOOKS.items():
            if rng.random() < OFTEN and name not in self.without:
                pixels = np.clip(look(pixels, self.strength, rng), 0, 255)
        if grey:  # a grey camera gives no colours
            pixels[:] = pixels.mean(axis=2, keepdims=True)
        return np.rint(pixels).astype(np.uint8), masks, matrix
