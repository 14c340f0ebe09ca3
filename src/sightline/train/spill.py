"""Tensors that memory has no room for, in a file without a name: it is gone with its process, whatever ends that."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Hashable
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from sightline.train.intake import warn
from sightline.train.trunk import cache_folder

MOST_BYTES = 16 << 30
SHARE = 0.5  # of the free disk that may be used

Place = tuple[str, int, torch.Size, torch.dtype]  # name, first byte, shape, dtype


class Spill:
    """Groups of named tensors on disk, at most `most` bytes in all; what does not fit is not there when it is read."""

    def __init__(self, folder: Path | None = None, most: int = MOST_BYTES) -> None:
        self._folder, self._room, self._end = folder or cache_folder(), most, 0
        self._places: dict[Hashable, list[Place]] = {}
        self._file: IO[bytes] | None = None

    def write(self, key: Hashable, tensors: dict[str, Tensor]) -> None:
        """Keep a group of CPU tensors. A disk that is full or cannot be written costs the keeping, and warns once."""
        size = sum(values.nbytes for values in tensors.values())
        if size > self._room:
            return
        start, places, data = self._end, [], []
        for name, values in tensors.items():
            places.append((name, start, values.shape, values.dtype))
            data.append(values.contiguous().numpy().tobytes())
            start += len(data[-1])
        try:
            self._append(b"".join(data))
        except OSError as error:
            self._room = 0
            warn(f"{self._folder}: what the trunk sees could not be kept on disk ({error.strerror}), so it is computed "
                 "anew in every pass. Free some space, or set SIGHTLINE_CACHE to a folder that has it")  # fmt: skip
            return
        self._places[key] = places

    def read(self, key: Hashable) -> dict[str, Tensor] | None:
        """The group as it was; None where it was not kept."""
        places = self._places.get(key)
        if places is None:
            return None
        return {name: self._read(start, shape, dtype) for name, start, shape, dtype in places}

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._room = min(self._room, int(SHARE * shutil.disk_usage(self._folder).free))
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - lives as long as self
            weakref.finalize(self, self._file.close)
        self._file.seek(self._end)
        if self._file.write(data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += len(data)
        self._room -= len(data)

    def _read(self, start: int, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        assert self._file is not None
        self._file.seek(start)
        data = bytearray(self._file.read(shape.numel() * dtype.itemsize))
        return torch.frombuffer(data, dtype=dtype).view(shape)
