"""Pictures of a camera that is triggered by hardware: a thread takes each as it comes, so that its age is known."""

from __future__ import annotations

import collections
import logging
import threading
import time

from sightline.core.errors import CameraError
from sightline.devices.cameras.source import Picture, Source

READ_MS = 500.0
WAITING_MAX = 8
_log = logging.getLogger(__name__)


class Queued:
    """A Source over another one: all pictures in order, each with the moment at which it came.

    Left in the driver's buffers, a picture that nobody fetched would look new when it is read for a later part. Up to
    `WAITING_MAX` wait; then the oldest go, and are counted as lost. A broken picture keeps its place as an error.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._waiting: collections.deque[Picture | CameraError] = collections.deque(maxlen=WAITING_MAX)
        self._ended: CameraError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="queued pictures", daemon=True)
        self._thread.start()

    def read(self, timeout_ms: float) -> Picture:
        """The picture that has waited longest, or the next one. Raises CameraError."""
        end = time.monotonic() + timeout_ms / 1e3
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, max(0.0, end - time.monotonic()))
            if self._waiting:
                first = self._waiting.popleft()
                if isinstance(first, CameraError):
                    raise first
                return first
            if self._ended is not None:
                raise self._ended
        raise CameraError(f"no picture came within {timeout_ms:.0f} ms. Check the trigger and its cable", "timeout")

    def close(self) -> None:
        """Stop reading and close the source."""
        self._closed = True
        self._thread.join(timeout=2 * READ_MS / 1e3)
        self._source.close()

    def _run(self) -> None:
        while not self._closed:
            try:
                came: Picture | CameraError = self._source.read(READ_MS)
            except CameraError as error:
                if error.reason == "timeout":
                    continue
                came = error
            except Exception as error:  # noqa: BLE001 (logged; it is told on, not lost)
                _log.exception("a camera's driver failed")
                came = CameraError(f"the camera's driver failed: {error}. It is opened again")
            with self._changed:
                if isinstance(came, CameraError) and came.reason not in ("incomplete", "unreadable"):
                    self._ended = came
                else:
                    self._waiting.append(came)
                self._changed.notify_all()
                if self._ended is not None:
                    return
