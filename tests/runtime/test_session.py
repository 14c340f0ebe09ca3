"""The session: a graph that runs, or an error that names the file."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import parser

from sightline.core.errors import RecipeError
from sightline.runtime.session import OnnxSession

DOUBLE = """<ir_version: 10, opset_import: ["" : 18]>
    double (float[N, 3] value) => (float[N, 3] twice, float[N, 3] same) {
        twice = Add(value, value)
        same = Identity(value)
    }"""


@pytest.fixture(scope="module")
def model() -> bytes:
    return parser.parse_model(DOUBLE).SerializeToString()


def test_outputs_come_by_name(model: bytes) -> None:
    session = OnnxSession(model, threads=1)
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    outputs = session.run({"value": value})
    assert list(outputs) == ["twice", "same"] == list(session.outputs)
    assert np.array_equal(outputs["twice"], 2 * value)
    assert np.array_equal(outputs["same"], value)


def test_inputs_tell_their_type_and_shape(model: bytes) -> None:
    session = OnnxSession(model, threads=1)
    assert session.inputs == {"value": ("tensor(float)", ("N", 3))}
    assert session.metadata == {}


@pytest.mark.parametrize("optimise", [True, False])
def test_optimising_changes_no_result(optimise: bool, model: bytes) -> None:
    value = np.random.default_rng(0).random((4, 3)).astype(np.float32)
    assert np.array_equal(OnnxSession(model, 1, optimise).run({"value": value})["twice"], 2 * value)


def test_one_session_serves_several_threads(model: bytes) -> None:
    session = OnnxSession(model, threads=1)
    values = [np.full((2, 3), i, np.float32) for i in range(64)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda value: session.run({"value": value})["twice"], values))
    assert all(np.array_equal(result, 2 * value) for result, value in zip(results, values, strict=True))


@pytest.mark.parametrize(
    "spoil", [lambda data: b"no model", lambda data: b"\x00" * 99, lambda data: data[: len(data) // 2]]
)
def test_what_is_no_model_is_named(spoil: Callable[[bytes], bytes], model: bytes) -> None:
    with pytest.raises(RecipeError, match=r"plates.onnx: not a loadable ONNX model .* Train or copy it again"):
        OnnxSession(spoil(model), name="plates.onnx")
