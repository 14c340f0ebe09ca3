"""int8 backbones: near the float backbone, the same everywhere, and everything of the recipe is fitted on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from sightline.core.errors import RecipeError, SettingError
from sightline.core.result import Verdict
from sightline.data.dataset import Dataset
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.train.backbone.extractor import OnnxExtractor, backbone_onnx
from sightline.train.backbone.quantise import FLOAT_CONVOLUTIONS, quantise
from sightline.train.export.parity import check_parity


@pytest.fixture(scope="module")
def images(draw: Any) -> list[NDArray[np.uint8]]:
    return [draw(i)[0] for i in range(8)]


@pytest.fixture(scope="module")
def int8(images: list[NDArray[np.uint8]]) -> bytes:
    return quantise(backbone_onnx("lite0"), images)


@pytest.fixture(scope="module")
def int8_recipe(parts: Dataset, train_tiny: Callable[..., Recipe]) -> Recipe:
    return train_tiny(parts, precision="int8")


def test_the_backbone_is_smaller_and_near_the_float_one(int8: bytes, draw: Any) -> None:
    image = draw(50)[0][None]
    exact, rough = OnnxExtractor("lite0", 1)(image), OnnxExtractor("lite0", 1, int8)(image)
    assert len(int8) < 0.4 * len(backbone_onnx("lite0"))
    assert list(exact) == list(rough)
    for name, values in exact.items():
        assert np.linalg.norm(rough[name] - values) <= 0.25 * np.linalg.norm(values), name


def test_any_size_and_batch_still_run(int8: bytes) -> None:
    maps = OnnxExtractor("lite0", 1, int8)(np.zeros((2, 64, 160, 3), np.uint8))
    assert maps["stride_8"].shape[0] == 2
    assert maps["stride_8"].shape[2:] == (8, 20)


def test_weights_have_7_bits_so_that_no_processor_clips_their_sums(int8: bytes) -> None:
    graph = onnx.load_from_string(int8).graph
    weights = [
        numpy_helper.to_array(w) for w in graph.initializer if w.data_type == TensorProto.INT8 and len(w.dims) == 4
    ]
    assert len(weights) > 30
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) <= 64


def test_the_first_convolutions_stay_in_floats(int8: bytes) -> None:
    graph = onnx.load_from_string(int8).graph
    floats = {entry.name for entry in graph.initializer if entry.data_type == TensorProto.FLOAT}
    kinds = Counter(node.input[1] in floats for node in graph.node if node.op_type == "Conv")
    assert kinds[True] == FLOAT_CONVOLUTIONS
    assert kinds[False] == 48 - FLOAT_CONVOLUTIONS


def test_the_same_images_make_the_same_backbone(int8: bytes, images: list[NDArray[np.uint8]]) -> None:
    assert quantise(backbone_onnx("lite0"), images) == int8


def test_a_backbone_without_convolutions_is_refused() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18]> g (float[N] image) => (float[N] same) { same = Identity(image) }'
    )
    with pytest.raises(SettingError, match=r"'vit' has 0 convolutions. Use precision 'f32'"):
        quantise(model.SerializeToString(), [], "vit")


def test_an_int8_recipe_tells_good_from_flawed(int8_recipe: Recipe, draw: Any) -> None:
    inspector = Inspector(int8_recipe, threads=1)
    good = [inspector.inspect(draw(60 + i)[0]) for i in range(4)]
    flawed = [inspector.inspect(draw(70 + i, flawed=True)[0]) for i in range(4)]
    assert max(result.score for result in good) < min(result.score for result in flawed)
    assert all(result.verdict is not Verdict.OK for result in flawed)


def test_its_card_says_so_and_carries_its_proof(int8_recipe: Recipe, recipe: Recipe) -> None:
    assert int8_recipe.card.provenance.settings["precision"] == "int8"
    assert recipe.card.provenance.settings["precision"] == "f32"
    assert int8_recipe.card.parity is not None
    assert int8_recipe.card.parity.reference.startswith("int8 backbone and numpy ")
    assert int8_recipe.card.parity.max_relative_difference <= 1e-3
    assert len(int8_recipe.data) < len(recipe.data)


def test_an_int8_graph_around_another_backbone_is_refused(
    int8_recipe: Recipe, fitted: Any, draw: Any, int8: bytes
) -> None:
    with pytest.raises(RecipeError, match="parity gate"):
        check_parity(int8_recipe.data, "lite0", fitted.head, [draw(80)[0]], int8_recipe.card.band, int8)
