"""What the line's processes share: how they are started and how often, who holds a folder, and the log.

They are forked from a server that has imported everything once, so that a restart is quick. The server has neither
threads nor sessions, so a fork of it is as clean as a new process, a second or two sooner.
"""

from __future__ import annotations

import ctypes
import json
import logging
import logging.handlers
import multiprocessing
import os
import queue
import sqlite3
import sys
import time
from collections import deque
from datetime import UTC, datetime
from multiprocessing.context import BaseContext
from multiprocessing.heap import BufferWrapper
from pathlib import Path
from typing import Any

from sightline.core.errors import SettingError
from sightline.core.files import make_private

WORKER_MODULES = ("sightline.line.inspection_worker", "sightline.runtime.inspector", "onnxruntime")
STATION_MODULES = tuple(f"sightline.line.{name}" for name in ("supervisor", "devices", "port", "watchdog"))
RESTARTS, WITHIN_S = 5, 60.0
MAX_BYTES, FILES = 10 * 2**20, 5  # of the log file: it is rotated, and never fills the disk
VARIABLE = "SIGHTLINE_LOG"
FIELDS = ("station", "part", "error", "cause", "kind")


def context_for(modules: tuple[str, ...]) -> BaseContext:
    """A way to start processes that have `modules` imported already. Where there is no fork, they import them."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context


def shared_memory(size: int) -> BufferWrapper:
    """So many bytes that processes share, all of them reserved now: written into later, none can be missing.

    Where the system has no room left for a page that is written into, it kills the process (SIGBUS), and nobody would
    answer the machine. Raises SettingError where there is no room.
    """
    try:
        memory = BufferWrapper(size)
        arena: Any = memory._state[0][0]  # type: ignore[attr-defined]  # the file behind it has no other name
        if hasattr(os, "posix_fallocate") and hasattr(arena, "fd"):
            os.posix_fallocate(arena.fd, 0, arena.size)
    except OSError as error:
        raise SettingError(
            f"{size / 2**20:.1f} MB of shared memory cannot be reserved ({error.strerror}). Make /dev/shm "
            "larger (docker run --shm-size), remove what fills it, or lower frame_mb"
        ) from error
    return memory


class Heartbeat:
    """A process's last sign of life, in memory that it shares with whoever watches it.

    The watcher makes one and hands its `memory` over, with which the process makes its own.
    """

    def __init__(self, memory: BufferWrapper | None = None) -> None:
        # Kept for as long as it is looked at: what is let go of becomes another process's.
        self.memory = memory or shared_memory(ctypes.sizeof(ctypes.c_double))
        self._last = ctypes.c_double.from_buffer(self.memory.create_memoryview())
        if memory is None:
            self._last.value = 0.0

    @property
    def last_s(self) -> float:
        """When it was given on the monotonic clock, 0 before the first."""
        return self._last.value

    def beat(self, ahead_s: float = 0.0) -> None:
        """Give a sign of life; the next one may come `ahead_s` later than usual."""
        self._last.value = time.monotonic() + ahead_s


class RestartBudget:
    """At most `restarts` within `within_s` seconds, on the monotonic clock."""

    def __init__(self, restarts: int = RESTARTS, within_s: float = WITHIN_S) -> None:
        self._restarts, self._within_s = restarts, within_s
        self._spent: deque[float] = deque()

    def spend(self) -> bool:
        """Whether one more restart is allowed now; it is counted if so."""
        now = time.monotonic()
        while self._spent and now - self._spent[0] > self._within_s:
            self._spent.popleft()
        if len(self._spent) >= self._restarts:
            return False
        self._spent.append(now)
        return True

    def renew(self) -> None:
        """Forget what was spent: a person has reset the station."""
        self._spent.clear()


class Hold:
    """Held until it is closed or its process ends, however that ends. Raises SettingError where another one has it."""

    def __init__(self, folder: Path, name: str = "held.db") -> None:
        try:
            make_private(folder / name)
            self._file = sqlite3.connect(folder / name, check_same_thread=False, isolation_level=None, timeout=1.0)
            # A lock of SQLite's: on every system, and gone with the process that had it. Nothing is written.
            self._file.execute("BEGIN EXCLUSIVE")
        except (sqlite3.Error, OSError) as error:
            raise SettingError(
                f"{folder}: another station works in this folder, or it cannot be written ({error}). Stop that one, or "
                "give this one its own folder"
            ) from error

    def close(self) -> None:
        """Let go of the folder."""
        self._file.close()


class JsonLines(logging.Formatter):
    """Time (UTC), level, logger, message, and the fields of `FIELDS` that a record carries."""

    def __init__(self, station: str) -> None:
        super().__init__()
        self._station = station

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "logger": record.name, "station": self._station}
        line |= {"message": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def open_log(station: str, folder: Path | None, level: int = logging.INFO, file: str = "", apart: bool = False) -> None:
    """Send what `sightline` logs to stderr and, where there is a folder, to a rotating file in it.

    The file is called after the station, or `file`. `apart`: it is written by a thread of its own, so that a disk that
    hangs does not hold up who logs.
    With SIGHTLINE_LOG=file in the environment it goes to the file alone: somebody watches the terminal.
    """
    root = logging.getLogger("sightline")
    root.handlers.clear()
    root.setLevel(level)
    root.propagate = False
    quiet = folder is not None and os.environ.get(VARIABLE) == "file"
    handlers: list[logging.Handler] = [] if quiet else [logging.StreamHandler(sys.stderr)]
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        handlers.append(
            logging.handlers.RotatingFileHandler(
                folder / f"{file or station}.log", maxBytes=MAX_BYTES, backupCount=FILES, encoding="utf-8", delay=True
            )
        )
    for handler in handlers:
        handler.setFormatter(JsonLines(station))
    if apart:
        lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        logging.handlers.QueueListener(lines, *handlers).start()
        handlers = [logging.handlers.QueueHandler(lines)]
    for handler in handlers:
        root.addHandler(handler)
    logging.raiseExceptions = False  # a disk that is full must not stop the line for a log message
