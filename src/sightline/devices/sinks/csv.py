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

from sightline.core.signals import Signal
from sightline.core.untrusted import cell
from sightline.devices.link import Health
from sightline.devices.outbox import Courier, MemoryBox, Message
from sightline.devices.sinks.port import SinkSettings

COLUMNS: tuple[str, ...] = ("decided", "part_id", "verdict", "valid", "score", "recipe", "recipe_id", "late", "error")
COLUMNS += ("triggered", "captured", "station", "key", "pilot", "purpose", "defects")
COLUMNS += ("defect_type", "defect_view", "defect_box", "defect_area_px", "defect_area_mm2")


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
        return self._courier.health()

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
        _append(self._file(day), rows)
        if day != self._day:
            self._day = day
            self._delete_old(date.fromisoformat(day))
        return len(rows)

    def _file(self, day: str) -> Path:
        """The day's file; another one with a number where it has other columns, as after an upgrade."""
        header = ",".join(COLUMNS).encode() + b"\n"
        for number in itertools.count(1):
            path = self._settings.folder / f"{self._settings.prefix}-{day}{f'-{number}' if number > 1 else ''}.csv"
            try:
                with path.open("rb") as file:
                    first = file.readline()
            except FileNotFoundError:
                break
            if first in (b"", header):
                break
        return path

    def _delete_old(self, today: date) -> None:
        oldest = today - timedelta(days=self._settings.keep_days)
        name = re.compile(rf"{re.escape(self._settings.prefix)}-(\d{{4}}-\d\d-\d\d)(-\d+)?\.csv")
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
            values = _flat(row)
            writer.writerow([_cell(values.get(column)) for column in COLUMNS])
        try:
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, end)  # a line is there whole or not at all
            raise


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A signal's values with the number of its defects, and of the first one type, view, place and area."""
    found = row.get("defects") or []
    first = {f"defect_{name}": value for name, value in found[0].items()} if found else {}
    box = " ".join(map(str, first.get("defect_box") or ()))
    return {**row, **first, "defects": len(found), "defect_box": box}


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    # A spreadsheet would run a part id that begins like a formula.
    return cell(text) if isinstance(value, str) else text


def open_sink(settings: Settings) -> CsvSink:
    """Begin to write."""
    return CsvSink(settings)
