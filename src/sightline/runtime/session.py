"""Running a recipe's graph: the port that all engines answer, and onnxruntime behind it."""

from __future__ import annotations

from typing import Any, Literal, Protocol, get_args

import onnxruntime as ort
from numpy.typing import NDArray

from sightline.core.errors import RecipeError, SettingError

Engine = Literal["onnxruntime", "openvino"]
Precision = Literal["f32", "bf16"]


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
        from sightline.runtime.openvino import OpenVinoSession

        return OpenVinoSession(data, threads, precision, name)
    if engine != "onnxruntime":
        raise SettingError(f"engine '{engine}' is unknown. Choose one of: {', '.join(get_args(Engine))}")
    if precision != "f32":
        raise SettingError(f"onnxruntime has no {precision} on a processor. Use precision 'f32', or engine 'openvino'")
    return OnnxSession(data, threads, name=name)
