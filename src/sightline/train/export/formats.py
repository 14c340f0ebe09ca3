"""A finished recipe in the forms that devices ask for: int8, of fixed shapes, for browsers.

Each is made from the recipe's own graph and carries its card, with `provenance.parent` naming the recipe it comes from.
Whether it may be used is for `sightline.train.export.agreement` to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import onnx

from sightline.core.card import EXPLANATION_KEY
from sightline.core.errors import RecipeError
from sightline.imaging.image import Image
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import OnnxSession
from sightline.train.backbone.quantise import DEFAULT_STEP, quantise
from sightline.train.export.graph import with_card

MAX_IMAGES = 64  # that ranges are read from: more do not widen them
LIGHTS = (1 - DEFAULT_STEP, 1.0, 1 + DEFAULT_STEP)


def int8(recipe: Recipe, images: Iterable[Image]) -> bytes:
    """The recipe with its backbone in int8 after training; `images` (H, W, 3) uint8 of good parts as the graph sees
    them set the ranges, each in three lights.

    Thresholds stay: they were fitted on the backbone in floats, so that scores move a little. A recipe trained with
    `precision=int8` has thresholds of its own (docs/decisions/0071). Raises RecipeError, SettingError.
    """
    model = onnx.load_from_string(recipe.data)
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise RecipeError("the recipe is int8 already: it was trained or exported so. Use it as it is")
    return quantise(recipe.data, _lights(islice(images, MAX_IMAGES)), recipe.card.backbone)


def static(data: bytes) -> bytes:
    """The graph for one image at a time, every tensor of a fixed shape, as compilers of accelerators ask for.

    Memory banks and calibration are constants then: what a station learns later does not fit in. Raises RecipeError
    where a shape stays open.
    """
    model = onnx.load_from_string(data)
    graph = model.graph
    given = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in given]
    del graph.input[:]
    graph.input.extend(inputs)
    (image,) = graph.input
    image.type.tensor_type.shape.dim[0].dim_value = 1
    shape = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    answers = OnnxSession(data, threads=1, optimise=False).run({"image": np.zeros(shape, np.uint8)})
    for value in graph.output:
        sizes = value.type.tensor_type.shape
        del sizes.dim[:]
        sizes.dim.extend(onnx.TensorShapeProto.Dimension(dim_value=size) for size in answers[value.name].shape)
    fixed = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    known = {value.name for value in fixed.graph.value_info if _is_fixed(value)}
    known |= {value.name for value in fixed.graph.output}
    open_ones = [name for node in fixed.graph.node for name in node.output if name and name not in known]
    if open_ones:
        raise RecipeError(
            f"{len(open_ones)} tensors of the graph have no fixed shape ({', '.join(open_ones[:3])}), so it cannot be "
            "exported as onnx-static. Export another form"
        )
    onnx.checker.check_model(fixed)
    return bytes(fixed.SerializeToString())


def without_pictures(data: bytes) -> bytes:
    """The graph without the crops of training images that explanations show: what a web server hands to anybody."""
    model = onnx.load_from_string(data)
    kept = {prop.key: prop.value for prop in model.metadata_props if prop.key != EXPLANATION_KEY}
    onnx.helper.set_model_props(model, kept)
    return bytes(model.SerializeToString())


def with_origin(data: bytes, parent: Recipe, changes: dict[str, object]) -> Recipe:
    """The exported graph as a recipe: its parent's card with `changes`, and where it comes from."""
    provenance = parent.card.provenance.model_copy(update={"parent": parent.hash})
    card = parent.card.model_copy(update={"provenance": provenance, **changes})
    return Recipe(with_card(onnx.load_from_string(data), card), card)


def _lights(images: Iterable[Image]) -> Iterator[Image]:
    for image in images:
        for factor in LIGHTS:
            yield np.clip(image * factor, 0, 255).astype(np.uint8)


def _is_fixed(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.tensor_type
    return kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim)
