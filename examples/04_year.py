"""A year on a simulated line, with Sightline's loop and without: python examples/04_year.py year.html

A server, its API, its store and its worker are the real ones; the parts are rendered, and the people are simulated.
Five minutes or so on two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from year.page import Judged, write_page
from year.parts import MONTHS, NEW, Year
from year.plant import NEW_NAME, Event, People, Plant, served

from sightline.improve import charts
from sightline.store.store import Store

DAYS = 3  # a month


def run(year: Year, folder: Path, errs: float, **begin: Any) -> tuple[list[Judged], list[Event], str]:
    """The parts as they were judged, what happened, and how the reviewer did."""
    judged: list[Judged] = []
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(folder / "store.db"))
        people = opened.enter_context(closing(People(*opened.enter_context(served(folder)), errs, year.seed)))
        plant, day = Plant(year, folder, people, store), []
        plant.begin(**begin)
        for index, cap in year.run():
            day.append((index, cap))
            if len(day) < year.parts // (MONTHS * DAYS):
                continue
            for (number, part), (frozen, loop, types) in zip(day, plant.day(day), strict=True):
                called = max(types, key=lambda name: types[name]) if types else ""
                judged.append(Judged(number, (part.types or ("",))[0], frozen, loop, called))
            day = []
            print(f"{year.moment(index):%d %b}: {len(judged)} parts, {people.answered} answers", file=sys.stderr)
    told = f"People gave {people.answered} answers about {len(judged):,} parts, of which {people.wrong} were wrong. "
    seen = [one for one in judged if one.kind == NEW]
    named = sum(one.called == NEW_NAME for one in seen)
    return (
        judged,
        plant.events,
        f"{told}Of {len(seen)} parts with the new defect the recipe called {named} by its name.",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("page", type=Path, nargs="?", default=Path("year.html"))
    parser.add_argument("--parts", type=int, default=1080)
    parser.add_argument("--errs", type=float, default=0.03, help="share of the reviewer's answers that are wrong")
    parser.add_argument("--size", type=int, default=144, help="of a picture, px")
    wanted = parser.parse_args()
    charts.FIRST = 60  # parts say how many defects are usual; on a line it is 500, but this year has so few parts
    year = Year(parts=wanted.parts, size=wanted.size)
    small = {"effort": "quick", "side_px": year.size, "bank_size": 1024, "sample_patches": 8000, "synthetic": 48}
    begin = {"settings": small, "good": 100, "each": 6, "ask_ok": 0.05, "ask_ng": 0.2}
    parts, events, answers = run(year, Path(tempfile.mkdtemp()), wanted.errs, **begin)
    print("see", write_page(wanted.page, year, parts, events, answers))
