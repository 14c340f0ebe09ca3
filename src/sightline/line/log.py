"""Structured logs: one JSON object per line, with the fields that a search needs."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

MAX_BYTES, FILES = 10 * 2**20, 5  # of the log file: it is rotated, and never fills the disk
VARIABLE = "SIGHTLINE_LOG"
FIELDS = ("station", "part", "error", "cause", "kind")


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


def open_log(station: str, folder: Path | None, level: int = logging.INFO) -> None:
    """Send what `sightline` logs to stderr and, where there is a folder, to a rotating file in it.

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
                folder / f"{station}.log", maxBytes=MAX_BYTES, backupCount=FILES, encoding="utf-8", delay=True
            )
        )
    for handler in handlers:
        handler.setFormatter(JsonLines(station))
        root.addHandler(handler)
    logging.raiseExceptions = False  # a disk that is full must not stop the line for a log message
