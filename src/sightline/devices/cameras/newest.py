"""The newest picture of a source that runs freely: only one that came after the question counts."""

from __future__ import annotations

import logging
import threading
import time

from sightline.core.errors import CameraError
from sightline.devices.cameras.source import Picture, Source

READ_MS = 500.0
_log = logging.getLogger(__name__)


class Newest:
    """A Source over another one: `read` gives a picture that was taken after the call, never one from a buffer.

    `delay_ms` is how long a picture is known to be under way; what comes sooner after the question shows the time
    before it. Pictures nobody asked for are dropped.
    """

    def __init__(self, source: Source, delay_ms: float = 0.0) -> None:
        self._source, self._delay_s = source, delay_ms / 1e3
        self._changed = threading.Condition()
        self._picture: Picture | None = None
        self._error: CameraError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="newest picture", daemon=True)
        self._thread.start()

    def read(self, timeout_ms: float) -> Picture:
        """A picture taken after this call. Raises CameraError, after `timeout_ms` at the latest."""
        asked = time.monotonic() + self._delay_s
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or self._after(asked), timeout_ms / 1e3)
            if self._picture is not None and self._after(asked):
                return self._picture
            if self._error is not None:
                raise self._error
        raise CameraError(f"no picture came within {timeout_ms:.0f} ms. Check the camera and its cable", "timeout")

    def close(self) -> None:
        """Stop reading and close the source."""
        self._closed = True
        self._thread.join(timeout=2 * READ_MS / 1e3)
        self._source.close()

    def _after(self, moment: float) -> bool:
        return self._picture is not None and self._picture.monotonic_s >= moment

    def _run(self) -> None:
        while not self._closed:
            try:
                self._put(self._source.read(READ_MS), None)
            except CameraError as error:
                if error.reason not in ("timeout", "incomplete", "unreadable"):
                    self._put(None, error)
                    return
            except Exception as error:  # noqa: BLE001 (logged; it is told on, not lost)
                _log.exception("a camera's driver failed")
                self._put(None, CameraError(f"the camera's driver failed: {error}. It is opened again"))
                return

    def _put(self, picture: Picture | None, error: CameraError | None) -> None:
        with self._changed:
            self._picture, self._error = picture, error
            self._changed.notify_all()
