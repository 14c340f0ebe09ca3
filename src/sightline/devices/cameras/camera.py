"""The camera: frames that may be judged, from any source, or an error that says why there is none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sightline.core.errors import CameraError
from sightline.core.frame import Frame
from sightline.devices.cameras.newest import Newest
from sightline.devices.cameras.pixels import to_rgb
from sightline.devices.cameras.queued import Queued
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import Picture, Source
from sightline.devices.cameras.view import take_view
from sightline.devices.health import Health
from sightline.devices.link import Link

FAILURES_BEFORE_RECONNECT = 3
WRAP = 30_000  # device ids of 16 bits begin anew after 65535
_log = logging.getLogger(__name__)


class Camera:
    """One camera, whatever its make. `opener` opens the device; it is opened again in the background when it is lost.

    Safe to share between threads: one grabs at a time.
    """

    def __init__(self, settings: CameraSettings, opener: Callable[[], Source]) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._id = self._dropped = self._failures = self._in_a_row = self._repeats = 0
        self._error = ""
        self._size: tuple[int, ...] | None = None
        self._last: NDArray[np.uint8] | None = None
        self._device_id: int | None = None
        self._link = Link(f"camera {settings.name}", lambda: self._open(opener), lambda s: s.close(), settings.backoff)
        self._closed = False

    def grab(self, timeout_ms: float = 1000.0, after_s: float | None = None) -> Frame:
        """A fresh frame, converted, cut and turned.

        With `after_s`, a moment on the monotonic clock, frames that came before it are thrown away: with a hardware
        trigger they belong to an earlier part. Give the trigger's moment less what the signal takes to the station.

        Raises CameraError with its reason, after about `timeout_ms` at the latest: no frame, a lost camera, a frame
        that is incomplete, too old, of another size, or the same as the one before. An old frame is never given.
        """
        deadline = time.monotonic() + timeout_ms / 1e3
        if not self._lock.acquire(timeout=timeout_ms / 1e3):
            raise CameraError(f"camera {self.settings.name}: another thread is grabbing. Use one per camera", "timeout")
        try:
            frame = self._grab(deadline, after_s)
        except CameraError as error:
            self._failures, self._error = self._failures + 1, str(error)
            raise
        finally:
            self._lock.release()
        self._in_a_row = 0
        return frame

    def health(self) -> Health:
        """Counters and the last error."""
        return Health(
            connected=self._link.connected,
            reconnects=self._link.reconnects,
            dropped=self._dropped,
            failures=self._failures,
            error=self._link.error or self._error,
        )

    def close(self) -> None:
        """Let go of the device and stop looking for it."""
        self._closed = True
        self._link.close()

    def _open(self, opener: Callable[[], Source]) -> Source:
        source = opener()
        self._device_id = None
        if self.settings.trigger == "free":
            return Newest(source, self.settings.delay_ms)
        buffered = self.settings.driver_buffers and self.settings.trigger == "hardware"
        return Queued(source) if buffered else source

    def _grab(self, deadline: float, after_s: float | None) -> Frame:
        name = self.settings.name
        lost = 0
        while True:
            source = self._link.get(deadline - time.monotonic())
            if self._closed:
                raise CameraError(f"camera {name} is closed. Open it again", "closed")
            if source is None:
                raise CameraError(f"camera {name} is not connected: {self._link.error}", "disconnected")
            try:
                picture = source.read(max(0.0, deadline - time.monotonic()) * 1e3)
                lost += self._count_lost(picture)
                age_ms = (time.monotonic() - picture.monotonic_s) * 1e3
                if age_ms <= self.settings.max_age_ms and (after_s is None or picture.monotonic_s >= after_s):
                    return self._frame(picture, lost)
                if time.monotonic() >= deadline:
                    raise CameraError(
                        f"camera {name}: the only picture is {age_ms:.0f} ms old. Check the trigger's timing",
                        "stale",
                    )
                _log.warning("camera %s: a picture %.0f ms old was thrown away", name, age_ms)
                lost += 1
            except CameraError as error:
                self._note_failure(source, error)
                raise
            except Exception as error:
                failed = CameraError(f"camera {name}: its driver failed: {error}. It is opened again")
                self._note_failure(source, failed)
                raise failed from error

    def _note_failure(self, source: Source, error: CameraError) -> None:
        """Give up the device where it is gone, or after several failures that opening it anew may cure."""
        # With a hardware trigger no picture is the normal case while no part comes.
        curable = error.reason in ("incomplete", "frozen", "stale")
        curable = curable or (error.reason == "timeout" and self.settings.trigger != "hardware")
        self._in_a_row += curable
        if error.reason == "disconnected" or self._in_a_row >= FAILURES_BEFORE_RECONNECT:
            self._in_a_row = 0
            self._link.lost(source, str(error))

    def _count_lost(self, picture: Picture) -> int:
        """Frames lost before this one. Raises CameraError where the device repeats itself."""
        lost, before, now = picture.lost, self._device_id, picture.device_id
        self._device_id = now
        if before is not None and now is not None:
            if now == before:
                raise CameraError(f"camera {self.settings.name}: frame {now} came again. Check the camera", "frozen")
            if now < before - WRAP:
                before = 0
            if now < before:
                raise CameraError(f"camera {self.settings.name}: frame {now} came after frame {before}", "stale")
            if self.settings.trigger != "free":
                lost += now - before - 1
        self._dropped += lost
        return lost

    def _frame(self, picture: Picture, lost: int) -> Frame:
        image = take_view(to_rgb(picture, self.settings.name), self.settings)
        self._check_size(image)
        self._check_repeat(image)
        self._id += 1
        metadata = dict(picture.metadata)
        if picture.device_id is not None:
            metadata["device_id"] = picture.device_id
        return Frame(
            image=image,
            id=self._id,
            captured=picture.captured,
            monotonic_s=picture.monotonic_s,
            camera=self.settings.name,
            dropped=lost,
            metadata=metadata,
        )

    def _check_size(self, image: NDArray[np.uint8]) -> None:
        if self._size is None:
            self._size = image.shape
        elif self.settings.fixed_size and image.shape != self._size:
            wide, high = image.shape[1], image.shape[0]
            raise CameraError(
                f"camera {self.settings.name}: the picture has {wide} x {high} px, the first had {self._size[1]} x "
                f"{self._size[0]}. Check the camera's settings, or set fixed_size = false",
                "size",
            )

    def _check_repeat(self, image: NDArray[np.uint8]) -> None:
        limit, last = self.settings.repeats_max, self._last
        if not limit:
            return
        # A few rows tell nearly always that two pictures differ, and cost nothing.
        same = last is not None and last.shape == image.shape and np.array_equal(last[::16], image[::16])
        same = same and last is not None and np.array_equal(last, image)
        self._last, self._repeats = image, self._repeats + 1 if same else 0
        if self._repeats >= limit:
            raise CameraError(
                f"camera {self.settings.name}: the same picture came {self._repeats + 1} times. Check the camera; "
                "where identical pictures are right, set repeats_max = 0",
                "frozen",
            )
