"""A camera for tests and trials: given or drawn pictures, with faults on purpose."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from sightline.core.errors import CameraError
from sightline.devices.cameras.camera import Camera
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import Picture

Fault = Literal["timeout", "disconnected", "incomplete", "unreadable", "frozen", "stale", "size", "lost"]


class Settings(CameraSettings):
    """A camera that draws noise."""

    kind: Literal["fake"] = "fake"
    width_px: int = Field(128, ge=8, le=10_000, description="picture width")
    height_px: int = Field(96, ge=8, le=10_000, description="picture height")
    seed: int = Field(0, ge=0, description="same seed, same pictures")
    faults: dict[int, Fault] = Field(default_factory=dict, description="what goes wrong at which picture (0, 1, ...)")
    repeats_max: int = Field(1, ge=0, le=1000, description="identical pictures in a row that mean frozen; 0: never")
    # A camera that was lost and comes back goes on, and does not begin anew with its faults.
    _given: list[int] = PrivateAttr(default_factory=lambda: [0])


class FakeSource:
    """Gives `images` (H, W, 3) uint8 RGB in turn, or drawn noise where there are none."""

    def __init__(self, settings: Settings, images: Sequence[NDArray[np.uint8]] = ()) -> None:
        self._settings, self._images = settings, images
        self._device_id = 0

    def read(self, timeout_ms: float) -> Picture:
        """The next picture, or the fault that is due."""
        number = self._settings._given[0]
        self._settings._given[0] += 1
        fault = self._settings.faults.get(number)
        if fault == "timeout":
            time.sleep(timeout_ms / 1e3)
        if fault in ("timeout", "disconnected", "unreadable"):
            raise CameraError(f"camera {self._settings.name}: {fault}, as its settings say", fault)
        image = self._draw(number - 1 if fault == "frozen" else number)
        self._device_id += 2 if fault == "lost" else 1
        if fault == "size":
            image = image[: image.shape[0] // 2]
        now = time.monotonic() - (3600.0 if fault == "stale" else 0.0)
        pixels = image.reshape(-1)[:-7] if fault == "incomplete" else image
        size = (image.shape[0], image.shape[1])
        return Picture(pixels=pixels, size=size, device_id=self._device_id, monotonic_s=now)

    def close(self) -> None:
        """Nothing to let go of."""

    def _draw(self, number: int) -> NDArray[np.uint8]:
        if self._images:
            return self._images[number % len(self._images)]
        shape = (self._settings.height_px, self._settings.width_px, 3)
        return np.random.default_rng((self._settings.seed, number)).integers(0, 256, shape, np.uint8)


def fake_camera(images: Sequence[NDArray[np.uint8]] = (), faults: Mapping[int, Fault] | None = None) -> Camera:
    """A camera that gives `images` (H, W, 3) uint8 RGB in turn and fails where `faults` says."""
    settings = Settings.model_validate(
        {"faults": dict(faults or {}), "repeats_max": 0 if images else 1, "fixed_size": not images}
    )
    source = FakeSource(settings, images)
    return Camera(settings, lambda: source)


def open_source(settings: Settings) -> FakeSource:
    """The drawn camera."""
    return FakeSource(settings)
