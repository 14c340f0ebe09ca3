"""The terminal: results on stdout, everything else (progress, warnings, errors) on stderr."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from sightline.core.progress import Progress, Tell, progress

T = TypeVar("T")

# All but the end of a line and the tab; with those that turn the direction of writing.
_CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")


def say(text: str) -> None:
    """Write a result to stdout."""
    sys.stdout.write(_harmless(text) + "\n")


def say_json(value: Any) -> None:
    """Write one JSON value on one line of stdout; NaN never."""
    say(json.dumps(value, ensure_ascii=False, allow_nan=False))


def complain(text: str) -> None:
    """Write to stderr."""
    sys.stderr.write(_harmless(text) + "\n")


def has_browser() -> bool:
    """Whether somebody sits in front of this machine who would see a browser open: a terminal, a screen, and no CI."""
    screen = sys.platform in {"win32", "darwin"} or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(sys.stderr.isatty() and screen and not os.environ.get("CI"))


def _harmless(text: str) -> str:
    """Control characters, which names may hold and a terminal would obey, as `\\u001b`, which JSON knows, too."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def take_any_letter() -> None:
    """Let the terminal show names in letters that it does not know as `\\u2713`, instead of ending the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show_warnings() -> None:
    """Print warnings as one line for people, without source code."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        complain(f"warning: {message}")

    warnings.showwarning = show


def aside(quiet: bool) -> Tell | None:
    """Where operations tell what a person should read before the work ends: stderr, or nowhere when `quiet`."""
    return None if quiet else complain


def name_report(report: Path | None) -> None:
    """Say where a report that was asked for lies."""
    if report is not None:
        complain(f"Report: {report.resolve()}")


def each(steps: Callable[[Progress], Iterator[T]]) -> Iterator[T]:
    """What an operation gives step by step; the bar is there only while the next step is worked on."""
    report: Progress

    def forward(stage: str, done: int, of: int) -> None:
        report(stage, done, of)

    coming = steps(forward)
    while True:
        with progress(quiet=False) as report:
            step = next(coming, None)
        if step is None:
            return
        yield step
