"""How far the work is: one bar for the command line, scripts and notebooks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

LOG_EVERY_S = 10.0  # where there is no terminal
REDRAWN_S, WIDTH = 0.2, 30  # of the bar in a notebook
Progress: TypeAlias = "Callable[[str, int, int], None]"  # stage, done, of; it may raise Cancelled
Tell: TypeAlias = "Callable[[str], None]"  # what a person should read before the work ends


def unwatched(stage: str, done: int, of: int) -> None:
    """Progress that nobody watches."""


def of_stage(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    """The same for work that has one stage and reports (done, of) alone."""
    return None if progress is None else lambda done, of: progress(stage, done, of)


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """A progress bar on stderr, one line per stage, as a function of (stage, done, of); nothing when `quiet`.

    Where there is neither terminal nor notebook, a line every `LOG_EVERY_S`: a log shows that the work goes on.
    """
    if quiet:
        yield unwatched
        return
    if _in_notebook():
        yield _drawn_in_one_line()
        sys.stderr.write("\n")
        return
    if not sys.stderr.isatty():
        started = last = time.monotonic()

        def log(stage: str, done: int, of: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= LOG_EVERY_S:
                last = now
                sys.stderr.write(f"{now - started:5.0f} s: {stage}, {done} of {of}\n")

        yield log
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Bars(*columns, console=Console(stderr=True), transient=True)
    tasks: dict[str, Any] = {}

    def report(stage: str, done: int, of: int) -> None:
        if stage not in tasks:
            bars.start()  # with the first stage: what is told before goes to the terminal as it is
            for earlier in tasks.values():
                bars.update(earlier, completed=bars.tasks[earlier].total)
            tasks[stage] = bars.add_task(stage, total=of)
        bars.update(tasks[stage], completed=done, total=of)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()


@contextmanager
def reporting(wanted: Callable[..., None] | bool | None, stage: str = "") -> Iterator[Callable[..., None]]:
    """What a call in Python reports to: the caller's own function, or the bar.

    `wanted` None is a bar where somebody watches, a terminal or a notebook; True always, False never. `stage` names
    the work of a call that reports (done, of) alone.
    """
    if callable(wanted):
        yield wanted
        return
    watched = _in_notebook() or (sys.stdout.isatty() and sys.stderr.isatty())
    with progress(quiet=not (watched if wanted is None else wanted)) as report:
        yield (lambda done, of: report(stage, done, of)) if stage else report


def _drawn_in_one_line() -> Progress:
    """A bar that a notebook shows without packages of its own: each line is drawn over the one before."""
    last = ("", 0.0)

    def draw(stage: str, done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if stage == last[0] and done < of and now - last[1] < REDRAWN_S:
            return
        last = (stage, now)
        full = WIDTH * done // max(of, 1)
        sys.stderr.write(f"\r{stage:24} {'█' * full}{'·' * (WIDTH - full)} {done}/{of}".ljust(80))

    return draw


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules
