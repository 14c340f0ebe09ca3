"""Running a recipe's graph in OpenVINO, of the extra [openvino]."""

from __future__ import annotations

import importlib
import io
import threading
from typing import Any

from numpy.typing import NDArray

from sightline.core.errors import MissingExtraError, RecipeError, SettingError
from sightline.runtime.session import OnnxSession

DEVICE = "CPU"


class OpenVinoSession:
    """A graph in OpenVINO on the processor.

    OpenVINO folds the banks and the calibration, and what follows from them alone, into the compiled model. Where
    others are given to `run`, the model is compiled once more with these as inputs, which takes a moment once.
    """

    def __init__(self, data: bytes, threads: int = 2, precision: str = "f32", name: str = "recipe") -> None:
        self._core = _package("openvino").Core()
        self._settings = {
            # By default OpenVINO computes in bf16 where it can: what a recipe says must not depend on the machine.
            "INFERENCE_PRECISION_HINT": _supported(self._core, precision),
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        # OpenVINO drops the file's properties and cannot tell why a file is no model: onnxruntime reads both.
        facts = OnnxSession(data, 1, optimise=False, name=name)
        self.metadata, self.inputs, self.outputs = facts.metadata, facts.inputs, facts.outputs
        self._data, self._name = data, name
        self._lock, self._local = threading.Lock(), threading.local()
        self._compiled = {frozenset(self.inputs): self._compile(frozenset(self.inputs))}

    def run(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Input arrays by name -> output arrays by name."""
        found = self._request(frozenset(arrays)).infer(arrays)
        return {key: found[key] for key in self.outputs}

    def _request(self, names: frozenset[str]) -> Any:
        """What holds one inference's memory: each thread has its own, and one per set of inputs."""
        requests = self._local.__dict__.setdefault("requests", {})
        if names not in requests:
            with self._lock:
                if names not in self._compiled:
                    self._compiled[names] = self._compile(names)
            requests[names] = self._compiled[names].create_infer_request()
        return requests[names]

    def _compile(self, names: frozenset[str]) -> Any:
        try:
            model = self._core.read_model(model=self._data) if names == set(self.inputs) else self._opened(names)
            return self._core.compile_model(model, DEVICE, self._settings)
        except RuntimeError as error:
            last = str(error).strip().splitlines()[-1][:200]
            raise RecipeError(f"{self._name}: OpenVINO cannot take it ({last}). Use engine 'onnxruntime'") from error

    def _opened(self, names: frozenset[str]) -> Any:
        """The model with all of `names` as inputs, before anything is folded."""
        reader = _package("openvino.frontend").FrontEndManager().load_by_framework("onnx")
        source = reader.load(io.BytesIO(self._data))
        places = {name: source.get_place_by_tensor_name(name) for name in sorted(names)}
        unknown = [name for name, place in places.items() if place is None]
        if unknown:
            raise RecipeError(f"{self._name}: has no inputs {unknown}. Give some of those in docs/reference/recipe.md")
        source.override_all_inputs(list(places.values()))
        return reader.convert(source)


def _package(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == "openvino":
            raise MissingExtraError("openvino", "openvino") from error
        raise


def _supported(core: Any, precision: str) -> str:
    """The precision, if the processor computes in it: OpenVINO would take any and fall back without a word."""
    known = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if precision != "f32" and precision.upper() not in known:
        raise SettingError(f"this processor does not compute in {precision} (but {', '.join(known)}). Use 'f32'")
    return precision
