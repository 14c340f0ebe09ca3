"""The inspector: a recipe at work. Image in, result out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.core.band import Verdict
from sightline.core.card import Card
from sightline.core.errors import RecipeError
from sightline.runtime.image import Image, Source, read_image
from sightline.runtime.inspection import Inspection
from sightline.runtime.placement import Placement, place, prepare, unplace
from sightline.runtime.recipe import Recipe, parse_card, read_recipe
from sightline.runtime.region import find_defects
from sightline.runtime.session import OnnxSession

ODD_BORDER = 0.15  # more border than any training image had, by this share of the input, is worth a warning
NEEDED_OUTPUTS = frozenset(("score", "p_value", "heatmap", "embedding"))


class Inspector:
    """Judges images with one recipe; safe to share between threads.

    `recipe` is a path or a Recipe; `threads` the processor threads that one inspection may use.
    Raises RecipeError for a file that is no usable recipe.
    """

    def __init__(self, recipe: str | Path | Recipe, threads: int = 2) -> None:
        name = "recipe" if isinstance(recipe, Recipe) else str(recipe)
        data = recipe.data if isinstance(recipe, Recipe) else read_recipe(recipe)
        self._session = OnnxSession(data, threads, name=name)
        self.card: Card = parse_card(self._session.metadata, name)
        size = (self.card.height, self.card.width)
        kind, shape = self._session.inputs.get("image", ("", ()))
        if kind != "tensor(uint8)" or shape[1:] != (*size, 3):
            raise RecipeError(f"{name}: the graph does not take the uint8 images of its card. Train it again")
        missing = NEEDED_OUTPUTS - set(self._session.outputs)
        if missing:
            raise RecipeError(f"{name}: the graph lacks the outputs {sorted(missing)}. Train it again")
        self._size = size

    def warm_up(self) -> None:
        """Run one black image, so that the first part does not pay for memory and thread start."""
        self._session.run({"image": np.zeros((1, *self._size, 3), np.uint8)})

    def inspect(self, source: Source) -> Inspection:
        """Judge one image: a path, encoded bytes, a PIL image or an array (RGB).

        Raises InputError where there is nothing to judge; there is no verdict without an inspected image.
        """
        return self._inspect_batch([source])[0]

    def inspect_many(self, sources: Iterable[Source], batch: int = 8) -> Iterator[Inspection]:
        """Judge images in order, `batch` at a time. Raises InputError at the first that cannot be read."""
        group: list[Source] = []
        for source in sources:
            group.append(source)
            if len(group) == batch:
                yield from self._inspect_batch(group)
                group = []
        if group:
            yield from self._inspect_batch(group)

    def _inspect_batch(self, sources: list[Source]) -> list[Inspection]:
        start = time.perf_counter()
        decoded = [read_image(source) for source in sources]
        after_decode = time.perf_counter()
        places = [place(image.shape[:2], self._size, self.card.roi, self.card.scale) for image, _ in decoded]
        batch = np.stack([prepare(image, p) for (image, _), p in zip(decoded, places, strict=True)])
        after_prepare = time.perf_counter()
        outputs = self._session.run({"image": batch})
        after_infer = time.perf_counter()
        count = len(sources)
        times = {
            "decode": (after_decode - start) * 1e3 / count,
            "prepare": (after_prepare - after_decode) * 1e3 / count,
            "infer": (after_infer - after_prepare) * 1e3 / count,
        }
        return [self._result(outputs, i, decoded[i], places[i], _name(sources[i]), times) for i in range(count)]

    def _result(
        self,
        outputs: dict[str, NDArray[Any]],
        index: int,
        decoded: tuple[Image, tuple[str, ...]],
        placement: Placement,
        source: str,
        times: dict[str, float],
    ) -> Inspection:
        start = time.perf_counter()
        image, warnings = decoded
        score = float(outputs["score"][index])
        verdict = self.card.band.decide(score)
        heat = unplace(outputs["heatmap"][index], placement)
        limit = self.card.calibration.heat_threshold
        fine = verdict is Verdict.OK
        defects = () if fine else find_defects(heat, placement.image_size, limit, self.card.mm_per_px)
        regions_ms = (time.perf_counter() - start) * 1e3
        times = {**times, "regions": regions_ms, "total": sum(times.values()) + regions_ms}
        return Inspection(
            verdict=verdict,
            score=score,
            p_value=float(outputs["p_value"][index]),
            defects=defects,
            source=source,
            warnings=warnings + _odd_shape(placement, self.card.border),
            times_ms=times,
            image=image,
            heat=heat,
            heat_threshold=limit,
            embedding=outputs["embedding"][index],
        )


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else ""


def _odd_shape(placement: Placement, border: float) -> tuple[str, ...]:
    if placement.padded <= border + ODD_BORDER:
        return ()
    high, wide = placement.image_size
    return (
        f"the image's shape ({wide} x {high} px) is far from the recipe's: {placement.padded:.0%} of the input is "
        "border. Check the camera, or train a recipe for this view",
    )
