"""A sample: one image of a part with everything that is known about it. A frame: one picture from a camera."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sightline.core.region import Region

TRAIN, TEST = "train", "test"


def readable_name(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8, as old Windows shares leave them, are read as Windows reads them.

    Python keeps such bytes as lone surrogates, which no JSON, database or report can take.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return name


@dataclass(frozen=True, slots=True)
class Sample:
    """One image on disk and its labels.

    `defective` is None where nobody has said. `mask` is an image file, non-zero on the defect; a defective
    sample without one is unlabelled for pixel metrics. `group` names what must stay on one side of a split
    (a part, a lot, a tile). `split` is "train", "test" or None. `regions` are the places of its defects where
    the data names them one by one, in pixels of the image. `name` is what people call it where its file is called
    otherwise, as in a store.
    """

    path: Path
    defective: bool | None
    types: tuple[str, ...] = ()
    mask: Path | None = None
    grade: int | None = None
    group: str | None = None
    lot: str | None = None
    split: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    regions: tuple[Region, ...] = ()
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of a part.

    `image` is (H, W, 3) RGB, uint8, or uint16 where a file has 16 bits; `id` grows by one with each frame of the
    camera, also over a reconnection; `captured` is in seconds since 1970 (UTC), `monotonic_s` the same moment on the
    monotonic clock, which no clock step moves; `complete_s` is when all of it was there, by the same clock: it may have
    begun to come at `monotonic_s` and been replaced since; `dropped` counts the frames that were lost just before this
    one; `metadata` holds what the camera told (`exposure_us`, `gain_db`, `device_id`, a file's name).
    """

    image: NDArray[np.uint8] | NDArray[np.uint16] = field(repr=False)
    id: int
    captured: float
    monotonic_s: float
    complete_s: float
    camera: str
    dropped: int = 0
    metadata: Mapping[str, float | str] = field(default_factory=lambda: MappingProxyType({}))

    def age_ms(self) -> float:
        """Milliseconds since the frame was captured."""
        return (time.monotonic() - self.monotonic_s) * 1e3
