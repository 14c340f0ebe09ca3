"""A whole line in the terminal: stations, a PLC, parts at a takt, and faults by name."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sightline.core.errors import InputError, SightlineError
from sightline.line.faults import FAULTS, inject
from sightline.line.log import VARIABLE
from sightline.line.simulation import Setup, Simulation, Tally

Say = Callable[[str], None]
FAULT_S = 3.0


def parse_fault(text: str) -> tuple[str, float]:
    """ "judge_killed@10" -> ("judge_killed", 10.0): the fault, and seconds after the start. Raises InputError."""
    name, _, when = text.partition("@")
    try:
        at_s = float(when or 5)
    except ValueError as error:
        raise InputError(f"fault {text!r}: write NAME@SECONDS, for instance judge_killed@10") from error
    if name not in FAULTS:
        raise InputError(f"no fault is called {name!r}. Choose one of: {', '.join(FAULTS)}")
    return name, at_s


def prepare(folder: Path, product: str, say: Say) -> tuple[Path, Path]:
    """A recipe and a folder of parts of a sample product, made where they are not there yet."""
    from sightline.data import sample
    from sightline.data.dataset import Dataset
    from sightline.train.training import train

    recipe, parts = folder / f"{product}.onnx", folder / f"{product}-parts"
    if not parts.exists():
        say(f"Drawing parts of the sample product {product}")
        sample.write(parts, product)
    if not recipe.exists():
        say("Learning a recipe from good parts")
        train(Dataset.open(parts).train, effort="quick").save(recipe)
    return recipe, lay_on_belt(parts, folder / f"{product}-belt")


def lay_on_belt(parts: Path, belt: Path) -> Path:
    """The test parts of a dataset side by side in one folder, as they come along the belt."""
    from sightline.data.dataset import Dataset

    belt.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(Dataset.open(parts).test):
        label = "good" if part.defective is False else "-".join(part.types) or "defect"
        target = belt / f"{number * 7919 % 10007:05}-{label}{part.path.suffix}"  # mixed, and the same every time
        if not target.exists():
            target.write_bytes(part.path.read_bytes())
    return belt


def simulate(setup: Setup, seconds: float, faults: Sequence[tuple[str, float]], show: bool, say: Say) -> dict[str, Any]:
    """Run the line for so many seconds; the figures of every station. Raises SightlineError."""
    os.environ[VARIABLE] = "file"  # for the stations, whose processes inherit it
    logging.getLogger("sightline").addHandler(logging.NullHandler())
    say(f"Starting {setup.stations} station{'s' * (setup.stations > 1)} in {setup.folder}")
    with Simulation(setup) as line:
        line.wait_ready()
        feeding = threading.Thread(target=line.run, args=(round(seconds * setup.per_second),))
        events: list[str] = []
        trouble = threading.Thread(target=_faults, args=(line, faults, events), daemon=True)
        feeding.start()
        trouble.start()
        _watch(line, feeding, events) if show else feeding.join()
        figures = [tally.figures() for tally in line.tallies]
    return {"stations": figures, "faults": events, "folder": str(setup.folder)}


def _faults(line: Simulation, faults: Sequence[tuple[str, float]], events: list[str]) -> None:
    start = time.monotonic()
    for name, at_s in sorted(faults, key=lambda fault: fault[1]):
        time.sleep(max(0.0, start + at_s - time.monotonic()))
        events.append(f"{time.monotonic() - start:5.1f} s  {name} begins")
        try:
            undo = inject(name, line, line.tallies[0])
            time.sleep(FAULT_S)
            undo()
        except (SightlineError, OSError) as error:
            events.append(f"{time.monotonic() - start:5.1f} s  {name}: {error}")
        events.append(f"{time.monotonic() - start:5.1f} s  {name} ends")


def _watch(line: Simulation, feeding: threading.Thread, events: list[str]) -> None:
    from rich.console import Console, Group
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4) as live:
        while feeding.is_alive():
            live.update(Group(*(_table(tally) for tally in line.tallies), *events[-6:]))
            feeding.join(0.25)
        live.update(Group(*(_table(tally) for tally in line.tallies), *events[-6:]))


def _table(tally: Tally) -> Any:
    from rich.table import Table

    figures = tally.figures()
    share = f"{figures['yield']:.1%}" if figures["yield"] is not None else "none yet"
    head = (
        f"{tally.station}: {figures['parts']} parts, accepted {figures['accepted']} ({share}), NG {figures['NG']}, "
        f"REVIEW {figures['REVIEW']}, no answer {figures['no answer']}, late {figures['late']}\n"
        f"trigger to verdict: {_times(figures)}"
    )
    table = Table(title=head, title_justify="left", title_style="", expand=False)
    for column in ("part", "verdict", "ms", "PLC", "why"):
        table.add_column(column, justify="right" if column == "ms" else "left")
    colours = {"OK": "green", "NG": "red", "REVIEW": "yellow"}
    for part in reversed(list(tally.last)):
        verdict = str(part.verdict or "-")
        ms = "-" if part.ms is None else f"{part.ms:.1f}"
        why = part.trouble or ("late" if part.late else f"error {part.error}" if part.error else "")
        colour = colours.get(verdict, "magenta")
        table.add_row(part.part_id, f"[{colour}]{verdict}[/]", ms, "accept" if part.accepted else "reject", why)
    return table


def describe(figures: dict[str, Any]) -> str:
    """What came of it, for people."""
    lines = []
    for one in figures["stations"]:
        lines.append(
            f"{one['station']}: {one['parts']} parts: OK {one['OK']}, NG {one['NG']}, REVIEW {one['REVIEW']}, "
            f"no answer {one['no answer']}; late {one['late']}; {_times(one)}"
        )
    return "\n".join([*lines, *figures["faults"], f"Records, logs and settings: {figures['folder']}"])


def _times(figures: dict[str, Any]) -> str:
    return f"p50 {figures['ms_p50']:.1f} ms, p99 {figures['ms_p99']:.1f} ms, max {figures['ms_max']:.1f} ms"


def is_terminal() -> bool:
    """Whether somebody watches."""
    return sys.stderr.isatty()
