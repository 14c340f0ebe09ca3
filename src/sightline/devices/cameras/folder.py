"""A folder as a camera: every new image file is one part."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Literal

from pydantic import Field
from watchfiles import watch

from sightline.core.errors import CameraError
from sightline.devices.cameras.encoded import cut_off, decode
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import Picture

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"))
LOOK_S = 0.5  # a share over the network tells of no change: the folder is also looked at this often


class Settings(CameraSettings):
    """A folder into which another program writes images."""

    kind: Literal["folder"] = "folder"
    path: Path = Field(description="the folder; folders below it are not read")
    order: Literal["name", "time"] = Field("name", description="which of several new files comes first")
    existing: bool = Field(True, description="files that are there at the start are parts, too")
    loop: bool = Field(False, description="begin again after the last file; new files are not looked for")
    after: Literal["keep", "delete"] = Field("keep", description="what becomes of a file that was read")
    settle_ms: int = Field(1000, ge=0, le=60_000, description="how long an unfinished file may take to be completed")
    pixels_max: int = Field(100_000_000, ge=64, le=1_000_000_000, description="larger images are refused")


class FolderSource:
    """Files in order, whole ones only; a writer may write slowly or rename a finished file into place."""

    def __init__(self, settings: Settings) -> None:
        if not settings.path.is_dir():
            raise CameraError(f"camera {settings.name}: {settings.path} is no folder. Create it, or correct path")
        self._settings = settings
        self._seen: set[str] = set() if settings.existing or settings.loop else {f.name for f in self._files()}
        self._stop, self._changed = threading.Event(), threading.Event()
        self._watcher: threading.Thread | None = None
        if not settings.loop:
            self._watcher = threading.Thread(target=self._watch, name=f"watch {settings.path}", daemon=True)
            self._watcher.start()

    def read(self, timeout_ms: float) -> Picture:
        """The next file. Raises CameraError."""
        deadline = time.monotonic() + timeout_ms / 1e3
        while True:
            self._changed.clear()
            path = self._next()
            if path is not None and (data := self._whole(path, deadline)) is not None:
                return self._picture(path, data)
            left = deadline - time.monotonic()
            if left <= 0:
                raise CameraError(f"camera {self._settings.name}: no new file in {self._settings.path}", "timeout")
            self._changed.wait(min(left, LOOK_S))

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()

    def _watch(self) -> None:
        # A folder that vanishes is told by the next look at it.
        with contextlib.suppress(OSError, RuntimeError):
            for _ in watch(
                self._settings.path,
                step=20,
                debounce=100,
                rust_timeout=500,
                yield_on_timeout=False,
                recursive=False,
                stop_event=self._stop,
                raise_interrupt=False,
            ):
                self._changed.set()

    def _files(self) -> list[Path]:
        try:
            # Dots and other suffixes are the unfinished files of well-behaved writers.
            return [
                path
                for path in self._settings.path.iterdir()
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
            ]
        except OSError as error:
            raise CameraError(
                f"camera {self._settings.name}: {self._settings.path} cannot be read ({error.strerror}). Mount it again"
            ) from error

    def _next(self) -> Path | None:
        files = self._files()
        self._seen &= {path.name for path in files}  # a name that is gone may come again, and the set stays bounded
        new = [path for path in files if path.name not in self._seen]
        if not new and files and self._settings.loop:
            self._seen.clear()
            new = files
        by_time = self._settings.order == "time"
        return min(new, key=lambda path: (_written(path) if by_time else 0, path.name), default=None)

    def _whole(self, path: Path, deadline: float) -> bytes | None:
        """The file's bytes once they are complete; None where that must be waited for."""
        try:
            data = path.read_bytes()
            unfinished = not data or cut_off(data)
            if unfinished and time.time() - path.stat().st_mtime < self._settings.settle_ms / 1e3:
                if deadline - time.monotonic() > 0:
                    time.sleep(min(0.02, max(0.0, deadline - time.monotonic())))
                    self._changed.set()
                return None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._seen.add(path.name)
            raise CameraError(
                f"{path}: cannot be read ({error.strerror}). Check its permissions", "unreadable"
            ) from error
        self._seen.add(path.name)
        if self._settings.after == "delete":
            with contextlib.suppress(OSError):
                path.unlink()
        return data

    def _picture(self, path: Path, data: bytes) -> Picture:
        image = decode(data, str(path), self._settings.pixels_max)
        return Picture(pixels=image, layout="BGR8", metadata={"file": path.name})


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def open_source(settings: Settings) -> FolderSource:
    """Start to watch the folder. Raises CameraError where it is missing."""
    return FolderSource(settings)
