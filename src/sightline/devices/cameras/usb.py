"""A USB camera through OpenCV (V4L2 on Linux)."""

from __future__ import annotations

from typing import ClassVar, Literal

import cv2
from pydantic import Field, field_validator

from sightline.core.errors import CameraError
from sightline.devices.cameras.settings import LiveSettings, Trigger
from sightline.devices.cameras.video import Capture

_V4L_EXPOSURE_US = 100.0  # V4L counts exposure in steps of 100 us
_MANUAL_EXPOSURE = 1.0


class Settings(LiveSettings):
    """A USB camera."""

    driver_buffers: ClassVar[bool] = True

    kind: Literal["usb"] = "usb"
    device: int | str = Field(0, description="number of the camera, or its path: /dev/v4l/by-id/... keeps its name")
    trigger: Trigger = Field(
        "free", description="USB cameras run free: a part gets the first picture after its trigger"
    )
    width_px: int | None = Field(None, ge=8, le=20_000, description="picture width to ask for")
    height_px: int | None = Field(None, ge=8, le=20_000, description="picture height to ask for")
    rate_hz: float | None = Field(None, gt=0, le=1000, description="pictures per second to ask for")
    fourcc: str | None = Field(None, min_length=4, max_length=4, description='pixel code to ask for, such as "MJPG"')
    exposure_us: float | None = Field(None, gt=0, le=10_000_000, description="exposure; empty: the camera chooses")
    gain_db: float | None = Field(None, ge=0, le=100, description="gain, in the driver's own steps with V4L")

    @field_validator("trigger")
    @classmethod
    def _no_software(cls, trigger: Trigger) -> Trigger:
        if trigger == "software":
            raise ValueError("a USB camera has no software trigger: use free, or hardware where a signal triggers it")
        return trigger


def open_source(settings: Settings) -> Capture:
    """Open the camera. Raises CameraError where it is missing."""
    is_file = isinstance(settings.device, str) and not settings.device.startswith("/dev/")
    capture = cv2.VideoCapture(settings.device)  # a path that is no device opens a video file
    if not capture.isOpened():
        raise CameraError(
            f"camera {settings.name}: no camera at {settings.device!r}. Check its cable and the rights on the device"
        )
    _set(capture, settings)
    return Capture(capture, settings.name, loop=False, paced=is_file, is_file=False)


def _set(capture: cv2.VideoCapture, settings: Settings) -> None:
    wanted: list[tuple[int, float | None]] = [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*settings.fourcc) if settings.fourcc else None),
        (cv2.CAP_PROP_FRAME_WIDTH, settings.width_px),
        (cv2.CAP_PROP_FRAME_HEIGHT, settings.height_px),
        (cv2.CAP_PROP_FPS, settings.rate_hz),
        (cv2.CAP_PROP_AUTO_EXPOSURE, None if settings.exposure_us is None else _MANUAL_EXPOSURE),
        (cv2.CAP_PROP_EXPOSURE, None if settings.exposure_us is None else settings.exposure_us / _V4L_EXPOSURE_US),
        (cv2.CAP_PROP_GAIN, settings.gain_db),
        (cv2.CAP_PROP_BUFFERSIZE, 1.0),
    ]
    for key, value in wanted:
        if value is not None:
            capture.set(key, value)
