"""A new defect type from a few examples, without the old images: one more column in the recipe's matrices.

The backbone and every old column stay as they are; the new column is found from the new examples against the features
that the recipe kept of its old parts (`new_column`, `new_evidence`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from sightline.core.card import Bounded, Card
from sightline.core.errors import InputError, RecipeError
from sightline.imaging.image import Image, content_hash, read_image
from sightline.runtime.alignment import Golden, align
from sightline.runtime.letterbox import fit_letterbox, prepare
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import OnnxSession
from sightline.train.export.graph import with_card
from sightline.train.teach.new_type import (
    Example,
    Examples,
    Numbers,
    cells_of,
    feature_moments,
    fit_column,
    has_lda,
    left_out,
    maps_named,
    recalls,
    replace_numbers,
    replayed_parts,
    standardised,
    widened,
)
from sightline.train.teach.replay import CLASSES, FEATURES, LOGITS

MIN, DEFAULT = 2, 5
LIGHTS = (1.0, 0.92, 1.08)  # copies of each example
NOWHERE = -20.0  # what the class map says of the new type everywhere: its places are not known
UNCHANGED = 1e-3  # that an old type's logit may move, relative to max(1, |logit|)


@dataclass(frozen=True)
class Taught:
    """The new recipe; of the replayed parts of each old class, how many were called it `before` and `after`; how many
    of the examples were called the new type when they were left out themselves.
    """

    recipe: Recipe
    before: dict[str, Bounded]
    after: dict[str, Bounded]
    recognised: Bounded
    seconds: float


def teach(recipe: str | Path | Recipe, name: str, images: Sequence[str | Path]) -> Taught:
    """Teach a recipe the type `name` from images of parts that carry it (3 to 5 are enough, 2 the least).

    Raises InputError for a name that is taken, too few readable images, or a recipe that knows no types yet.
    """
    start = time.perf_counter()
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    card, model = recipe.card, onnx.load_from_string(recipe.data)
    numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    _check(card, numbers, name)
    parts, hashes = _read(images, card)
    session = _open(model)
    observed = [_describe(session, [_view(image, *turn) for turn in _views(card)], model, numbers) for image in parts]
    cells = Examples(numbers, [x.cells for x in observed]) if has_lda(numbers) else None
    lda = None if cells is None else cells.lda()
    mean, scale = feature_moments(numbers)
    replayed = replayed_parts(numbers, mean, scale, lda)
    none = [np.zeros(len(x.logits), np.float32) for x in observed]
    found = none if lda is None else [values.numpy() for values in lda.examples]
    examples = [
        Example(standardised(x.features, mean, scale), x.logits, own) for x, own in zip(observed, found, strict=True)
    ]
    column = fit_column(replayed, examples, card.exclusive)
    extended = _extended(model, numbers, column, mean, scale, [x.features[0] for x in observed])
    if cells is not None and lda is not None:
        predicted = np.concatenate([replayed.predicted(column), np.array([x.predicted(column)[0] for x in examples])])
        old = np.concatenate([numbers[LOGITS], [x.logits[0] for x in observed]])
        replace_numbers(
            extended, widened(numbers, lda) | cells.replayed() | {LOGITS: np.column_stack([old, predicted])}
        )
    new_card = _card(recipe, name, hashes)
    taught = Recipe(with_card(extended, new_card), new_card)
    _check_unchanged(session, taught, parts)
    return Taught(
        recipe=taught,
        before=recalls(replayed, None, card),
        after=recalls(replayed, column, card),
        recognised=left_out(replayed, examples, card.exclusive),
        seconds=time.perf_counter() - start,
    )


def _check(card: Card, numbers: dict[str, NDArray[Any]], name: str) -> None:
    if not name.strip():
        raise InputError("the new type has no name. Give one, for instance 'scratch'")
    if name in card.types or name in ("good", "unknown"):
        raise InputError(f"the recipe knows '{name}' already. Give the new type another name")
    if not card.types or FEATURES not in numbers:
        raise InputError(
            "the recipe knows no defect types yet, so there is nothing to add one to. Train it with labelled "
            "defects first: sightline train DATA -o RECIPE"
        )


def _read(images: Sequence[str | Path], card: Card) -> tuple[list[Image], list[str]]:
    """Different images as the recipe takes them, and their content hashes."""
    found = {content_hash(Path(path)): read_image(path, card.full_scale)[0] for path in images}
    if len(found) < MIN:
        raise InputError(
            f"{len(found)} different image{'s' * (len(found) != 1)} of the new type, at least {MIN} are needed. "
            f"{DEFAULT} make it reliable"
        )
    return [_prepared(image, card) for image in found.values()], list(found)


def _views(card: Card) -> list[tuple[int, int, float]]:
    """Looks of an example: mirrored both ways, unless the recipe's training had ruled that out, and in other light."""
    ways = (1,) if "flip" in str(card.provenance.settings.get("augment_without", "")) else (1, -1)
    return [(down, across, light) for down in ways for across in ways for light in LIGHTS]


