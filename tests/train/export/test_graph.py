"""The recipe's graph says the same as torch, in plain ONNX, and its bank can be exchanged."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from sightline.core.card import METADATA_KEY, Card
from sightline.models.anomaly import Discriminator
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import OnnxSession
from sightline.train.backbone.extractor import backbone_onnx
from sightline.train.backbone.torch_extractor import TorchExtractor
from sightline.train.export.graph import recipe_model, with_card


@pytest.fixture(scope="module")
def session(graph: ModelProto) -> OnnxSession:
    return OnnxSession(graph.SerializeToString(), threads=1)


@pytest.fixture(scope="module")
def images(draw: Any) -> NDArray[np.uint8]:
    """Parts, flaws, noise and flat pictures, (12, 96, 128, 3)."""
    rng = np.random.default_rng(0)
    drawn = [draw(900 + i, flawed=i % 2 == 1)[0] for i in range(6)]
    noise = [rng.integers(0, 256, (96, 128, 3)).astype(np.uint8) for _ in range(4)]
    return np.stack([*drawn, *noise, np.zeros_like(drawn[0]), np.full_like(drawn[0], 255)])


@pytest.fixture(scope="module")
def outputs(session: OnnxSession, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    return session.run({"image": images})


def test_the_graph_equals_torch(
    outputs: dict[str, NDArray[np.float32]], images: NDArray[np.uint8], fitted: Any, torch_extractor: TorchExtractor
) -> None:
    heat, score = fitted.head(torch_extractor(images))
    difference = np.abs(outputs["score"] - score) / np.maximum(1, np.abs(score))
    assert difference.max() <= 1e-3
    assert np.abs(outputs["heatmap"] - heat).max() <= 0.02
    assert score.max() - score.min() > 10  # the images are worth comparing


def test_the_graph_equals_torch_with_a_discriminator(
    images: NDArray[np.uint8], fitted: Any, torch_extractor: TorchExtractor
) -> None:
    head, rng = deepcopy(fitted.head), np.random.default_rng(3)
    channels = sum(head.levels["fine"].channels)
    numbers = (rng.normal(size=(6, channels)) / channels**0.5, rng.normal(size=6), rng.normal(size=6))
    head.discriminator = Discriminator(*(values.astype(np.float32) for values in numbers))
    head.discriminator.weight, head.discriminator.floor = 0.5, -2.0
    head.discriminator.centre, head.discriminator.scale = -1.0, 0.3
    made = recipe_model(backbone_onnx("lite0"), head, fitted.held_out.scores.astype(np.float32), (96, 128), "stride_32")
    said = OnnxSession(made.SerializeToString(), threads=1).run({"image": images})
    heat, score = head(torch_extractor(images))
    plain, _ = fitted.head(torch_extractor(images))
    assert np.abs(said["heatmap"] - heat).max() <= 0.02
    assert np.abs(said["score"] - score).max() <= 1e-3 * max(1, np.abs(score).max())
    assert np.abs(heat - plain).max() > 1  # the discriminator says something


def test_outputs_have_their_names_shapes_and_types(outputs: dict[str, NDArray[np.float32]]) -> None:
    shapes = {name: array.shape for name, array in outputs.items()}
    assert shapes == {
        "score": (12,),
        "p_value": (12,),
        "heatmap": (12, 12, 16),
        "embedding": (12, 320),
        "ood": (12, 640),
    }
    assert all(array.dtype == np.float32 for array in outputs.values())


def test_a_batch_is_read_like_single_images(
    session: OnnxSession, outputs: dict[str, NDArray[np.float32]], images: NDArray[np.uint8]
) -> None:
    for index in (0, 1, 7, 11):
        alone = session.run({"image": images[index : index + 1]})
        for name, array in alone.items():
            assert np.allclose(array[0], outputs[name][index], rtol=1e-3, atol=1e-2), name


def test_the_p_value_is_conformal(outputs: dict[str, NDArray[np.float32]], fitted: Any) -> None:
    held_out = fitted.held_out.scores.astype(np.float32)
    reached = (held_out[None] >= outputs["score"][:, None]).sum(1)
    assert outputs["p_value"] == pytest.approx((reached + 1) / (len(held_out) + 1), abs=1e-6)


def test_the_embedding_is_the_mean_of_the_deepest_map(
    outputs: dict[str, NDArray[np.float32]], images: NDArray[np.uint8], torch_extractor: TorchExtractor
) -> None:
    expected = torch_extractor(images)["stride_32"].mean((2, 3))
    assert outputs["embedding"] == pytest.approx(expected, abs=0.01)


def test_only_plain_operators_are_used(graph: ModelProto) -> None:
    assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 18)]
    assert all(node.domain in {"", "ai.onnx"} for node in graph.graph.node)
    assert not graph.functions
    assert all(onnx.defs.has(node.op_type) for node in graph.graph.node)
    onnx.checker.check_model(graph, full_check=True)


def test_the_image_is_the_only_input_one_must_give(graph: ModelProto) -> None:
    numbers = {entry.name for entry in graph.graph.initializer}
    inputs = {entry.name for entry in graph.graph.input}
    assert inputs - numbers == {"image"}
    assert inputs & numbers == {"bank_fine", "bank_coarse", "calibration"}


def test_the_graph_takes_images_of_its_size_only(session: OnnxSession) -> None:
    assert session.inputs["image"] == ("tensor(uint8)", ("N", 96, 128, 3))
    with pytest.raises(Exception, match="invalid dimensions"):
        session.run({"image": np.zeros((1, 64, 128, 3), np.uint8)})


@pytest.mark.parametrize("entries", [1, 100, 256, 700])
def test_another_bank_of_another_size_can_be_given(
    entries: int, session: OnnxSession, images: NDArray[np.uint8], fitted: Any, torch_extractor: TorchExtractor
) -> None:
    level = fitted.head.levels["fine"]
    rows = np.arange(entries) % len(level.bank)
    bank = level.bank[rows] + np.linspace(-1, 1, entries, dtype=np.float32)[:, None]
    given = session.run({"image": images[:3], "bank_fine": bank})
    kept, level.bank = level.bank, bank
    try:
        heat, score = fitted.head(torch_extractor(images[:3]))
    finally:
        level.bank = kept
    assert given["score"] == pytest.approx(score, rel=1e-3, abs=1e-3)
    assert given["heatmap"] == pytest.approx(heat, abs=0.02)
    assert not np.allclose(given["score"], session.run({"image": images[:3]})["score"], atol=1e-3)


def test_other_calibration_scores_can_be_given(session: OnnxSession, images: NDArray[np.uint8]) -> None:
    high = session.run({"image": images[:1], "calibration": np.full(99, 1e6, np.float32)})
    low = session.run({"image": images[:1], "calibration": np.full(99, -1e6, np.float32)})
    assert high["p_value"] == pytest.approx(1.0)
    assert low["p_value"] == pytest.approx(0.01)
    assert high["score"] == low["score"]


def test_the_card_travels_in_the_file(graph: ModelProto, recipe: Recipe) -> None:
    data = with_card(graph, recipe.card)
    again = with_card(onnx.load_from_string(data), recipe.card.model_copy(update={"product": "Bleche"}))
    for stored, product in ((data, "plates"), (again, "Bleche")):
        (entry,) = onnx.load_from_string(stored).metadata_props
        assert entry.key == METADATA_KEY
        assert Card.model_validate_json(entry.value).product == product
