"""An int8 backbone: the convolutions of an exported backbone in 8 bits, everything around them in floats.

Signed 7-bit weights per channel and unsigned 8-bit activations. With 8-bit weights, processors without VNNI add two
products in 16 bits and clip them, so a recipe would score differently from machine to machine (docs/decisions/0010).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import set_default_logger_severity
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from sightline.core.errors import SettingError
from sightline.imaging.image import Image
from sightline.train.backbone.extractor import backbone_onnx
from sightline.train.images.loader import ImageLoader, brightened
from sightline.train.settings import TrainSettings

FLOAT_CONVOLUTIONS = 6  # the first, up to the first at a quarter of the size: they make most of the error
PARTS = 16  # that the ranges of the activations are read from, each in three lights
TILES = 2  # of each
DEFAULT_STEP = 0.2  # to either side, where no light is set: a line must not leave the ranges on a bright day
QUANTISED = ("Conv", "Clip")  # a Clip between two of the convolutions becomes the range of the numbers, and vanishes


def int8_backbone(settings: TrainSettings, loader: ImageLoader, given: bytes | None = None) -> bytes:
    """The settings' backbone, or the export that is `given`, as int8 ONNX bytes, its ranges read from good parts.

    Raises SettingError.
    """
    data = given or backbone_onnx(settings.backbone, (loader.size.height, loader.size.width))
    return quantise(data, _images(loader, settings), settings.backbone)


def quantise(extractor: bytes, images: Iterable[Image], name: str = "backbone") -> bytes:
    """A backbone's ONNX bytes -> the same with its convolutions in int8; `images` (H, W, 3) uint8 set the ranges.

    Of a whole recipe, only the backbone is quantised: distances stay in floats.
    Raises SettingError where the backbone has next to no convolutions.
    """
    model = onnx.load_from_string(extractor)
    excluded = _in_floats(model, name)
    # There is nothing to fold or fuse before: the exporter has done it. The mark keeps the warning away.
    kept = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, "onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder, _errors_only():
        path = Path(folder) / "backbone.onnx"
        quantize_static(
            model,
            path,
            _Feed(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=excluded,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return path.read_bytes()


def _in_floats(model: onnx.ModelProto, name: str) -> list[str]:
    """Names of the nodes to leave alone: the first convolutions, and all that follow the backbone."""
    nodes = list(model.graph.node)
    for index, node in enumerate(nodes):  # those of the reader have no names, by which alone they can be left out
        node.name = node.name or f"node_{index}"
    end = _backbone_end(model)
    convolutions = [index for index, node in enumerate(nodes[:end]) if node.op_type == "Conv"]
    if len(convolutions) <= 2 * FLOAT_CONVOLUTIONS:
        raise SettingError(
            f"precision 'int8' is for convolutional backbones, and '{name}' has {len(convolutions)} convolutions. "
            "Use precision 'f32', or a backbone such as lite0"
        )
    first = convolutions[FLOAT_CONVOLUTIONS]
    return [node.name for node in nodes[:first] + nodes[end:] if node.op_type in QUANTISED]


def _backbone_end(model: onnx.ModelProto) -> int:
    """How many nodes the backbone has: those before the first that projects a map for a memory bank."""
    levels = [value.name.removeprefix("bank_") for value in model.graph.input if value.name.startswith("bank_")]
    projections = {f"{level}_0_weights" for level in levels}
    nodes = model.graph.node
    return next((index for index, node in enumerate(nodes) if projections & set(node.input)), len(nodes))


def _images(loader: ImageLoader, settings: TrainSettings) -> Iterator[Image]:
    """Good parts spread over the set, as bright as they are, darker and brighter."""
    step = DEFAULT_STEP if settings.brightness is None else settings.brightness
    parts = list(loader.parts)
    chosen = np.unique(np.linspace(0, len(parts) - 1, min(PARTS, len(parts))).astype(int))
    for index in chosen:
        prepared = loader(parts[index])
        for image, letterbox in () if prepared is None else prepared.some(TILES, int(index)):
            yield image
            for factor in (1 - step, 1 + step) if step else ():
                yield brightened(image, letterbox, factor)


@contextmanager
def _errors_only() -> Iterator[None]:
    """onnxruntime's sessions of the calibration warn of the banks that are inputs, as they are meant to be."""
    set_default_logger_severity(3)
    try:
        yield
    finally:
        set_default_logger_severity(2)  # its default


class _Feed(CalibrationDataReader):
    """Images one at a time, as the calibration asks for them."""

    def __init__(self, images: Iterable[Image]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None]}
