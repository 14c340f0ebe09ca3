"""Running a trunk while training: in onnxruntime on a CPU, in torch on a GPU.

The ONNX export of a trunk does not depend on the product, so it is made once and cached.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.models.backbone import STRIDES, Backbone, backbone
from sightline.runtime.recipe import write_atomically
from sightline.runtime.session import OnnxSession

OPSET = 18
EXPORT_VERSION = 1  # raise it when the export changes, so that old cache files are not used
MAP_NAMES = tuple(f"stride_{stride}" for stride in STRIDES)


class Trunk(Protocol):
    """Images (N, H, W, 3) uint8 -> maps {stride: (N, C, H/stride, W/stride) float32} on `device`."""

    device: torch.device

    def __call__(self, images: NDArray[np.uint8]) -> dict[int, Tensor]: ...


class OnnxTrunk:
    """The trunk in onnxruntime, several times faster than eager torch on a CPU."""

    def __init__(self, name: str, threads: int) -> None:
        self.device = torch.device("cpu")
        self._session = OnnxSession(trunk_onnx(name), threads, name=f"trunk {name}")

    def __call__(self, images: NDArray[np.uint8]) -> dict[int, Tensor]:
        maps = self._session.run({"image": images})
        return {stride: torch.from_numpy(maps[key]) for stride, key in zip(STRIDES, MAP_NAMES, strict=True)}


class TorchTrunk:
    """The trunk in torch, on any device; also the reference of the parity gate."""

    def __init__(self, name: str, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self._net = ImageTrunk(backbone(name)).to(self.device).eval()

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> dict[int, Tensor]:
        maps = self._net(torch.from_numpy(images).to(self.device))
        return dict(zip(STRIDES, maps, strict=True))


def open_trunk(name: str, threads: int) -> Trunk:
    """The fastest trunk on this machine."""
    return TorchTrunk(name, "cuda") if torch.cuda.is_available() else OnnxTrunk(name, threads)


class ImageTrunk(nn.Module):
    """A trunk that takes images as cameras give them: (N, H, W, 3) uint8."""

    def __init__(self, source: Backbone) -> None:
        super().__init__()
        self.net = source.load()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = self.net(image.permute(0, 3, 1, 2).float())
        return maps


def cache_folder() -> Path:
    """Where exported trunks are kept: $SIGHTLINE_CACHE, else the user's cache folder."""
    given = os.environ.get("SIGHTLINE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sightline"


def trunk_onnx(name: str) -> bytes:
    """A trunk as ONNX bytes, from the cache where it is there. A cache that cannot be used costs time only."""
    source = backbone(name)
    path = cache_folder() / f"trunk-{source.identity}-v{EXPORT_VERSION}.onnx"
    kept = _kept(path)
    if kept is not None:
        return kept
    data = export_trunk(source)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        warnings.warn(f"{path}: the exported trunk could not be cached ({error.strerror})", stacklevel=2)
    return data


def _kept(path: Path) -> bytes | None:
    """The cached trunk; None where there is none, or the file is damaged."""
    try:
        data = path.read_bytes()
        outputs = [output.name for output in onnx.load_from_string(data).graph.output]
    except (OSError, DecodeError):
        return None
    return data if outputs == list(MAP_NAMES) else None


def export_trunk(source: Backbone) -> bytes:
    """A trunk as ONNX: input `image` (N, H, W, 3) uint8, outputs `stride_4` .. `stride_32`."""
    sizes = {0: torch.export.Dim("N"), 1: 32 * torch.export.Dim("H32"), 2: 32 * torch.export.Dim("W32")}
    example = torch.zeros(2, 64, 96, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own internals
        program = torch.onnx.export(
            ImageTrunk(source).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=list(MAP_NAMES),
            dynamic_shapes=(sizes,),
            verbose=False,
        )
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data
