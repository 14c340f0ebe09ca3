"""Running a recipe's graph: what all engines answer to, onnxruntime, and OpenVINO of the extra [openvino]."""

from __future__ import annotations

import importlib
import io
import threading
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from sightline.core.errors import MissingExtraError, RecipeError, SettingError

Engine = Literal["onnxruntime", "openvino"]
Precision = Literal["f32", "bf16"]
DEVICE = "CPU"
TOLERANCE = 1e-3  # of an output, relative to max(1, |value|), in every parity gate


class Session(Protocol):
    """One loaded graph.

    `metadata` are the file's properties; `inputs` (element type, shape) by name, of those that must be given;
    `outputs` the names. `run` may be called from several threads at once.
    """

    metadata: dict[str, str]
    inputs: dict[str, tuple[str, tuple[Any, ...]]]
    outputs: tuple[str, ...]

    def run(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Input arrays by name -> output arrays by name. The banks and the calibration may be given, too."""
        ...


class OnnxSession:
    """A graph in onnxruntime."""

    def __init__(self, data: bytes, threads: int = 2, optimise: bool = True, name: str = "recipe") -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # one block for a whole run: half as much memory again, and no faster
        # Waiting threads sleep (docs/decisions/0005): spinning ones take the cores from everything beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a family of untyped errors for a bad model
            first = str(error).splitlines()[0][:200]
            raise RecipeError(f"{name}: not a loadable ONNX model ({first}). Train or copy it again") from error
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.inputs = {value.name: (value.type, tuple(value.shape)) for value in self._session.get_inputs()}
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Input arrays by name -> output arrays by name."""
        return dict(zip(self.outputs, self._session.run(None, arrays), strict=True))


def open_session(
    data: bytes, threads: int = 2, engine: str = "onnxruntime", precision: str = "f32", name: str = "recipe"
) -> Session:
    """A recipe's graph in the engine of that name, for one image at a time as soon as possible.

    Raises RecipeError for a bad file, SettingError for an engine or a precision that is not to be had here,
    MissingExtraError where the engine's package is not installed.
    """
    if precision not in get_args(Precision):
        raise SettingError(f"precision '{precision}' is unknown. Choose one of: {', '.join(get_args(Precision))}")
    if engine == "openvino":
        return OpenVinoSession(data, threads, precision, name)
    if engine != "onnxruntime":
        raise SettingError(f"engine '{engine}' is unknown. Choose one of: {', '.join(get_args(Engine))}")
    if precision != "f32":
        raise SettingError(f"onnxruntime has no {precision} on a processor. Use precision 'f32', or engine 'openvino'")
    return OnnxSession(data, threads, name=name)


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
        # OpenVINO drops the file's properties and cannot tell why a file is not a model: onnxruntime reads both.
        facts = OnnxSession(data, 1, optimise=False, name=name)
        self.metadata, self.inputs, self.outputs = facts.metadata, facts.inputs, facts.outputs
        self._data, self._name = data, name
        self._lock, self._local = threading.Lock(), threading.local()
        self._compiled = {frozenset(self.inputs): self._compile(frozenset(self.inputs))}

    def run(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Input arrays by name -> output arrays by name."""
        found = self._request(frozenset(arrays)).infer(arrays)
        return {key: found[key] for key in self.outputs}

    def save(self, path: Path) -> None:
        """Write the model as OpenVINO's own files: `path` (.xml) and the weights beside it (.bin), in f32.

        The recipe's properties are in the .xml as `rt_info` under "sightline". Raises OSError.
        """
        model = self._core.read_model(model=self._data)
        for key, text in self.metadata.items():
            model.set_rt_info(text, ["sightline", key])
        try:
            _package("openvino").save_model(model, path, compress_to_fp16=False)
        except RuntimeError as error:
            raise OSError(None, str(error).strip().splitlines()[-1], str(path)) from error

    @staticmethod
    def run_saved(path: Path, arrays: dict[str, NDArray[Any]], threads: int = 2) -> dict[str, NDArray[Any]]:
        """Run files that `save` wrote, with nothing else of the recipe: input arrays by name -> output arrays."""
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        compiled = _package("openvino").Core().compile_model(path, DEVICE, settings)
        found = compiled(arrays)
        return {output.any_name: found[output] for output in compiled.outputs}

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
        tensors = {name: source.get_place_by_tensor_name(name) for name in sorted(names)}
        unknown = [name for name, tensor in tensors.items() if tensor is None]
        if unknown:
            raise RecipeError(f"{self._name}: has no inputs {unknown}. Give some of those in docs/reference/recipe.md")
        source.override_all_inputs(list(tensors.values()))
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
    supported = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if precision != "f32" and precision.upper() not in supported:
        raise SettingError(f"this processor does not compute in {precision} (but {', '.join(supported)}). Use 'f32'")
    return precision


def relative_difference(expected: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]) -> float:
    """Largest difference of two outputs of one shape, relative to max(1, |value|); infinite where one is not a number.

    Both parity gates ask for at most `TOLERANCE`: that of an export against torch, and that of an engine against
    onnxruntime.
    """
    off = np.abs(found.astype(np.float64) - expected) / np.maximum(1.0, np.abs(expected))
    return float(np.max(off, initial=0.0)) if np.isfinite(off).all() else np.inf
