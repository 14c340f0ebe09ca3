"""The parity gate: a graph that scores differently never becomes a recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from sightline.core.errors import RecipeError
from sightline.core.result import Band
from sightline.runtime.session import TOLERANCE
from sightline.train.export.parity import check_parity

BAND = Band(low=2.0, high=5.0)


@pytest.fixture(scope="module")
def images(draw: Any) -> list[NDArray[np.uint8]]:
    return [draw(920 + i, flawed=i == 1)[0] for i in range(3)]


def _tampered(graph: ModelProto, name: str, change: Any) -> bytes:
    copy = onnx.load_from_string(graph.SerializeToString())
    (number,) = [entry for entry in copy.graph.initializer if entry.name == name]
    number.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(number)).astype(np.float32), name))
    return copy.SerializeToString()


def test_a_true_graph_passes_with_its_proof(graph: ModelProto, fitted: Any, images: list[NDArray[np.uint8]]) -> None:
    parity = check_parity(graph.SerializeToString(), "lite0", fitted.head, iter(images), BAND)
    assert parity.images == 3
    assert parity.max_relative_difference <= TOLERANCE
    assert parity.verdict_flips == 0
    assert parity.reference.startswith("torch ")
    assert parity.engine.startswith("onnxruntime ")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("score_centres", lambda values: values + 0.01),
        ("fine_spread", lambda value: value * 1.02),
        ("bank_coarse", lambda bank: bank * 1.02),
        ("kernel_row", lambda kernel: kernel[..., ::-1] * 1.01),
        ("fine_centre", lambda value: value * np.nan),
    ],
)
def test_a_changed_graph_is_refused(
    name: str, change: Any, graph: ModelProto, fitted: Any, images: list[NDArray[np.uint8]]
) -> None:
    with pytest.raises(RecipeError, match=r"parity gate: .* no recipe was written. Reinstall"):
        check_parity(_tampered(graph, name, change), "lite0", fitted.head, images, BAND)


def test_a_changed_verdict_is_counted(graph: ModelProto, fitted: Any, images: list[NDArray[np.uint8]]) -> None:
    model = _tampered(graph, "score_centres", lambda values: values + 1e6)
    with pytest.raises(RecipeError, match="with 1 changed verdicts on 1 images"):
        check_parity(model, "lite0", fitted.head, images[1:2], BAND)


def test_a_graph_that_does_not_load_is_refused(fitted: Any, images: list[NDArray[np.uint8]]) -> None:
    with pytest.raises(RecipeError, match="not a loadable ONNX model"):
        check_parity(b"no model", "lite0", fitted.head, images, BAND)
