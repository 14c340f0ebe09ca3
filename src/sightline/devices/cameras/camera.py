"""The camera: frames that may be inspected, from any source, or an error that says why there is none."""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sightline.core.errors import CameraError
from sightline.core.sample import Frame
from sightline.devices.cameras.pixels import Rgb, take_view, to_rgb
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import RawImage, Source
from sightline.devices.link import Health, Link

FAILURES_BEFORE_RECONNECT = 3
WRAP = 30_000  # device ids of 16 bits begin anew after 65535
READ_MS = 500.0
WAITING_MAX = 8
_log = logging.getLogger(__name__)


class Camera:
    """One camera, whatever its make. `opener` opens the device; it is opened again in the background when it is lost.

    Safe to share between threads: one grabs at a time.
    """

    def __init__(self, settings: CameraSettings, opener: Callable[[], Source]) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._id = self._dropped = self._failures = self._in_a_row = self._repeats = self._other_parts = 0
        self._error = ""
        self._size: tuple[int, ...] | None = None
        self._last: Rgb | None = None
        self._device_id: int | None = None
        self._unserved: float | None = None  # monotonic: the latest trigger whose picture may still come
        self._link = Link(f"camera {settings.name}", lambda: self._open(opener), lambda s: s.close(), settings.backoff)
        self._closed = False

    def grab(
        self, timeout_ms: float = 1000.0, after_s: float | None = None, lead_s: float = 0.0, part_id: str | None = None
    ) -> Frame:
        """A fresh frame, converted, cut and turned.

        With `after_s`, the moment of the part's trigger on the monotonic clock, frames that came before it are thrown
        away: they belong to an earlier part. `lead_s` is how much sooner than its trigger a part's picture may come;
        it is not granted while the picture of an earlier trigger may still be under way. With `part_id`, a frame that
        was sent for another part is thrown away and counted.

        Raises CameraError with its reason, after about `timeout_ms` at the latest: no frame, a lost camera, a frame
        that is incomplete, too old, of another part or size, or the same as the one before. An old frame is never
        given.
        """
        deadline = time.monotonic() + timeout_ms / 1e3
        if not self._lock.acquire(timeout=timeout_ms / 1e3):
            raise CameraError(f"camera {self.settings.name}: another thread is grabbing. Use one per camera", "timeout")
        try:
            frame = self._grab(deadline, after_s, lead_s, part_id)
        except CameraError as error:
            self._failures, self._error = self._failures + 1, str(error)
            if after_s is not None and error.reason != "closed":
                # Also after a broken picture: it may have been a stray one, and the part's own comes yet.
                self._wait_for(after_s)
            raise
        finally:
            self._lock.release()
        self._in_a_row = 0
        return frame

    def skip(self, after_s: float) -> None:
        """A part was triggered at `after_s` and is not grabbed: its picture may come, and belongs to no other part."""
        with self._lock:
            self._wait_for(after_s)

    def health(self) -> Health:
        """Counters and the last error."""
        return Health(
            connected=self._link.connected,
            reconnects=self._link.reconnects,
            dropped=self._dropped,
            other_parts=self._other_parts,
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

    def _grab(self, deadline: float, after_s: float | None, lead_s: float, part_id: str | None) -> Frame:
        name = self.settings.name
        lost, other = 0, None
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
                fresh = self._follows(picture.monotonic_s, after_s, lead_s) and age_ms <= self.settings.max_age_ms
                named = picture.metadata.get("part_id", part_id)
                if fresh and (part_id is None or named == part_id):
                    self._unserved = None
                    return self._frame(picture, lost)
                why = f"sent for part {named!r}" if fresh else f"{age_ms:.0f} ms old"
                self._other_parts += fresh
                if time.monotonic() >= deadline:
                    raise CameraError(
                        f"camera {name}: the only picture is {why}. Check the trigger's timing",
                        "other_part" if fresh else "stale",
                    )
                _log.warning("camera %s: a picture that was %s belongs to another part and is discarded", name, why)
                other = str(named) if fresh else other
                lost += 1
            except CameraError as error:
                came = error.came_s
                if came is not None and time.monotonic() < deadline and not self._follows(came, after_s, lead_s):
                    _log.warning("camera %s: a broken picture of another part is discarded: %s", name, error)
                    lost += 1
                    continue
                self._note_failure(source, error)
                if error.reason == "timeout" and other is not None:
                    raise CameraError(
                        f"camera {name}: a picture came for part {other!r}, none for part {part_id!r}. Check that the "
                        "machine and the sender of the pictures use the same part ids",
                        "other_part",
                    ) from error
                raise
            except Exception as error:
                failed = CameraError(f"camera {name}: its driver failed: {error}. It is being reopened")
                self._note_failure(source, failed)
                raise failed from error

    def _wait_for(self, triggered_s: float) -> None:
        self._unserved = max(triggered_s, self._unserved or triggered_s)

    def _follows(self, came: float, after_s: float | None, lead_s: float) -> bool:
        """Whether a picture that came then is that of the trigger at `after_s`, and not of one before it."""
        if after_s is None:
            return True
        # How many pictures are under way is not known, so one that was thrown away does not bring the lead back.
        expected = self._unserved is not None and after_s - self._unserved <= self.settings.max_age_ms / 1e3
        return came >= (after_s if expected else after_s - lead_s)

    def _note_failure(self, source: Source, error: CameraError) -> None:
        """Give up the device where it is gone, or after several failures that opening it anew may cure."""
        # A picture that a software trigger has asked for and that comes later would be taken for the next part's.
        expected = error.reason == "timeout" and self.settings.trigger == "software" and self.settings.driver_buffers
        # With a hardware trigger no picture is the normal case while no part comes.
        curable = error.reason in ("incomplete", "frozen", "stale")
        curable = curable or (error.reason == "timeout" and self.settings.trigger != "hardware")
        self._in_a_row += curable
        if error.reason == "disconnected" or expected or self._in_a_row >= FAILURES_BEFORE_RECONNECT:
            self._in_a_row = 0
            self._link.lost(source, str(error))

    def _count_lost(self, picture: RawImage) -> int:
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

    def _frame(self, picture: RawImage, lost: int) -> Frame:
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
            complete_s=picture.monotonic_s if picture.complete_s is None else picture.complete_s,
            camera=self.settings.name,
            dropped=lost,
            metadata=metadata,
        )

    def _check_size(self, image: Rgb) -> None:
        if self._size is None:
            self._size = image.shape
        elif self.settings.fixed_size and image.shape != self._size:
            wide, high = image.shape[1], image.shape[0]
            raise CameraError(
                f"camera {self.settings.name}: the picture has {wide} x {high} px, the first had {self._size[1]} x "
                f"{self._size[0]}. Check the camera's settings, or set fixed_size = false",
                "size",
            )

    def _check_repeat(self, image: Rgb) -> None:
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
                "if identical pictures are expected, set repeats_max = 0",
                "frozen",
            )


