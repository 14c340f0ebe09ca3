"""CSV files: one line per part, one file per day, on the disk before it counts as written."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import os
import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sightline.core.signal import Signal
from sightline.devices.courier import Courier, MemoryBox
from sightline.devices.health import Health
from sightline.devices.outbox import Message
from sightline.devices.sinks.settings import SinkSettings

COLUMNS: tuple[str, ...] = ("decided", "part_id", "verdict", "valid", "score", "recipe", "recipe_id", "late", "error")
COLUMNS += ("triggered", "captured", "station", "key")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Settings(SinkSettings):
    """A folder of CSV files."""

    kind: Literal["csv"] = "csv"
    folder: Path = Field(description="folder of the files; it is created")
    prefix: str = Field(
        "results", pattern=r"^[\w-]+$", max_length=64, description="files are <prefix>-YYYY-MM-DD.csv (UTC)"
    )
    keep_days: int = Field(365, ge=1, le=36_500, description="older files are deleted")
    waiting_max: int = Field(
        10_000, ge=1, le=10_000_000, description="lines that may wait for the disk; more are refused"
    )


class CsvSink:
    """A Sink in files. While the disk does not take lines they wait in memory, and `send` does not."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._box = MemoryBox(settings.waiting_max)
        self._day = ""
        self._courier = Courier(settings.name, self._box, self._write, settings.backoff)

    def send(self, signal: Signal) -> None:
        """Have one line written. Raises SinkError where too many wait."""
        self._courier.send(signal)

    def health(self) -> Health:
        """Whether lines are written, and how many wait."""
        courier = self._courier
        return Health(
            connected=not courier.error, waiting=len(self._box), failures=courier.failures, error=courier.error
        )

    def close(self) -> None:
        """Write what waits, if the disk takes it."""
        self._courier.close()
        with contextlib.suppress(OSError):
            while messages := self._box.peek(1000):
                for message in messages[: self._write(messages)]:
                    self._box.remove(message)

    def _write(self, messages: Sequence[Message]) -> int:
        """Write the lines of the first message's day; gives how many."""
        rows = [json.loads(message.body) for message in messages]
        day = str(rows[0]["decided"])[:10]
        rows = list(itertools.takewhile(lambda row: str(row["decided"])[:10] == day, rows))
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        path = self._settings.folder / f"{self._settings.prefix}-{day}.csv"
        _append(path, rows)
        if day != self._day:
            self._day = day
            self._delete_old(date.fromisoformat(day))
        return len(rows)

    def _delete_old(self, today: date) -> None:
        oldest = today - timedelta(days=self._settings.keep_days)
        name = re.compile(rf"{re.escape(self._settings.prefix)}-(\d{{4}}-\d\d-\d\d)\.csv")
        for path in self._settings.folder.iterdir():
            found = name.fullmatch(path.name)
            with contextlib.suppress(OSError, ValueError):
                if found and date.fromisoformat(found[1]) < oldest:
                    path.unlink()


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with path.open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            writer.writerow(COLUMNS)
        else:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                text.write("\n")  # a kill cut the last line off
        for row in rows:
            writer.writerow([_cell(row[column]) for column in COLUMNS])
        try:
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, end)  # a line is there whole or not at all
            raise


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    # A spreadsheet would run a part id that begins like a formula.
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def open_sink(settings: Settings) -> CsvSink:
    """Begin to write."""
    return CsvSink(settings)
