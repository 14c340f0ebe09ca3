"""The backbone's maps of labelled parts, cached in half precision: heads are learned in many passes, the backbone runs
once.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from sightline.core.files import cache_folder
from sightline.imaging.image import Image
from sightline.models.arrays import Array
from sightline.models.backbone import Backbone
from sightline.train.backbone.extractor import FeatureExtractor
from sightline.train.images.loader import warn

CACHE_BYTES = 1 << 30  # in memory; what goes beyond lies on disk

Maps = dict[str, Tensor]
View = tuple[str, bool, bool]  # of an image: its key, whether mirrored from left to right, whether upside down


def as_tensors(maps: dict[str, Array]) -> Maps:
    """Maps of an extractor as torch's, which networks take."""
    return {name: torch.as_tensor(values) for name, values in maps.items()}


class CachedMaps:
    """Maps {name: (N, C, h, w) float32} of images, mirrored and upside down, too: from memory where there is room, then
    from a file, and from the backbone once more where there is no room on disk either.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        source: Backbone,
        free_bytes: int = CACHE_BYTES,
        disk: DiskCache | None = None,
    ) -> None:
        self._extractor, self.names, self._free_bytes = extractor, source.maps, free_bytes
        self._cached: dict[View, Maps] = {}
        self._disk = disk or DiskCache()

    def __call__(self, key: str, image: Image, mirrored: bool, upside_down: bool = False) -> Maps:
        """Maps {name: (1, C, h, w) float16} of one image (H, W, 3) uint8; `key` names it."""
        view = (key, mirrored, upside_down)
        cached = self._cached.get(view) or self._disk.read(view)
        if cached is not None:
            return cached
        seen = image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
        found = self._extractor(np.ascontiguousarray(seen)[None])
        maps = {name: x.half().cpu() for name, x in as_tensors(found).items() if name in self.names}
        self._remember(view, maps)
        return maps

    def _remember(self, key: View, maps: Maps) -> None:
        size = sum(values.nbytes for values in maps.values())
        if size <= self._free_bytes:
            self._cached[key] = maps
            self._free_bytes -= size
        else:
            self._disk.write(key, maps)

    def batch(self, asked: Sequence[tuple[str, Image, bool]]) -> Maps:
        """Maps of several images, stacked.

        Channels come last in memory: a step of learning then takes little more than half the time on a processor.
        """
        found = [self(*one) for one in asked]
        return {
            name: torch.cat([maps[name] for maps in found]).to(torch.float32, memory_format=torch.channels_last)
            for name in self.names
        }


# Tensors that memory has no room for, in a file without a name: it is gone with its process, whatever ends that.

MAX_BYTES = 16 << 30
SHARE = 0.5  # of the free disk that may be used

Extent = tuple[str, int, torch.Size, torch.dtype]  # name, first byte, shape, dtype


class DiskCache:
    """Groups of named tensors on disk, at most `most` bytes in all; what does not fit is not there when it is read."""

    def __init__(self, folder: Path | None = None, most: int = MAX_BYTES) -> None:
        self._folder, self._free_bytes, self._end = folder or cache_folder(), most, 0
        self._extents: dict[Hashable, list[Extent]] = {}
        self._file: IO[bytes] | None = None

    def write(self, key: Hashable, tensors: dict[str, Tensor]) -> None:
        """Keep a group of CPU tensors. A disk that is full or cannot be written costs the keeping, and warns once."""
        size = sum(values.nbytes for values in tensors.values())
        if size > self._free_bytes:
            return
        start, extents, data = self._end, [], []
        for name, values in tensors.items():
            extents.append((name, start, values.shape, values.dtype))
            data.append(values.contiguous().numpy().tobytes())
            start += len(data[-1])
        try:
            self._append(b"".join(data))
        except OSError as error:
            self._free_bytes = 0
            warn(
                f"{self._folder}: the backbone's maps could not be cached on disk ({error.strerror}), so they are "
                "computed anew in every pass. Free some space, or set SIGHTLINE_CACHE to a folder that has it"
            )
            return
        self._extents[key] = extents

    def read(self, key: Hashable) -> dict[str, Tensor] | None:
        """The group as it was; None where it is not cached."""
        extents = self._extents.get(key)
        if extents is None:
            return None
        return {name: self._read(start, shape, dtype) for name, start, shape, dtype in extents}

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._free_bytes = min(self._free_bytes, int(SHARE * shutil.disk_usage(self._folder).free))
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - lives as long as self
            weakref.finalize(self, self._file.close)
        self._file.seek(self._end)
        if self._file.write(data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += len(data)
        self._free_bytes -= len(data)

    def _read(self, start: int, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        assert self._file is not None
        self._file.seek(start)
        data = bytearray(self._file.read(shape.numel() * dtype.itemsize))
        return torch.frombuffer(data, dtype=dtype).view(shape)
