"""The patches of pictures as a recipe's memory banks see them: their keys, and how far each is from a good patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightline.core.card import Card
from sightline.core.errors import InputError, RecipeError
from sightline.evaluate.explain.inner_values import with_outputs
from sightline.imaging.image import Image, Source, read_image
from sightline.runtime.adaptation import BANKS, OWN, Adaptation
from sightline.runtime.alignment import Golden, align
from sightline.runtime.letterbox import Letterbox, fit_letterbox, prepare
from sightline.runtime.recipe import Recipe, read_floats
from sightline.runtime.session import OnnxSession

Keys = NDArray[np.float32]
CELLS = 2**22  # of the matrix of distances at a time: 16 MiB


@dataclass(frozen=True)
class Level:
    """One memory bank of a recipe: `bank` (M, d), and the numbers by which its distances become heat.

    heat = (distance - centre) / scale; `scale` has the level's weight in it.
    """

    bank: Keys = field(repr=False)
    centre: float
    scale: float


@dataclass(frozen=True)
class PatchedPart:
    """One picture: `keys` (cells, d) and `distances` (cells,) of each bank, row by row over its `grids` (h, w).

    `heat` (h, w) lies over the recipe's input, `letterbox` says where that lies in the picture.
    """

    keys: Mapping[str, Keys] = field(repr=False)
    distances: Mapping[str, NDArray[np.float32]] = field(repr=False)
    grids: Mapping[str, tuple[int, int]]
    heat: NDArray[np.float32] = field(repr=False)
    score: float
    letterbox: Letterbox


class PatchReader:
    """Reads the patches of pictures with one recipe, at any of its adaptations. Needs onnxruntime and numpy alone.

    Raises RecipeError for a recipe whose banks cannot be replaced: one with tiles, or without a memory bank.
    """

    def __init__(self, recipe: Recipe, threads: int = 2) -> None:
        self.card: Card = recipe.card
        self.recipe = recipe.hash
        if recipe.card.tiles is not None:
            raise RecipeError(
                f"{recipe.card.product}: a recipe that reads tiles does not learn by itself yet. Train it again instead"
            )
        banks = {name: flat for name in BANKS if (flat := read_floats(recipe.data, name)) is not None}
        if not banks:
            raise RecipeError(f"{recipe.card.product}: the recipe has no memory bank that could learn. Train it again")
        taps = [f"{name.removeprefix('bank_')}_{what}" for name in banks for what in ("keys", "map")]
        self._session = OnnxSession(with_outputs(recipe.data, taps), threads)
        shown = self._session.run({"image": np.zeros((1, self.card.height, self.card.width, 3), np.uint8)})
        self.levels: dict[str, Level] = {}
        for name, flat in banks.items():
            level = name.removeprefix("bank_")
            numbers = [read_floats(recipe.data, f"{level}_{which}") for which in ("centre", "spread")]
            centre, scale = (float(number.item()) for number in numbers if number is not None)
            # A key has one value more than an entry: the 1 that meets the entries' own column in the product.
            self.levels[name] = Level(flat.reshape(-1, shown[f"{level}_keys"].shape[-1] - 1), centre, scale)
        self._golden = None if recipe.card.golden is None else Golden.of(recipe.card.golden)

    @property
    def own(self) -> Adaptation:
        """The recipe as it was made, as an adaptation."""
        banks = {name: level.bank for name, level in self.levels.items()}
        return Adaptation(self.recipe, banks, {name: np.full(len(bank), OWN, np.int32) for name, bank in banks.items()})

    def read(self, source: Source, adaptation: Adaptation | None = None) -> PatchedPart:
        """The patches of one picture. Raises InputError for what is no picture, or has no finite heat."""
        image, _ = read_image(source, self.card.full_scale)
        return self.read_image(image, adaptation)

    def read_image(self, image: Image, adaptation: Adaptation | None = None) -> PatchedPart:
        """As `read`, of a decoded picture (H, W, 3)."""
        adaptation = adaptation or self.own
        if self._golden is not None:
            image = align(image, self._golden).image
        card = self.card
        where = fit_letterbox(
            image.shape[:2], (card.height, card.width), card.roi, card.scale, card.stretch is not None
        )
        ready = prepare(image, where)
        if adaptation.changes_light:
            ready = adaptation.apply_light(ready, where.inner)
        out = self._session.run({"image": ready[None], **adaptation.banks})
        heat = out["heatmap"][0]
        if not np.isfinite(heat).all():
            raise InputError("a picture's heat is not a number: nothing can be learned from it. Take another one")
        names = {name: name.removeprefix("bank_") for name in self.levels}
        return PatchedPart(
            keys={name: out[f"{level}_keys"][:, :-1] for name, level in names.items()},
            distances={name: out[f"{level}_map"].reshape(-1) for name, level in names.items()},
            grids={name: out[f"{level}_map"].shape[-2:] for name, level in names.items()},
            heat=heat,
            score=float(out["score"][0]),
            letterbox=where,
        )


def nearest(keys: Keys, bank: Keys) -> NDArray[np.float32]:
    """Distance of keys (Q, d) to their nearest entry of a bank (M, d): (Q,); infinite where the bank is empty."""
    found = np.full(len(keys), np.inf, np.float32)
    if not len(bank):
        return found
    halves = 0.5 * np.square(bank).sum(1)
    rows = max(1, CELLS // len(bank))
    for begin in range(0, len(keys), rows):
        some = keys[begin : begin + rows]
        best = (some @ bank.T - halves).max(1)
        found[begin : begin + rows] = np.sqrt(np.maximum(np.square(some).sum(1) - 2 * best, 0))
    return found
