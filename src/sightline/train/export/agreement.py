"""The gate of exports: none is written that does not say what its recipe says.

An export in floats is the same computation, so every output has to be the same to `TOLERANCE`. One in int8 is not: its
scores move, and what counts is what is decided by them, on labelled parts that the recipe was not made from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sightline.core.card import Parity
from sightline.core.errors import RecipeError
from sightline.core.result import Verdict
from sightline.evaluate.comparison import Comparison
from sightline.evaluate.inspected import Inspected
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import TOLERANCE, relative_difference
from sightline.train.export.parity import is_flip

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[dict[str, NDArray[np.uint8]]], dict[str, NDArray[np.float32]]]

LEAST = 20  # labelled parts: fewer say nothing
LOSS = 0.003  # of image AUROC
CHANGED = 0.1  # share of the parts with another verdict, whichever way
REMEDY = "Train an int8 recipe with thresholds of its own: sightline train DATA -o NEW.onnx --set precision=int8"


def check_equal(recipe: Recipe, one: Run, other: Run, engine: str, images: Iterable[NDArray[np.uint8]]) -> Parity:
    """Compare all outputs for `images` (1, H, W, 3) uint8 of the recipe, run by `one`, and of its export, by `other`.

    Raises RecipeError where one differs by more than `TOLERANCE` relative to max(1, |value|), or a verdict does.
    """
    worst, flips, count = 0.0, 0, 0
    for image in images:
        expected, found = one({"image": image}), other({"image": image})
        difference = max(relative_difference(expected[name], found[name]) for name in expected)
        worst = max(worst, difference)
        flips += is_flip(recipe.card.band, float(expected["score"][0]), float(found["score"][0]), difference)
        count += 1
    if not worst <= TOLERANCE or flips:
        raise RecipeError(
            f"parity gate: the export's outputs differ from the recipe's by {worst:.2g} ({TOLERANCE:g} is allowed) "
            f"with {flips} changed verdicts on {count} images. Nothing was written. Reinstall by constraints.txt"
        )
    return _proof(recipe, engine, count, worst, flips)


def check_agreement(recipe: Recipe, judged: Comparison, engine: str) -> Parity:
    """The proof that an int8 export may stand in for its recipe, from both on the same labelled parts, recipe first.

    Raises RecipeError where there are fewer than `LEAST` readable parts, or none that is good or none that is
    defective, where a defective one is OK to the export alone, the export cannot inspect one, more than `CHANGED` of
    the verdicts differ, or the image AUROC falls by more than `LOSS`.
    """
    both = [(a, b) for a, b in judged.pairs if isinstance(a, Inspected) and isinstance(b, Inspected)]
    parts, defective = len(both), sum(one.defective for one, _ in both)
    if parts < LEAST or defective in (0, parts) or judged.auroc.value is None:
        raise RecipeError(
            f"int8 is judged on labelled parts that the recipe was not made from, and there are {parts - defective} "
            f"good and {defective} defective ones. Give at least {LEAST}, good and defective ones among them"
        )
    escapes = sum(one.defective and one.second.verdict is Verdict.OK for one in judged.changed)
    loss, changed = -judged.auroc.value, len(judged.changed)
    lost = sum(isinstance(a, Inspected) for a, _ in judged.pairs) - parts
    wrong = [f"{escapes} defective parts became OK"] if escapes else []
    wrong += [f"{lost} parts can no longer be inspected"] if lost else []
    wrong += [f"{changed} of {parts} verdicts differ ({CHANGED:.0%} are allowed)"] if changed > CHANGED * parts else []
    wrong += [f"the image AUROC falls by {loss:.4f} ({LOSS:g} is allowed)"] if loss > LOSS else []
    one, two = np.array([(a.score, b.score) for a, b in both]).T
    worst = relative_difference(one, two)
    if wrong or not np.isfinite(worst):
        found = "; ".join(wrong) or "a score is not a number"
        raise RecipeError(f"parity gate, {engine}: {found}. Nothing was written. {REMEDY}")
    return _proof(recipe, engine, parts, worst, changed)


def _proof(recipe: Recipe, engine: str, images: int, worst: float, flips: int) -> Parity:
    return Parity(
        images=images,
        max_relative_difference=worst,
        verdict_flips=flips,
        reference=f"recipe {recipe.hash[:16]} in onnxruntime {onnxruntime.__version__}",
        engine=engine,
    )
