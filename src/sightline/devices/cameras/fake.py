"""A camera for tests and trials: given or drawn pictures, with faults on purpose."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from sightline.core.errors import CameraError
from sightline.devices.cameras.camera import Camera
from sightline.devices.cameras.pixels import read_picture
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import RawImage
from sightline.imaging.decoding import SUFFIXES

Fault = Literal[
    "timeout", "late", "disconnected", "incomplete", "unreadable", "frozen", "stale", "size", "tiny", "lost"
]


class Settings(CameraSettings):
    """A camera that draws noise."""

    kind: Literal["fake"] = "fake"
    width_px: int = Field(128, ge=8, le=10_000, description="picture width")
    height_px: int = Field(96, ge=8, le=10_000, description="picture height")
    seed: int = Field(0, ge=0, description="same seed, same pictures")
    images: Path | None = Field(None, description="folder whose images are served in turn; none: noise")
    faults: dict[int, Fault] = Field(default_factory=dict, description="what goes wrong at which picture (0, 1, ...)")
    control: Path | None = Field(
        None, description="file in which a trial writes the current fault; empty or missing: none"
    )
    repeats_max: int = Field(1, ge=0, le=1000, description="identical pictures in a row that mean frozen; 0: never")
    # A camera that was lost and comes back goes on, and does not begin anew with its faults.
    _given: list[int] = PrivateAttr(default_factory=lambda: [0, 0])


class FakeSource:
    """Gives `images` (H, W, 3) uint8 RGB in turn, or drawn noise where there are none."""

    def __init__(self, settings: Settings, images: Sequence[NDArray[np.uint8]] = ()) -> None:
        self._settings, self._images = settings, images
        self._files = [] if settings.images is None else sorted(_images_in(settings.images, settings.name))
        self._device_id = 0
        self._late: list[RawImage] = []

    def read(self, timeout_ms: float) -> RawImage:
        """The next picture, or the fault that is due; "late": the picture comes when nobody waits for it any more."""
        if self._late:
            return self._late.pop()
        number = self._settings._given[0]
        self._settings._given[0] += 1
        fault = self._settings.faults.get(number) or self._commanded()
        if fault in ("timeout", "late"):
            time.sleep(timeout_ms / 1e3)
        if fault in ("timeout", "disconnected", "unreadable"):
            raise CameraError(f"camera {self._settings.name}: {fault}, as its settings say", fault)
        if fault == "frozen":  # the picture that was given last, again and again
            number = self._settings._given[1]
        self._settings._given[1] = number
        image, name = self._draw(number)
        self._device_id += {"lost": 2, "frozen": 0}.get(fault or "", 1)
        if fault == "size":
            image = image[: image.shape[0] // 2]
        if fault == "tiny":
            image = image[:8, :8]
        now = time.monotonic() - (3600.0 if fault == "stale" else 0.0)
        pixels = image.reshape(-1)[:-7] if fault == "incomplete" else image
        size = (image.shape[0], image.shape[1])
        told = {"file": name} if name else {}
        layout = "RGB16" if pixels.dtype == np.uint16 else "RGB8"
        picture = RawImage(
            pixels=pixels, layout=layout, size=size, device_id=self._device_id, monotonic_s=now, metadata=told
        )
        if fault == "late":
            self._late.append(picture)
            raise CameraError(f"camera {self._settings.name}: no picture in time, as its settings say", "timeout")
        return picture

    def close(self) -> None:
        """Nothing to let go of."""

    def _commanded(self) -> str | None:
        """What a trial wants to go wrong now."""
        if self._settings.control is None:
            return None
        with contextlib.suppress(OSError):
            return self._settings.control.read_text(encoding="utf-8").strip() or None
        return None

    def _draw(self, number: int) -> tuple[NDArray[Any], str]:
        """The picture of that number, and the name of its file where it has one."""
        if self._images:
            return self._images[number % len(self._images)], ""
        if self._files:
            path = self._files[number % len(self._files)]
            return _read(path, self._settings.name), path.name
        shape = (self._settings.height_px, self._settings.width_px, 3)
        return np.random.default_rng((self._settings.seed, number)).integers(0, 256, shape, np.uint8), ""


@cache
def _read(path: Path, camera: str) -> NDArray[Any]:
    # Kept decoded: a trial is about the station, and a real camera needs no decoding either.
    return read_picture(path.read_bytes(), f"camera {camera}: {path}", {}).pixels


def _images_in(folder: Path, camera: str) -> list[Path]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES] if folder.is_dir() else []
    if not found:
        raise CameraError(f"camera {camera}: {folder} holds no images. Correct its setting images")
    return found


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
