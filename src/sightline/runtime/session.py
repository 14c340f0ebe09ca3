"""Running a recipe's graph in onnxruntime."""

from __future__ import annotations

from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from sightline.core.errors import RecipeError


class OnnxSession:
    """One loaded graph. `run` may be called from several threads at once."""

    def __init__(self, data: bytes, threads: int = 2, optimise: bool = True, name: str = "recipe") -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
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
