"""The terminal: results on stdout, everything else (progress, warnings, errors) on stderr."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[str, int, int], None]


def say(text: str) -> None:
    """Write a result to stdout."""
    sys.stdout.write(text + "\n")


def say_json(value: Any) -> None:
    """Write one JSON value on one line of stdout; NaN never."""
    say(json.dumps(value, ensure_ascii=False, allow_nan=False))


def complain(text: str) -> None:
    """Write to stderr."""
    sys.stderr.write(text + "\n")


def show_warnings() -> None:
    """Print warnings as one line for people, without source code."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        complain(f"warning: {message}")

    warnings.showwarning = show


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """A progress bar on stderr, one line per stage, as a function of (stage, done, of); nothing when `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield lambda stage, done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    bars.update(earlier, completed=bars.tasks[earlier].total)
                tasks[stage] = bars.add_task(stage, total=of)
            bars.update(tasks[stage], completed=done, total=of)

        yield report


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