def _prepared(image: Image, card: Card) -> Image:
    if card.golden is not None:
        image = align(image, Golden.of(card.golden)).image
    letterbox = fit_letterbox(
        image.shape[:2], (card.height, card.width), card.roi, card.scale, card.stretch is not None
    )
    return prepare(image, letterbox)


def _view(image: Image, down: int, across: int, light: float) -> Image:
    view = image[::down, ::across]
    return np.ascontiguousarray(np.clip(np.rint(view * np.float32(light)), 0, 255).astype(np.uint8))


def _open(model: ModelProto) -> OnnxSession:
    """The graph with what it computes on the way as outputs."""
    open_model = ModelProto()
    open_model.CopyFrom(model)
    for name in ("known_pooled", "known_hottest", "known_types", *maps_named(model)):
        open_model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return OnnxSession(open_model.SerializeToString())


@dataclass(frozen=True)
class _Observed:
    """Of views of one part: features (V, F), pooled and hottest, logits (V, K + 1), and cells (P, F), each."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    cells: list[torch.Tensor]


def _describe(session: OnnxSession, views: list[Image], model: ModelProto, numbers: Numbers) -> _Observed:
    """What the recipe sees in views of one part."""
    features, logits, cells = [], [], []
    for view in views:
        x = session.run({"image": view[None]})
        features.append(np.concatenate([x["known_pooled"][0], x["known_hottest"][0]]))
        logits.append(x["known_types"][0])
        cells += [cells_of([x[name] for name in maps_named(model)], numbers)] if has_lda(numbers) else []
    return _Observed(np.array(features, np.float32), np.array(logits, np.float32), cells)


def _extended(
    model: ModelProto,
    numbers: dict[str, NDArray[Any]],
    column: NDArray[np.float32],
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
    examples: list[NDArray[np.float32]],
) -> ModelProto:
    """The model with one more class everywhere."""
    extended = ModelProto()
    extended.CopyFrom(model)
    classes = len(numbers["known_whole_bias"])
    weights = column[:-1] / scale
    hot = numbers["known_hottest_weights"].reshape(-1, classes, classes)
    wide = np.pad(hot, ((0, 0), (0, 1), (0, 1))).reshape(-1, classes + 1)
    end, flat = numbers["known_end"] + 1, numbers["known_flat"].copy()
    flat[1] = classes + 1
    changed: dict[str, NDArray[Any]] = {
        "known_whole_weights": np.column_stack([numbers["known_whole_weights"], weights]),
        "known_whole_bias": np.append(numbers["known_whole_bias"], column[-1] - mean @ weights),
        "known_hottest_weights": wide,
        "known_classes_weights": np.pad(numbers["known_classes_weights"], ((0, 1), (0, 0), (0, 0), (0, 0))),
        "known_classes_bias": np.append(numbers["known_classes_bias"], NOWHERE),
        "known_end": end,
        "known_flat": flat,
        FEATURES: _wider(np.concatenate([numbers[FEATURES], np.array(examples, np.float16)]), len(mean), classes),
        CLASSES: np.pad(numbers[CLASSES], ((0, len(examples)), (0, 1))),
    }
    changed[CLASSES][len(numbers[CLASSES]) :, classes] = True
    replace_numbers(extended, changed)
    for output in extended.graph.output:
        if output.name in ("type_logits", "defect_map"):
            output.type.tensor_type.shape.dim[1].dim_value = classes
    return extended


def _wider(features: NDArray[np.float16], pooled: int, classes: int) -> NDArray[np.float16]:
    """Features of replayed parts with the hottest cells of one class more, which are nowhere."""
    top = features[:, pooled:].reshape(len(features), -1, classes)
    padded = np.pad(top, ((0, 0), (0, 0), (0, 1)), constant_values=NOWHERE)
    return np.concatenate([features[:, :pooled], padded.reshape(len(features), -1)], axis=1)


def _card(recipe: Recipe, name: str, hashes: list[str]) -> Card:
    card = recipe.card
    provenance = card.provenance.model_copy(update={"parent": recipe.hash})
    trained_on = tuple(sorted({*card.trained_on, *hashes}))
    return card.model_copy(update={"types": (*card.types, name), "provenance": provenance, "trained_on": trained_on})


def _check_unchanged(session: OnnxSession, taught: Recipe, views: list[Image]) -> None:
    """The parity gate of teaching: scores and the old types' logits are as they were. Raises RecipeError."""
    new = OnnxSession(taught.data)
    for view in views:
        old, now = session.run({"image": view[None]}), new.run({"image": view[None]})
        for name, values in (("score", now["score"]), ("type_logits", now["type_logits"][:, :-1])):
            difference = np.abs(values - old[name]) / np.maximum(1.0, np.abs(old[name]))
            if not float(difference.max()) <= UNCHANGED:
                raise RecipeError(f"parity gate: teaching changed the old recipe's {name}, so no recipe was written. "
                                  "Reinstall with the pinned constraints")  # fmt: skip
