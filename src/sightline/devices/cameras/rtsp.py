"""Network cameras over RTSP, by PyAV."""

from __future__ import annotations

import threading
import time
import urllib.parse
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from sightline.core.errors import CameraError, MissingExtraError
from sightline.devices.cameras.settings import CameraSettings, Trigger
from sightline.devices.cameras.source import RawImage
from sightline.devices.credentials import Secret

OPTIONS = {"fflags": "nobuffer", "flags": "low_delay", "max_delay": "0", "reorder_queue_size": "0"}


class Settings(CameraSettings):
    """An RTSP stream. A still scene may decode to identical pictures, so repeats are told by the stream's clock."""

    kind: Literal["rtsp"] = "rtsp"
    url: str = Field(description="address of the stream: rtsp://host:port/path, without user and password")
    user: str = Field("", description="user name at the camera")
    password: Secret | None = Field(None, description="where the user's password is stored")
    transport: Literal["tcp", "udp"] = Field("tcp", description="tcp loses no packets; udp may be quicker")
    trigger: Trigger = Field("free", description="streams run free: a part gets the first picture after its trigger")
    open_ms: int = Field(5000, ge=100, le=60_000, description="time for the camera to answer when it is opened")
    silent_ms: int = Field(2000, ge=100, le=60_000, description="a stream that sends nothing for longer is reopened")

    @field_validator("url")
    @classmethod
    def _guarded(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("rtsp", "rtsps") or not parts.hostname:
            raise ValueError("the address must begin with rtsp:// or rtsps://")
        if parts.username or parts.password:
            raise ValueError("leave user and password out of the address: use user and password")
        return url

    @field_validator("trigger")
    @classmethod
    def _free(cls, trigger: Trigger) -> Trigger:
        if trigger != "free":
            raise ValueError("a stream cannot be triggered: use free")
        return trigger


class RtspSource:
    """An open stream. Each picture is decoded as it comes; the caller keeps the newest."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._av = _import()
        self._lock = threading.Lock()
        self._closed = False
        timeouts = settings.open_ms / 1e3, settings.silent_ms / 1e3
        try:
            self._container = self._av.open(
                _address(settings), options={**OPTIONS, "rtsp_transport": settings.transport}, timeout=timeouts
            )
            stream = self._container.streams.video[0]
        except (self._av.FFmpegError, OSError, IndexError) as error:
            raise self._lost(error) from None  # the error holds the address, and with it the password
        stream.thread_type = "NONE"  # decoding in several threads holds pictures back
        self._base = float(stream.time_base)
        self._frames = self._container.decode(stream)

    def read(self, timeout_ms: float) -> RawImage:
        """The next picture; a stream that is silent for `silent_ms` counts as lost, whatever `timeout_ms` says."""
        with self._lock:
            if self._closed:
                raise CameraError(f"camera {self._settings.name} is closed. Open it again", "closed")
            try:
                frame = next(self._frames)
            except StopIteration:
                raise CameraError(f"camera {self._settings.name}: the stream has ended", "disconnected") from None
            except (self._av.FFmpegError, OSError) as error:
                raise self._lost(error) from None
            if frame.is_corrupt:
                raise CameraError(f"camera {self._settings.name}: packets of the picture were lost", "incomplete")
            pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        metadata: dict[str, float | str] = {"stream_s": 0.0 if frame.pts is None else float(frame.pts) * self._base}
        return RawImage(pixels=pixels, device_id=frame.pts, monotonic_s=time.monotonic(), metadata=metadata)

    def close(self) -> None:
        """Close the stream, after the picture that is being read."""
        self._closed = True
        if self._lock.acquire(timeout=self._settings.silent_ms / 1e3 + 1):
            try:
                self._container.close()
            finally:
                self._lock.release()

    def _lost(self, error: Exception) -> CameraError:
        why = getattr(error, "strerror", None) or type(error).__name__
        return CameraError(
            f"camera {self._settings.name}: no stream from {self._settings.url} ({why}). Check address and user"
        )


def _address(settings: Settings) -> str:
    if not settings.user:
        return settings.url
    parts = urllib.parse.urlsplit(settings.url)
    password = settings.password.read() if settings.password else ""
    login = f"{urllib.parse.quote(settings.user, safe='')}:{urllib.parse.quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{parts.netloc}").geturl()


def _import() -> Any:
    try:
        import av
        import av.logging
    except ModuleNotFoundError as error:
        raise MissingExtraError("av", "rtsp") from error
    # FFmpeg writes to the terminal of its own accord, addresses with passwords included.
    av.logging.set_level(None)
    return av


def open_source(settings: Settings) -> RtspSource:
    """Open the stream. Raises CameraError where it is away, MissingExtraError without PyAV."""
    return RtspSource(settings)
