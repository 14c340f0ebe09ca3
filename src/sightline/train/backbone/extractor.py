"""Running a backbone while training: in onnxruntime on a CPU, in torch on a GPU.

The ONNX export of a backbone does not depend on the product, so it is made once and cached.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.core.errors import InputError, SightlineError, warn_caller
from sightline.core.files import cache_folder
from sightline.imaging.image import Image
from sightline.models.attention import attention_map
from sightline.models.backbone import Backbone, backbone
from sightline.runtime.recipe import write_atomically
from sightline.runtime.session import OnnxSession

OPSET = 18
REGISTRATION = (
    "torch.onnx._internal.exporter._registration"  # says that torchvision, which no backbone needs, is missing
)
EXPORT_VERSION = 1  # raise it when the export changes, so that old cache files are not used


class FeatureExtractor(Protocol):
    """Images (N, H, W, 3) uint8 -> maps {name: (N, C, h, w) float32} on `device`.

    Raises InputError where H or W is not a multiple of the backbone's `step_px`.
    """

    device: torch.device

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, Tensor]: ...

    def rest(self) -> None:
        """Give memory back until the next call, as far as that costs next to nothing."""


class OnnxExtractor:
    """The backbone in onnxruntime, several times faster than eager torch on a CPU.

    `given` are the bytes of another export of the backbone, an int8 one for instance, that stands in for the cached
    one.
    """

    def __init__(self, name: str | Backbone, threads: int, given: bytes | None = None) -> None:
        self.device = torch.device("cpu")
        self._name, self._threads, self._given, self._source = name, threads, given, backbone(name)
        self._size: tuple[int, int] | None = None  # of the session, where it holds for one size only
        self._session: OnnxSession | None = None

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, Tensor]:
        size = _check_size(images, self._source.step_px)
        if self._session is None or (size != self._size and not self._source.any_size):
            self._size, self._session = size, self._open(size)
        maps = self._session.run({"image": images})
        return {key: torch.from_numpy(maps[key]) for key in self._source.maps}

    def rest(self) -> None:
        """Close the session; the next call opens it again, in a few dozen milliseconds."""
        self._session = None

    def _open(self, size: tuple[int, int] | None = None) -> OnnxSession:
        return OnnxSession(
            self._given or backbone_onnx(self._name, size), self._threads, name=f"backbone {self._source.identity}"
        )


class TorchExtractor:
    """The backbone in torch, on any device; also the reference of the parity gate.

    `half` computes the backbone in bfloat16 and gives its maps as float32 all the same: by default on a GPU, whose
    matrix units are made for it, and never on a CPU, where this class is the reference.
    """

    def __init__(self, name: str | Backbone, device: str | torch.device = "cpu", half: bool | None = None) -> None:
        self.device = torch.device(device)
        self._on_gpu = self.device.type == "cuda"
        self._half = self._on_gpu if half is None else half
        self._source = backbone(name)
        self._net = ImageExtractor(self._source).to(self.device).eval()
        if self._on_gpu:  # convolutions in the order in which images come: no copy between the two
            self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.uint8]) -> dict[str, Tensor]:
        _check_size(images, self._source.step_px)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            maps = self._net(self._upload(images))
        return {name: x.float() for name, x in zip(self._source.maps, maps, strict=True)}

    def rest(self) -> None:
        """Keeps its weights: they are on their device, and bringing them there takes long."""

    def _upload(self, images: NDArray[np.uint8]) -> Tensor:
        batch = torch.from_numpy(images)
        # From pinned memory the copy runs beside the GPU's work; uint8, so a quarter of what floats would take.
        return batch.pin_memory().to(self.device, non_blocking=True) if self._on_gpu else batch.to(self.device)


def _check_size(images: NDArray[np.uint8], step_px: int) -> tuple[int, int]:
    """Height and width. What lies beyond the last whole step would not be looked at, so such a size is refused."""
    height, width = images.shape[1:3]
    if height % step_px or width % step_px:
        raise InputError(f"an input of {width} x {height} px: the backbone needs sides that are multiples of {step_px}")
    return height, width


def open_extractor(name: str | Backbone, threads: int, given: bytes | None = None) -> FeatureExtractor:
    """The fastest backbone on this machine; what is `given` runs in onnxruntime, as on the line."""
    if given is None and torch.cuda.is_available():
        return TorchExtractor(name, "cuda")
    return OnnxExtractor(name, threads, given)


class ImageExtractor(nn.Module):
    """A backbone that takes images as cameras give them: (N, H, W, 3) uint8."""

    def __init__(self, source: Backbone) -> None:
        super().__init__()
        self.net = source.load()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = self.net(image.permute(0, 3, 1, 2).float())
        return maps


def backbone_onnx(name: str | Backbone, size: tuple[int, int] | None = None) -> bytes:
    """A backbone as ONNX bytes, from the cache where it is there. A cache that cannot be used costs time only.

    `size` (H, W) is the input's; it matters, and must be given, where the backbone has not `any_size`.
    """
    source = backbone(name)
    if source.any_size:
        size = None
    elif size is None:
        raise InputError(f"the backbone '{source.identity}' is exported for one input size. Give the size")
    label = "" if size is None else f"-{size[0]}x{size[1]}"
    path = cache_folder() / f"backbone-{source.identity}{label}-v{EXPORT_VERSION}.onnx"
    cached = _read_cache(path, source.maps)
    if cached is not None:
        return cached
    data = export_backbone(source, size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        warn_caller(f"{path}: the exported backbone could not be cached ({error.strerror})", UserWarning)
    return data


def _read_cache(path: Path, maps: tuple[str, ...]) -> bytes | None:
    """The cached backbone; None where there is none, or the file is damaged."""
    try:
        data = path.read_bytes()
        outputs = [output.name for output in onnx.load_from_string(data).graph.output]
    except (OSError, DecodeError):
        return None
    return data if outputs == list(maps) else None


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Leave out what a logger has to say below an error."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def export_backbone(source: Backbone, size: tuple[int, int] | None = None) -> bytes:
    """A backbone as ONNX: input `image` (N, H, W, 3) uint8, outputs named as in `source.maps`.

    Where `size` (H, W) is given, the export holds for that input size only; the batch is free either way.
    """
    step = source.step_px
    height, width = size or (2 * step, 3 * step)
    sizes = {0: torch.export.Dim("N")}
    if size is None:
        sizes |= {1: step * torch.export.Dim("H_steps"), 2: step * torch.export.Dim("W_steps")}
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), _quiet(REGISTRATION):
        warnings.simplefilter("ignore")  # the exporter's notes on its own internals
        program = torch.onnx.export(
            ImageExtractor(source).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=list(source.maps),
            dynamic_shapes=(sizes,),
            verbose=False,
        )
    assert program is not None
    data: bytes = program.model_proto.SerializeToString()
    return data


# A frozen backbone as an embedder of whole images, for curation: what a part looks like in one vector.

SIDE_PX = 256  # rounded up to the backbone's step; the aspect is given up, since places do not matter here


class PooledExtractor:
    """Images (H, W, 3) uint8 of any size -> (N, E) float32: mean and maximum over all cells of the coarse level's maps.

    The mean tells the product and its light, the maximum a small defect. Every image is stretched to one square.
    """

    def __init__(self, name: str | Backbone = "lite0", threads: int = 2, side_px: int = SIDE_PX) -> None:
        source = backbone(name)
        self._maps = tuple(dict.fromkeys((*source.levels["coarse"], source.embedding)))
        self._side = -(-side_px // source.step_px) * source.step_px
        self._extractor = open_extractor(name, threads)

    @torch.inference_mode()
    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        size = (self._side, self._side)
        batch = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
        maps = self._extractor(np.asarray(batch, np.uint8))
        pooled = [part for name in self._maps for part in (maps[name].mean(dim=(2, 3)), maps[name].amax(dim=(2, 3)))]
        return np.asarray(torch.cat(pooled, dim=1).cpu().numpy(), np.float32)


# Where a recipe's backbone looks: attention over its input, for explanations in the lab.


class Attention:
    """Attention rollout of the backbone of that name, loaded on first use."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._net: torch.nn.Module | None = None

    def __call__(self, image: Image) -> tuple[NDArray[np.float32] | None, str]:
        """Attention (h, w) float32 over an input image (height, width, 3) uint8; None, and why, where there is none."""
        if self._name.startswith("lite"):
            return None, f"Attention is not shown: {self._name} is a convolutional network and has none"
        try:
            self._net = self._net or backbone(self._name).load()
        except SightlineError as error:
            return None, f"Attention is not shown: the backbone cannot be loaded here ({error})"
        found = attention_map(self._net, torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float())
        if found is None:
            return None, f"Attention is not shown: {self._name} is not a plain vision transformer"
        return np.asarray(found[0].cpu().numpy(), np.float32), ""
