"""Running a backbone in torch: on a GPU, as the parity gate's reference, and to export it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.core.errors import SightlineError
from sightline.imaging.image import Image
from sightline.models.arrays import Array
from sightline.models.attention import attention_map
from sightline.models.backbone import Backbone, backbone
from sightline.train.backbone.lite_graph import OPSET

REGISTRATION = (
    "torch.onnx._internal.exporter._registration"  # says that torchvision, which no backbone needs, is missing
)


def has_gpu() -> bool:
    """Whether torch can compute on a GPU here."""
    return torch.cuda.is_available()


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
    def __call__(self, images: NDArray[np.uint8]) -> dict[str, Array]:
        self._source.size_of(images)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            maps = self._net(self._upload(images))
        ready = (x.float() if self._on_gpu else x.float().numpy() for x in maps)
        return dict(zip(self._source.maps, ready, strict=True))

    def rest(self) -> None:
        """Keeps its weights: they are on their device, and bringing them there takes long."""

    def _upload(self, images: NDArray[np.uint8]) -> Tensor:
        batch = torch.from_numpy(images)
        # From pinned memory the copy runs beside the GPU's work; uint8, so a quarter of what floats would take.
        return batch.pin_memory().to(self.device, non_blocking=True) if self._on_gpu else batch.to(self.device)


class ImageExtractor(nn.Module):
    """A backbone that takes images as cameras give them: (N, H, W, 3) uint8."""

    def __init__(self, source: Backbone) -> None:
        super().__init__()
        self.net = source.load()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps: tuple[Tensor, ...] = self.net(image.permute(0, 3, 1, 2).float())
        return maps


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
