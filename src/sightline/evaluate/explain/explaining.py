"""Explain a verdict: inspect one part, read the inner values of the same graph, and put the explanation together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sightline.core.card import EXPLANATION_KEY, Card, ExplanationData
from sightline.core.errors import InputError, RecipeError
from sightline.core.result import Verdict
from sightline.evaluate.explain.explanation import Explanation, Heat
from sightline.evaluate.explain.inner_values import (
    KERNEL_ORDINAL,
    LINEAR,
    Memory,
    Patch,
    Probe,
    input_of,
    quality_map,
    to_input,
)
from sightline.evaluate.explain.sentences import Facts, sentences
from sightline.imaging.image import Image, Source
from sightline.runtime.alignment import Golden, align, heat_back, unmoved
from sightline.runtime.inspection import Inspection
from sightline.runtime.inspector import Inspector
from sightline.runtime.letterbox import Letterbox, heat_to_image
from sightline.runtime.recipe import Recipe
from sightline.runtime.recognition import named
from sightline.runtime.session import OnnxSession

Attend = Callable[[Image], tuple["Heat | None", str]]

MAX_PATCHES = 3
MAX_MAPS = 3
LIKELY = 0.1  # probability from which a type that is not named is shown, too
NO_MEMORY_CROPS = (
    "This recipe keeps no pictures of its good parts, so the nearest good patch cannot be shown. Train it again"
)
NO_LAB = "Attention is not shown: it is computed in the lab, not on the line"


class Explainer:
    """Explains verdicts of one recipe. Raises RecipeError for a file that is not a usable recipe.

    `attend` is asked for the attention over the recipe's input (height, width, 3): a map, or None and why not.
    """

    def __init__(self, recipe: str | Path | Recipe, threads: int = 2, attend: Attend | None = None) -> None:
        recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
        self.card, self._attend = recipe.card, attend
        self._inspector = Inspector(recipe, threads)
        self._data = read_explanation_data(recipe)
        level = self._data.level
        groups: list[tuple[str, ...]] = [(f"{level}_keys", f"{level}_entries", f"{level}_map")]
        groups += [(*self._data.maps, *head) for head in (LINEAR, KERNEL_ORDINAL) if recipe.card.grades]
        self._probe = Probe(recipe.data, groups, threads)
        self._golden = None if recipe.card.golden is None else Golden.of(recipe.card.golden)

    def explain(self, source: Source) -> Explanation:
        """Judge one image and say why. Raises InputError where there is nothing to judge."""
        inspection = self._inspector.inspect(source)
        pose = unmoved(inspection.image) if self._golden is None else align(inspection.image, self._golden)
        back = cv2.invertAffineTransform(pose.warp)
        points = _points(inspection)
        moved = [tuple((back @ (*point, 1.0)).tolist()) for point in points]
        image, where = input_of(pose.image, self.card, moved[0])
        outputs = self._probe.run(image)
        notes: list[str] = []

        def over(grid: Heat) -> Heat:
            return heat_back(heat_to_image(grid, where), pose)

        whole = self.card.tiles is None
        quality = quality_map(outputs, self._data.maps) if whole else None
        return Explanation(
            inspection=inspection,
            card=self.card,
            patches=self._patches(outputs, image, where, points, moved, notes),
            class_maps=self._class_maps(inspection, outputs, over) if whole else {},
            contributions=None if quality is None else over(quality),
            quality=None if quality is None else float(quality.sum()),
            attention=self._attention(image, over, notes),
            sentences=sentences(self.card, _facts(inspection, outputs, self.card)),
            notes=tuple(notes),
        )

    def _patches(
        self,
        outputs: Mapping[str, NDArray[Any]],
        image: Image,
        where: Letterbox,
        points: list[tuple[float, float]],
        moved: list[tuple[float, ...]],
        notes: list[str],
    ) -> tuple[Patch, ...]:
        if f"{self._data.level}_entries" not in outputs:
            notes.append("The memory of this recipe cannot be read: it was written by another version")
            return ()
        if self._data.memory_crops is None:
            notes.append(NO_MEMORY_CROPS)
        memory = Memory(outputs, self._data.level, self._data.memory_crops)
        found = []
        for point, (x, y) in zip(points, moved, strict=True):
            at = to_input((x, y), where)
            if 0 <= at[0] < image.shape[1] and 0 <= at[1] < image.shape[0]:  # of tiles, only one was read again
                found.append(memory.patch(image, at, point))
        return tuple(found)

    def _class_maps(
        self, inspection: Inspection, outputs: Mapping[str, NDArray[Any]], over: Callable[[Heat], Heat]
    ) -> dict[str, Heat]:
        """Of the types that are named, then of the likeliest others."""
        if "defect_map" not in outputs:
            return {}
        order = [*named(inspection.types, self.card), *(defect.type for defect in inspection.defects)]
        likeliest = sorted(inspection.types, key=lambda name: -inspection.types[name])
        order += [name for rank, name in enumerate(likeliest) if rank == 0 or inspection.types[name] >= LIKELY]
        chosen = [name for name in dict.fromkeys(order) if name in self.card.types][:MAX_MAPS]
        return {name: over(outputs["defect_map"][0][self.card.types.index(name)]) for name in chosen}

    def _attention(self, image: Image, over: Callable[[Heat], Heat], notes: list[str]) -> Heat | None:
        found, why = (None, NO_LAB) if self._attend is None else self._attend(image)
        if found is None:
            notes.append(why)
            return None
        return over(found)


def explain(
    recipe: str | Path | Recipe, image: Source, *, threads: int = 2, attend: Attend | None = None
) -> Explanation:
    """Judge one image with a recipe and say why: heat, nearest good patch, class maps, contributions, a sentence.

    Needs onnxruntime alone. `attend` adds a map of attention (`sightline.train.backbone.extractor` makes one, with
    torch). For many images open one `Explainer`. Raises RecipeError for a bad recipe, InputError for what cannot be
    judged.
    """
    return Explainer(recipe, threads, attend).explain(image)


def read_explanation_data(recipe: Recipe) -> ExplanationData:
    """What a recipe keeps to explain itself; nothing, for an older one. Raises RecipeError where it is damaged."""
    text = OnnxSession(recipe.data, threads=1, optimise=False).metadata.get(EXPLANATION_KEY)
    try:
        return ExplanationData() if text is None else ExplanationData.model_validate_json(text)
    except (ValidationError, ValueError) as error:
        raise RecipeError(f"the recipe's evidence is damaged ({error}). Train or copy it again") from error


def _points(inspection: Inspection) -> list[tuple[float, float]]:
    """The hottest points (x, y) px of the image: one for each region, or the hottest of all."""
    high, wide = inspection.image.shape[:2]
    rows, columns = inspection.heat.shape
    heat = np.nan_to_num(inspection.heat, nan=np.inf)
    found = []
    for defect in inspection.defects[:MAX_PATCHES]:
        x, y, w, h = defect.box
        top, left = int(y * rows / high), int(x * columns / wide)
        inside = heat[
            top : max(top + 1, -(-(y + h) * rows // high)), left : max(left + 1, -(-(x + w) * columns // wide))
        ]
        row, column = np.unravel_index(int(inside.argmax()), inside.shape)
        found.append(((left + column + 0.5) * wide / columns, (top + row + 0.5) * high / rows))
    if not found:
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        found.append(((column + 0.5) * wide / columns, (row + 0.5) * high / rows))
    return [(float(x), float(y)) for x, y in found]


def _facts(inspection: Inspection, outputs: Mapping[str, NDArray[Any]], card: Card) -> Facts:
    if not np.isfinite(inspection.heat).all():
        raise InputError("the heat map is not finite, so it cannot be explained. Check the image and the recipe")
    type_logit = float(outputs["type_logits"][0].max()) if "type_logits" in outputs and card.types else None
    by_types = type_logit is not None and card.recognition is not None and card.recognition.band is not None
    types_verdict = card.recognition.band.decide(type_logit) if by_types else Verdict.OK  # type: ignore[union-attr,arg-type]
    return Facts(inspection, type_logit, types_verdict, named(inspection.types, card) if card.types else None)
