"""OpenVINO: absent, it is named; it never computes in less than was asked for. The rest: contracts/test_engines."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from sightline.core.errors import MissingExtraError, SettingError
from sightline.runtime.openvino import OpenVinoSession, _supported
from sightline.runtime.recipe import Recipe


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