class Newest:
    """A Source over another one: `read` gives a picture that was taken after the call, never one from a buffer.

    `delay_ms` is how long a picture is known to be under way; what comes sooner after the question shows the time
    before it. Pictures nobody asked for are dropped.
    """

    def __init__(self, source: Source, delay_ms: float = 0.0) -> None:
        self._source, self._delay_s = source, delay_ms / 1e3
        self._changed = threading.Condition()
        self._picture: RawImage | None = None
        self._error: CameraError | None = None
        self._quiet = ""  # what the source said last instead of giving a picture
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="newest picture", daemon=True)
        self._thread.start()

    def read(self, timeout_ms: float) -> RawImage:
        """A picture taken after this call. Raises CameraError, after `timeout_ms` at the latest."""
        asked = time.monotonic() + self._delay_s
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or self._after(asked), timeout_ms / 1e3)
            if self._picture is not None and self._after(asked):
                return self._picture
            if self._error is not None:
                raise self._error
            why = self._quiet or "check the camera and its cable"
        raise CameraError(f"no picture came within {timeout_ms:.0f} ms: {why}", "timeout")

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
                self._quiet = str(error)
                if error.reason not in ("timeout", "incomplete", "unreadable"):
                    self._put(None, error)
                    return
            except Exception as error:  # noqa: BLE001 (logged; it is told on, not lost)
                _log.exception("a camera's driver failed")
                self._put(None, CameraError(f"the camera's driver failed: {error}. It is being reopened"))
                return

    def _put(self, picture: RawImage | None, error: CameraError | None) -> None:
        with self._changed:
            self._picture, self._error, self._quiet = picture, error, ""
            self._changed.notify_all()


class Queued:
    """A Source over another one: all pictures in order, each with the moment at which it came.

    Left in the driver's buffers, a picture that nobody fetched would look new when it is read for a later part. Up to
    `WAITING_MAX` wait; then the oldest go, and are counted as lost. A broken picture keeps its place as an error.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._waiting: collections.deque[RawImage | CameraError] = collections.deque()
        self._lost = self._dropped = 0  # since the picture given last: told by the device, and gone from here
        self._ended: CameraError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="queued pictures", daemon=True)
        self._thread.start()

    def read(self, timeout_ms: float) -> RawImage:
        """The picture that has waited longest, or the next one. Raises CameraError."""
        end = time.monotonic() + timeout_ms / 1e3
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, max(0.0, end - time.monotonic()))
            if self._waiting:
                first = self._waiting.popleft()
                if isinstance(first, CameraError):
                    raise first
                # A device that numbers its pictures shows by the gap those that went from here.
                lost = first.lost + self._lost + (self._dropped if first.device_id is None else 0)
                self._lost = self._dropped = 0
                return replace(first, lost=lost)
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
                came: RawImage | CameraError = self._source.read(READ_MS)
            except CameraError as error:
                if error.reason == "timeout":
                    continue
                came = error
                came.came_s = came.came_s or time.monotonic()
            except Exception as error:  # noqa: BLE001 (logged; it is told on, not lost)
                _log.exception("a camera's driver failed")
                came = CameraError(f"the camera's driver failed: {error}. It is being reopened")
            with self._changed:
                if isinstance(came, CameraError) and came.reason not in ("incomplete", "unreadable"):
                    self._ended = came
                else:
                    self._append(came)
                self._changed.notify_all()
                if self._ended is not None:
                    return

    def _append(self, came: RawImage | CameraError) -> None:
        if len(self._waiting) >= WAITING_MAX:
            gone = self._waiting.popleft()
            self._dropped += 1
            self._lost += gone.lost if isinstance(gone, RawImage) else 0
            _log.warning("more than %d pictures are waiting and no part asks for them: the oldest is lost", WAITING_MAX)
        self._waiting.append(came)
