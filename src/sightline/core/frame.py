"""A frame: one picture from a camera, with when it was taken and what was lost before it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture of a part.

    `image` is (H, W, 3) uint8 RGB; `id` grows by one with each frame of the camera, also over a reconnection;
    `captured` is in seconds since 1970 (UTC), `monotonic_s` the same moment on the monotonic clock, which no clock
    step moves; `dropped` counts the frames that were lost just before this one; `metadata` holds what the camera
    told (`exposure_us`, `gain_db`, `device_id`, a file's name).
    """

    image: NDArray[np.uint8] = field(repr=False)
    id: int
    captured: float
    monotonic_s: float
    camera: str
    dropped: int = 0
    metadata: Mapping[str, float | str] = field(default_factory=lambda: MappingProxyType({}))

    def age_ms(self) -> float:
        """Milliseconds since the frame was captured."""
        return (time.monotonic() - self.monotonic_s) * 1e3
