"""The confusion of types as a table whose cells open on the images behind them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline.evaluate.evaluation import Evaluation
from sightline.evaluate.pictures import data_uri, thumbnail
from sightline.evaluate.recognition import GOOD
from sightline.runtime.recognition import UNKNOWN

PER_CELL, SHOT_PX = 12, 150
MOST_PICTURES = 400  # of the whole table: a page must stay a page


@dataclass(frozen=True, slots=True)
class Crossed:
    """One cell: `count` parts of type `truth` said to be `said`; `shots` are (name, path, picture or "") of some."""

    key: str
    truth: str
    said: str
    count: int
    shots: tuple[tuple[str, str, str], ...]

    @property
    def wrong(self) -> bool:
        """Whether there should be none."""
        return self.truth != self.said


@dataclass(frozen=True, slots=True)
class Crossing:
    """Rows are the truth, columns what was said, both in the order of `names`."""

    names: tuple[str, ...]
    rows: tuple[tuple[Crossed, ...], ...]

    @property
    def filled(self) -> tuple[Crossed, ...]:
        """Cells that are not empty, mistakes first."""
        cells = [cell for row in self.rows for cell in row if cell.count]
        return tuple(sorted(cells, key=lambda cell: not cell.wrong))


def crossing(evaluation: Evaluation) -> Crossing | None:
    """The table; None where the recipe names no types, or a part may carry several."""
    found = evaluation.recognition
    if found is None or found.confusion is None:
        return None
    order = sorted(found.confusion.names, key=lambda name: (name == UNKNOWN) - (name == GOOD))
    names, room, rows = tuple(order), MOST_PICTURES, []
    for row, truth in enumerate(names):
        cells = []
        for column, said in enumerate(names):
            images = found.confusion.cell(truth, said)
            shown = images[: min(PER_CELL, max(0, room))]
            room -= len(shown)
            shots = tuple(_shot(Path(image)) for image in shown)
            cells.append(Crossed(f"types-{row}-{column}", truth, said, len(images), shots))
        rows.append(tuple(cells))
    return Crossing(names, tuple(rows))


def _shot(path: Path) -> tuple[str, str, str]:
    image = thumbnail(path, SHOT_PX)
    return path.name, str(path), "" if image is None else data_uri(image)
