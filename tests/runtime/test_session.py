"""The session: a graph that runs, or an error that names the file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from onnx import parser

from sightline.core.errors import MissingExtraError, RecipeError, SettingError
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import OnnxSession, OpenVinoSession, _supported

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


# OpenVINO: absent, it is named; it never computes in less than was asked for. The rest: contracts/test_engines.


class _Core:
    """A processor with the given abilities."""

    def __init__(self, *able: str) -> None:
        self._able = list(able)

    def get_property(self, device: str, name: str) -> list[str]:
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return self._able


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[openvino\]'"):
        OpenVinoSession(b"")


def test_a_package_that_is_broken_inside_raises_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'inner'", name="inner")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="inner"):
        OpenVinoSession(b"")


def test_bf16_is_taken_only_where_the_processor_has_it() -> None:
    assert _supported(_Core("FP32", "BF16"), "bf16") == "bf16"
    assert _supported(_Core("FP32"), "f32") == "f32"
    with pytest.raises(SettingError, match=r"does not compute in bf16 \(but FP32, INT8\). Use 'f32'"):
        _supported(_Core("FP32", "INT8"), "bf16")


def test_the_precision_and_the_threads_are_set(recipe: Recipe) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'sightline[openvino]'")
    session = OpenVinoSession(recipe.data, threads=1)
    (compiled,) = session._compiled.values()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert compiled.get_property("NUM_STREAMS") == 1
