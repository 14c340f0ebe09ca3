"""Running a backbone while training: in onnxruntime on a CPU, in torch on a GPU.

The ONNX export of a backbone does not depend on the product, so it is made once and cached. Nothing here needs torch,
but for a GPU and for backbones that are exported from it (`torch_extractor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from sightline.core.errors import InputError, MissingExtraError, warn_caller
from sightline.core.files import cache_folder
from sightline.imaging.image import Image
from sightline.models.arrays import Array, to_numpy
from sightline.models.backbone import Backbone, backbone
from sightline.runtime.recipe import write_atomically
from sightline.runtime.session import OnnxSession
from sightline.train.backbone.lite_graph import lite_onnx

EXPORT_VERSION = 2  # raise it when the export changes, so that old cache files are not used


class FeatureExtractor(Protocol):
    """Images (N, H, W, 3) uint8 -> maps {name: (N, C, h, w) float32}: of numpy or, on a GPU, of torch.

    Raises InputError where H or W is not a multiple of the backbone's `step_px`.
    """

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, Array]: ...

    def rest(self) -> None:
        """Give memory back until the next call, as far as that costs next to nothing."""


class OnnxExtractor:
    """The backbone in onnxruntime, several times faster than eager torch on a CPU.

    `given` are the bytes of another export of the backbone, an int8 one for instance, that stands in for the cached
    one.
    """

    def __init__(self, name: str | Backbone, threads: int, given: bytes | None = None, optimise: bool = True) -> None:
        self._name, self._threads, self._given, self._source = name, threads, given, backbone(name)
        self._optimise = optimise
        self._size: tuple[int, int] | None = None  # of the session, where it holds for one size only
        self._session: OnnxSession | None = None

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, Array]:
        size = self._source.size_of(images)
        if self._session is None or (size != self._size and not self._source.any_size):
            self._size, self._session = size, self._open(size)
        maps = self._session.run({"image": images})
        return {key: maps[key] for key in self._source.maps}

    def rest(self) -> None:
        """Close the session; the next call opens it again, in a few dozen milliseconds."""
        self._session = None

    def _open(self, size: tuple[int, int] | None = None) -> OnnxSession:
        return OnnxSession(
            self._given or backbone_onnx(self._name, size),
            self._threads,
            optimise=self._optimise,
            name=f"backbone {self._source.identity}",
        )


def open_extractor(name: str | Backbone, threads: int, given: bytes | None = None) -> FeatureExtractor:
    """The fastest backbone on this machine; what is `given` runs in onnxruntime, as on the line."""
    if given is None and has_torch():
        from sightline.train.backbone.torch_extractor import TorchExtractor, has_gpu

        if has_gpu():
            return TorchExtractor(name, "cuda")
    return OnnxExtractor(name, threads, given)


def has_torch() -> bool:
    """Whether torch is installed."""
    return find_spec("torch") is not None


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
    data = _made(source, size)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        warn_caller(f"{path}: the exported backbone could not be cached ({error.strerror})", UserWarning)
    return data


def _made(source: Backbone, size: tuple[int, int] | None) -> bytes:
    if source.written is not None:
        return lite_onnx(source.written)
    if not has_torch():
        raise MissingExtraError("torch", "train")
    from sightline.train.backbone.torch_extractor import export_backbone

    return export_backbone(source, size)


def _read_cache(path: Path, maps: tuple[str, ...]) -> bytes | None:
    """The cached backbone; None where there is none, or the file is damaged."""
    try:
        data = path.read_bytes()
        outputs = [output.name for output in onnx.load_from_string(data).graph.output]
    except (OSError, DecodeError):
        return None
    return data if outputs == list(maps) else None


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

    def __call__(self, images: Sequence[Image]) -> NDArray[np.float32]:
        size = (self._side, self._side)
        batch = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
        maps = self._extractor(np.asarray(batch, np.uint8))
        flat = [to_numpy(maps[name]).reshape(len(images), maps[name].shape[1], -1) for name in self._maps]
        return np.concatenate([part for x in flat for part in (x.mean(axis=2), x.max(axis=2))], axis=1)
