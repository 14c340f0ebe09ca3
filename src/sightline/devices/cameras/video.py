"""A video file as a camera: every picture is one part."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cv2
from pydantic import Field

from sightline.core.errors import CameraError
from sightline.devices.cameras.capture import Capture
from sightline.devices.cameras.settings import CameraSettings


class Settings(CameraSettings):
    """A video file."""

    kind: Literal["video"] = "video"
    path: Path = Field(description="the file")
    loop: bool = Field(False, description="begin again after the last picture")
    paced: bool = Field(False, description="give the pictures at the file's own rate instead of at once")


def open_source(settings: Settings) -> Capture:
    """Open the file. Raises CameraError where it is missing or no video."""
    if not settings.path.is_file():
        raise CameraError(f"camera {settings.name}: {settings.path} is no file. Correct path", "disconnected")
    capture = cv2.VideoCapture(str(settings.path))
    if not capture.isOpened():
        raise CameraError(f"camera {settings.name}: {settings.path} is no video that OpenCV can read", "disconnected")
    return Capture(capture, settings.name, settings.loop, settings.paced)
