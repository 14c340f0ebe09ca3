"""OpenCV's video capture as a source: a file whose pictures are one part each, or a USB device."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from sightline.core.errors import CameraError
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import RawImage

STAMP_S = 60.0  # a stamp further from now is by another clock


class Settings(CameraSettings):
    """A video file."""

    kind: Literal["video"] = "video"
    path: Path = Field(description="the file")
    loop: bool = Field(False, description="start again after the last picture")
    paced: bool = Field(False, description="play at the file's own frame rate instead of as fast as possible")


class Capture:
    """Pictures of an open `cv2.VideoCapture`. `loop` begins a file again, `paced` gives it at its own rate."""

    def __init__(self, capture: Any, name: str, loop: bool = False, paced: bool = False, is_file: bool = True) -> None:
        self._capture, self._name, self._loop, self._is_file = capture, name, loop, is_file
        rate = float(capture.get(cv2.CAP_PROP_FPS)) if paced else 0.0
        self._period_s = 1 / rate if rate > 0 else 0.0
        self._due = time.monotonic()
        self._lock = threading.Lock()
        self._number = 0

    def read(self, timeout_ms: float) -> RawImage:
        """The next picture. Raises CameraError: "end" after the last of a file, "disconnected" for a device.

        OpenCV's own time-out bounds the wait for a device (10 s with V4L); the thread of a free-running camera waits,
        not the station.
        """
        wait = min(self._due - time.monotonic(), timeout_ms / 1e3)
        if wait > 0:
            time.sleep(wait)
        self._due = max(time.monotonic(), self._due + self._period_s) if self._period_s else self._due
        with self._lock:
            done, image = self._capture.read() if self._capture.isOpened() else (False, None)
            if not done and self._loop:
                self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                done, image = self._capture.read()
        if not done or image is None:
            if self._is_file:
                raise CameraError(f"camera {self._name}: the video has no more pictures. Set loop = true", "end")
            raise CameraError(f"camera {self._name}: the device gives no picture. Check its cable", "disconnected")
        self._number += 1
        now = time.monotonic()
        # V4L stamps its buffers by the monotonic clock: what waited in one is as old as it is.
        stamp = 0.0 if self._is_file else float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1e3
        return RawImage(
            pixels=np.asarray(image, np.uint8),
            layout="BGR8",
            monotonic_s=stamp if 0 <= now - stamp < STAMP_S else now,
            metadata={"position": float(self._number)},
        )

    def close(self) -> None:
        """Release the device or file."""
        with self._lock:
            self._capture.release()


def open_source(settings: Settings) -> Capture:
    """Open the file. Raises CameraError where it is missing or no video."""
    if not settings.path.is_file():
        raise CameraError(f"camera {settings.name}: {settings.path} is not a file. Correct path", "disconnected")
    capture = cv2.VideoCapture(str(settings.path))
    if not capture.isOpened():
        raise CameraError(
            f"camera {settings.name}: {settings.path} is not a video that OpenCV can read", "disconnected"
        )
    return Capture(capture, settings.name, settings.loop, settings.paced)
