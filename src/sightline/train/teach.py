"""A new defect type from a few examples, without the old images: one more column in the recipe's matrices.

The trunk, the class map and every old column stay as they are; the new column is a logistic regression on the new
examples against the features that the recipe kept of its old parts.
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
import torch.nn.functional as F
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from sightline.core.card import Bounded, Card
from sightline.core.errors import InputError, RecipeError
from sightline.evaluate.bounds import rate
from sightline.runtime.alignment import Golden, align
from sightline.runtime.image import Image, content_hash, read_image
from sightline.runtime.placement import place, prepare
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import OnnxSession
from sightline.train.graph import with_card
from sightline.train.replay import CLASSES, FEATURES

LEAST, USUAL = 2, 5
PENALTY = 1e-3
LIGHTS = (1.0, 0.92, 1.08)  # copies of each example
NOWHERE = -20.0  # what the class map says of the new type everywhere: its places are not known
UNCHANGED = 1e-3  # that an old type's logit may move, relative to max(1, |logit|)


@dataclass(frozen=True)
class Taught:
    """The new recipe; of the kept parts of each old class, how many were called it `before` and `after`; how many of
    the examples were called the new type when they were left out themselves.
    """

    recipe: Recipe
    before: dict[str, Bounded]
    after: dict[str, Bounded]
    recognised: Bounded
    seconds: float


@dataclass(frozen=True)
class _Kept:
    """Standardised features (R, F) and logits (R, K + 1) of the recipe's own parts, and their classes."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    classes: NDArray[np.bool_]


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
    shown = [_describe(session, [_view(image, *turn) for turn in _views()]) for image in parts]
    mean, spread = _moments(numbers)
    kept = _kept(numbers, mean, spread)
    examples = [(_standard(features, mean, spread), logits) for features, logits in shown]
    exclusive = card.exclusive
    column = _column(kept, examples, exclusive)
    made = _extended(model, numbers, column, mean, spread, [features[0] for features, _ in shown])
    new_card = _card(recipe, name, hashes)
    taught = Recipe(with_card(made, new_card), new_card)
    _check_unchanged(session, taught, parts)
    return Taught(
        recipe=taught,
        before=_recalls(kept, None, card),
        after=_recalls(kept, column, card),
        recognised=_left_out(kept, examples, exclusive),
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
    found = {content_hash(Path(path)): read_image(path)[0] for path in images}
    if len(found) < LEAST:
        raise InputError(
            f"{len(found)} different image{'s' * (len(found) != 1)} of the new type, at least {LEAST} are needed. "
            f"{USUAL} make it reliable"
        )
    return [_prepared(image, card) for image in found.values()], list(found)


def _views() -> list[tuple[int, int, float]]:
    return [(down, across, light) for down in (1, -1) for across in (1, -1) for light in LIGHTS]


def _prepared(image: Image, card: Card) -> Image:
    if card.golden is not None:
        image = align(image, Golden.of(card.golden)).image
    placement = place(image.shape[:2], (card.height, card.width), card.roi, card.scale, card.stretch is not None)
    return prepare(image, placement)


def _view(image: Image, down: int, across: int, light: float) -> Image:
    view = image[::down, ::across]
    return np.ascontiguousarray(np.clip(np.rint(view * np.float32(light)), 0, 255).astype(np.uint8))


def _open(model: ModelProto) -> OnnxSession:
    """The graph with what it computes on the way as outputs."""
    open_model = ModelProto()
    open_model.CopyFrom(model)
    for name in ("known_pooled", "known_hottest", "known_types"):
        open_model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return OnnxSession(open_model.SerializeToString())


def _describe(session: OnnxSession, views: list[Image]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (V, F), pooled and hottest, and logits (V, K + 1) of views of one part."""
    outputs = [session.run({"image": view[None]}) for view in views]
    features = [np.concatenate([x["known_pooled"][0], x["known_hottest"][0]]) for x in outputs]
    return np.array(features, np.float32), np.array([x["known_types"][0] for x in outputs], np.float32)


def _moments(numbers: dict[str, NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and spread of the pooled features that the recipe kept."""
    pooled = numbers[FEATURES][:, : len(numbers["known_whole_weights"])].astype(np.float32)
    return pooled.mean(0), pooled.std(0) + 1e-2 * pooled.std()


def _standard(
    features: NDArray[np.float32], mean: NDArray[np.float32], spread: NDArray[np.float32]
) -> NDArray[np.float32]:
    return np.asarray((features[:, : len(mean)] - mean) / spread)


def _kept(numbers: dict[str, NDArray[Any]], mean: NDArray[np.float32], spread: NDArray[np.float32]) -> _Kept:
    features = numbers[FEATURES].astype(np.float32)
    pooled, top = features[:, : len(mean)], features[:, len(mean) :]
    logits = pooled @ numbers["known_whole_weights"] + numbers["known_whole_bias"]
    logits = logits + top @ numbers["known_hottest_weights"]
    return _Kept(_standard(features, mean, spread), logits, numbers[CLASSES].astype(bool))


def _column(
    kept: _Kept, examples: list[tuple[NDArray[np.float32], NDArray[np.float32]]], exclusive: bool
) -> NDArray[np.float32]:
    """Weights (F + 1,), the bias last, of the new type's logit on standardised features."""
    features = torch.from_numpy(np.concatenate([kept.features, *(x for x, _ in examples)]))
    old = torch.from_numpy(np.concatenate([kept.logits, *(logits for _, logits in examples)]))
    new = torch.zeros(len(features))
    new[len(kept.features) :] = 1
    counts = kept.classes.sum(0).clip(1)
    share = [*(1 / counts[kept.classes.argmax(1)]), *([1 / (len(features) - len(kept.features))] * int(new.sum()))]
    weight = torch.tensor(np.array(share, np.float32))
    truth = torch.from_numpy(np.append(kept.classes.argmax(1), np.full(int(new.sum()), old.shape[1])))
    column = torch.zeros(features.shape[1] + 1, requires_grad=True)
    solver = torch.optim.LBFGS([column], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        said = features @ column[:-1] + column[-1]
        each = (
            F.cross_entropy(torch.cat([old, said[:, None]], 1), truth, reduction="none")
            if exclusive
            else F.binary_cross_entropy_with_logits(said, new, reduction="none")
        )
        total = (weight * each).sum() / weight.sum() + PENALTY * column[:-1].square().sum()
        total.backward()
        return total

    solver.step(loss)
    return np.asarray(column.detach().numpy(), np.float32)


def _recalls(kept: _Kept, column: NDArray[np.float32] | None, card: Card) -> dict[str, Bounded]:
    """Of the kept parts of each class, how many are called it."""
    logits = kept.logits
    if column is not None:
        logits = np.column_stack([logits, kept.features @ column[:-1] + column[-1]])
    said = logits.argmax(1)
    return {
        name: rate(int((said[kept.classes[:, index]] == index).sum()), int(kept.classes[:, index].sum()))
        for index, name in enumerate(("good", *card.types))
        if kept.classes[:, index].any()
    }


def _left_out(kept: _Kept, examples: list[tuple[NDArray[np.float32], NDArray[np.float32]]], exclusive: bool) -> Bounded:
    """Each example against a column that was fitted on the others."""
    right = 0
    for index, (features, logits) in enumerate(examples):
        column = _column(kept, examples[:index] + examples[index + 1 :], exclusive)
        said = float(features[0] @ column[:-1] + column[-1])
        right += said > (float(logits[0].max()) if exclusive else 0.0)
    return rate(right, len(examples))


def _extended(
    model: ModelProto,
    numbers: dict[str, NDArray[Any]],
    column: NDArray[np.float32],
    mean: NDArray[np.float32],
    spread: NDArray[np.float32],
    shown: list[NDArray[np.float32]],
) -> ModelProto:
    """The model with one more class everywhere."""
    made = ModelProto()
    made.CopyFrom(model)
    classes = len(numbers["known_whole_bias"])
    weights = column[:-1] / spread
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
        FEATURES: _wider(np.concatenate([numbers[FEATURES], np.array(shown, np.float16)]), len(mean), classes),
        CLASSES: np.pad(numbers[CLASSES], ((0, len(shown)), (0, 1))),
    }
    changed[CLASSES][len(numbers[CLASSES]) :, classes] = True
    for tensor in made.graph.initializer:
        if tensor.name in changed:
            values = changed[tensor.name].astype(numbers[tensor.name].dtype)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    for output in made.graph.output:
        if output.name in ("type_logits", "defect_map"):
            output.type.tensor_type.shape.dim[1].dim_value = classes
    return made


def _wider(features: NDArray[np.float16], pooled: int, classes: int) -> NDArray[np.float16]:
    """Kept features with the hottest cells of one class more, which are nowhere."""
    top = features[:, pooled:].reshape(len(features), -1, classes)
    padded = np.pad(top, ((0, 0), (0, 0), (0, 1)), constant_values=NOWHERE)
    return np.concatenate([features[:, :pooled], padded.reshape(len(features), -1)], axis=1)


def _card(recipe: Recipe, name: str, hashes: list[str]) -> Card:
    card = recipe.card
    provenance = card.provenance.model_copy(update={"parent": recipe.hash})
    trained_on = tuple(sorted({*card.trained_on, *hashes}))
    return card.model_copy(update={"types": (*card.types, name), "provenance": provenance, "trained_on": trained_on})


def _check_unchanged(session: OnnxSession, taught: Recipe, views: list[Image]) -> None:
    """The parity gate of teaching: whatever the old recipe said, the new one says. Raises RecipeError."""
    new = OnnxSession(taught.data)
    for view in views:
        old, now = session.run({"image": view[None]}), new.run({"image": view[None]})
        for name, values in (("score", now["score"]), ("type_logits", now["type_logits"][:, :-1])):
            difference = np.abs(values - old[name]) / np.maximum(1.0, np.abs(old[name]))
            if not float(difference.max()) <= UNCHANGED:
                raise RecipeError(f"parity gate: teaching changed the old recipe's {name}, so no recipe was written. "
                                  "Reinstall with the pinned constraints")  # fmt: skip
