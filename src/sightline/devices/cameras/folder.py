"""A folder as a camera: every new image file is one part."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, PrivateAttr, field_validator
from watchfiles import watch

from sightline.core.errors import CameraError
from sightline.core.untrusted import check_pattern, match
from sightline.devices.cameras.pixels import read_picture
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import RawImage
from sightline.imaging.decoding import SUFFIXES, UNREAD, is_cut_off

CLOCKS_S = 0.01  # by which the clocks of this machine and of whoever writes may differ
LOOK_S = 0.5  # a share over the network tells of no change: the folder is also looked at this often
Key = tuple[int, str]  # the order of files: when written (0 in the order of names), name
_log = logging.getLogger(__name__)


class Settings(CameraSettings):
    """A folder into which another program writes images."""

    kind: Literal["folder"] = "folder"
    path: Path = Field(description="the folder; folders below it are not read")
    order: Literal["name", "time"] = Field("name", description="which of several new files comes first")
    existing: bool = Field(False, description="also use files that are there at the start, each once; for trials")
    loop: bool = Field(False, description="start again after the last file, without looking for new files; for trials")
    taken: Path | None = Field(
        None, description="file that stores the last name used across restarts; a station has its own"
    )
    part_id: str = Field(
        "",
        max_length=200,
        description="regular expression with the group part that extracts the part id from the file name",
    )
    after: Literal["keep", "delete"] = Field("keep", description="what happens to a file after it was read")
    settle_ms: int = Field(1000, ge=0, le=60_000, description="how long to wait for an unfinished file")
    # A folder that is opened again goes on where it was: the last file taken, and when it was opened first.
    _last: list[Key] = PrivateAttr(default_factory=list)
    _opened: list[float] = PrivateAttr(default_factory=list)

    @field_validator("part_id")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        check_pattern(pattern)
        if pattern and "part" not in re.compile(pattern).groupindex:
            raise ValueError("names no group part. Write for instance (?P<part>[^_]+)_.*")
        return pattern


class FolderSource:
    """Files in order, whole ones only; a writer may write slowly or rename a finished file into place.

    A picture came when its file was written last, or was first seen, whichever is earlier: not when it is read. What
    lay in the folder before is never given, nor what came while nobody watched, unless `existing` or `loop` asks. Where
    it was written again in between, it is complete only since then.
    """

    def __init__(self, settings: Settings) -> None:
        if not settings.path.is_dir():
            raise CameraError(f"camera {settings.name}: {settings.path} is not a folder. Create it, or correct path")
        self._settings = settings
        self._lock = threading.Lock()
        self._looked = time.monotonic()  # when the last look began: what it did not find came later
        before = self._files()
        if not settings._opened:
            settings._opened.append(time.time())
        asked = {path.name for path in before if settings.loop or self._is_asked_for(path)}
        self._seen: set[str] = {path.name for path in before} - asked
        self._came: dict[str, float] = dict.fromkeys(asked, math.inf)  # these are as fresh as their reading
        self._before, self._late = len(self._seen), 0
        self._stop, self._changed = threading.Event(), threading.Event()
        self._watcher: threading.Thread | None = None
        if not settings.loop:
            self._watcher = threading.Thread(target=self._watch, name=f"watch {settings.path}", daemon=True)
            self._watcher.start()

    def read(self, timeout_ms: float) -> RawImage:
        """The next file. Raises CameraError."""
        deadline = time.monotonic() + timeout_ms / 1e3
        while True:
            self._changed.clear()
            path, came = self._next() or (None, 0.0)
            if path is not None and (found := self._whole(path, deadline)) is not None:
                return self._picture(path, *found, min(came, time.monotonic()))
            left = deadline - time.monotonic()
            if left <= 0:
                raise CameraError(
                    f"camera {self._settings.name}: no new file in {self._settings.path}{self._passed_over()}",
                    "timeout",
                )
            self._changed.wait(min(left, LOOK_S))

    def _passed_over(self) -> str:
        notes = [f"{self._late} came too late and were discarded"] if self._late else []
        if self._before:
            notes.append(f"{self._before} were there before the start; existing = true uses those, once")
        return f" ({'; '.join(notes)})" if notes else ""

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
                # Now, not when the next part asks: the moment at which a picture came says whose it is.
                with contextlib.suppress(CameraError):
                    self._look()
                self._changed.set()

    def _is_asked_for(self, path: Path) -> bool:
        """Whether a file that is there at the opening is a part: never one that was taken, nor one that came later."""
        if not self._settings.existing or _written(path) > self._settings._opened[0] * 1e9:
            return False
        if not self._settings._last and self._settings.taken is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                last = json.loads(self._settings.taken.read_text(encoding="utf-8"))
                self._settings._last.append((int(last["written"]), str(last["name"])))
        return not self._settings._last or self._key(path) > self._settings._last[-1]

    def _key(self, path: Path) -> Key:
        return (_written(path) if self._settings.order == "time" else 0), path.name

    def _look(self) -> dict[Path, float]:
        """All files, and when each came: that is settled at the first look that finds it."""
        with self._lock:
            started = time.monotonic()
            files = self._files()
            now, clock = time.monotonic(), time.time()
            came = {}
            for path in files:
                moment = self._came.get(path.name)
                age_s = 0.0 if moment is not None else clock - _written(path) / 1e9
                # A file from the future has a writer with another clock: it may have come right after the last look.
                unknown = self._looked if age_s < -CLOCKS_S else now - max(0.0, age_s)
                came[path.name] = unknown if moment is None else moment
            self._came, self._looked = came, started
            self._seen &= set(came)  # a name that is gone may come again, and the set stays bounded
            return {path: came[path.name] for path in files}

    def _take(self, path: Path) -> None:
        """Note that a file is not to be given again, in this run or a later one."""
        key = self._key(path)
        with self._lock:
            self._seen.add(path.name)
            if self._settings.after == "delete":
                with contextlib.suppress(OSError):
                    path.unlink()
                    # Whatever has this name from now on is another file.
                    self._seen.discard(path.name)
                    self._came.pop(path.name, None)
        self._settings._last[:] = [key]
        if self._settings.taken is not None and not self._settings.loop:
            try:
                new = self._settings.taken.with_name(self._settings.taken.name + ".new")
                new.write_text(json.dumps({"written": key[0], "name": key[1]}), encoding="utf-8")
                new.replace(self._settings.taken)
            except OSError as error:
                _log.error("camera %s: the name taken last cannot be kept: %s", self._settings.name, error)

    def _files(self) -> list[Path]:
        try:
            # Dots and other suffixes are the unfinished files of well-behaved writers.
            with os.scandir(self._settings.path) as entries:
                return [
                    Path(entry)
                    for entry in entries
                    if Path(entry).suffix.lower() in SUFFIXES | UNREAD
                    if not entry.name.startswith(".") and _is_file(entry)
                ]
        except OSError as error:
            raise CameraError(
                f"camera {self._settings.name}: {self._settings.path} cannot be read ({error.strerror}). Mount it again"
            ) from error

    def _next(self) -> tuple[Path, float] | None:
        files = self._look()
        new = [path for path in files if path.name not in self._seen]
        if not new and files and self._settings.loop:
            self._seen.clear()
            new = list(files)
        now = time.monotonic()
        for path in [path for path in new if now - files[path] > self._settings.max_age_ms / 1e3]:
            # Undecoded: many of them would take the time of the part under way.
            self._take(path)
            new.remove(path)
            self._late += 1
            why = (
                "too late for its part, and was discarded. If the writer's clock differs from this machine's, set both"
            )
            _log.warning("camera %s: %s came %.1f s ago, %s", self._settings.name, path.name, now - files[path], why)
        first = min(new, key=self._key, default=None)
        return None if first is None else (first, files[first])

    def _whole(self, path: Path, deadline: float) -> tuple[bytes, float] | None:
        """The file's bytes once they are complete, and when they were; None where that must be waited for."""
        try:
            with path.open("rb") as file:
                data = file.read()
                status = os.fstat(file.fileno())  # of these bytes, whatever has the name by now
            unfinished = not data or is_cut_off(data)
            if unfinished and time.time() - path.stat().st_mtime < self._settings.settle_ms / 1e3:
                if deadline - time.monotonic() > 0:
                    time.sleep(min(0.02, max(0.0, deadline - time.monotonic())))
                    self._changed.set()
                return None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._take(path)
            raise CameraError(
                f"{path}: cannot be read ({error.strerror}). Check its permissions", "unreadable"
            ) from error
        # Renamed into place, it is as old as its bytes and may have come just now: its inode knows.
        age_s = time.time() - max(status.st_mtime, status.st_ctime) - CLOCKS_S
        self._take(path)
        return data, time.monotonic() - max(0.0, age_s)

    def _picture(self, path: Path, data: bytes, complete: float, came: float) -> RawImage:
        told: dict[str, float | str] = {"file": path.name}
        if self._settings.part_id:
            found = match(self._settings.part_id, path.stem)
            told["part_id"] = (found["part"] or "") if found else ""
        captured = time.time() - max(0.0, time.monotonic() - came)
        try:
            picture = read_picture(data, str(path), told)
            return replace(picture, captured=captured, monotonic_s=came, complete_s=max(came, complete))
        except CameraError as error:
            raise CameraError(str(error), error.reason, came) from error


def _is_file(entry: os.DirEntry[str]) -> bool:
    # A pipe or a device may be waited for without end. Where the type is known, the file itself is not asked.
    return Path(entry).is_file() if entry.is_symlink() else entry.is_file()


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def open_source(settings: Settings) -> FolderSource:
    """Start to watch the folder. Raises CameraError where it is missing."""
    return FolderSource(settings)
