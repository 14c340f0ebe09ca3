"""The port of a camera driver: pictures as the device gives them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImage:
    """One picture before conversion.

    `pixels` is (H, W) or (H, W, 3) uint8 or uint16, or flat bytes (N,) uint8 for packed formats, whose `size` is then
    (height, width); `layout` is a name of the GenICam pixel format convention ("Mono8", "BayerRG12p", "RGB8", ...);
    `device_id` is the device's own frame number where it has one; `lost` counts frames known to be lost before it.
    `monotonic_s` is when it came, at the earliest, `complete_s` at the latest; None: the same.
    """

    pixels: NDArray[Any] = field(repr=False)
    layout: str = "RGB8"
    size: tuple[int, int] | None = None
    device_id: int | None = None
    lost: int = 0
    captured: float = field(default_factory=time.time)
    monotonic_s: float = field(default_factory=time.monotonic)
    complete_s: float | None = None
    metadata: Mapping[str, float | str] = field(default_factory=lambda: MappingProxyType({}))


class Source(Protocol):
    """An open device."""

    def read(self, timeout_ms: float) -> RawImage:
        """The next picture, after a software trigger where so configured.

        Raises CameraError, after `timeout_ms` at the latest; reason "disconnected" where the device must be opened
        again.
        """

    def close(self) -> None:
        """Let go of the device. May be called twice."""
