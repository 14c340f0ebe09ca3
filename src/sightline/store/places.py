"""Where defects lie: how many of them touch each cell of a coarse grid over a view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from sightline.core.result import Verdict
from sightline.store.database import Database
from sightline.store.inspections import Filter, conditions
from sightline.store.statistics import LONGEST, check_span
from sightline.store.tables.labels import SampleRow
from sightline.store.tables.line import InspectionRow

CELLS = 32  # a side
MAX_READ = 1000  # parts, the newest: each has outlines to be read, 0.1 ms
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ViewPlaces:
    """The defects of one view, (CELLS, CELLS) counts, the first row at the top."""

    view: str
    defects: int
    grid: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Places:
    """Of `parts` parts; `complete`: these are all, not just the newest. Defects in pictures whose size nobody knows are
    left out; `without_size` counts their parts.
    """

    views: tuple[ViewPlaces, ...]
    parts: int
    complete: bool
    without_size: int


class DefectPlaces:
    """Places of defects in a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counted(
        self,
        start: datetime,
        end: datetime,
        verdicts: Sequence[Verdict] = (Verdict.NG, Verdict.REVIEW),
        recipe: str | None = None,
        station: str | None = None,
        product: str | None = None,
    ) -> Places:
        """The places of the defects of start <= triggered < end, by a recipe (its hash, or how it begins).

        Raises InputError for more than 400 days.
        """
        check_span(start, end, LONGEST)
        row = InspectionRow
        found: list[tuple[Mapping[str, Any], str | None]] = []
        complete = True
        with self._database.reading() as session:
            for verdict in verdicts:
                wanted = Filter(station=station, product=product, since=start, until=end)
                query = select(row.details, row.image_hash).where(*conditions(wanted), row.verdict == str(verdict))
                if station is not None:
                    query = query.where(row.station == station)
                if recipe is not None:
                    query = query.where(row.recipe_hash.startswith(recipe, autoescape=True))
                query = query.order_by(row.triggered.desc(), row.id.desc()).limit(MAX_READ // len(verdicts))
                rows = [(details, digest) for details, digest in session.execute(query)]
                complete = complete and len(rows) < MAX_READ // len(verdicts)
                found += rows
            unknown = [digest for details, digest in found if digest and not all(_sizes(details))]
            sizes: dict[str, tuple[int, int]] = {}
            for begin in range(0, len(unknown), AT_ONCE):
                some = SampleRow.hash.in_(unknown[begin : begin + AT_ONCE])
                for digest, wide, high in session.execute(
                    select(SampleRow.hash, SampleRow.width, SampleRow.height).where(some)
                ):
                    sizes[digest] = wide, high
        return _counted(found, sizes, complete)


def _sizes(details: Mapping[str, Any]) -> Iterable[Any]:
    return [view.get("size") for view in details.get("views", ())] or [None]


def _counted(
    found: Sequence[tuple[Mapping[str, Any], str | None]], sizes: Mapping[str, tuple[int, int]], complete: bool
) -> Places:
    grids: dict[str, NDArray[np.int64]] = {}
    defects: dict[str, int] = {}
    without = 0
    for details, digest in found:
        lost = False
        views = details.get("views") or [{"view": "view", "defects": details.get("defects", ())}]
        for view in views:
            size = view.get("size") or sizes.get(digest or "")
            boxes = [defect["box"] for defect in view.get("defects") or () if defect.get("box")]
            if boxes and size is None:
                lost = True
            elif boxes and size is not None:
                name = str(view.get("view", "view"))
                grid = grids.setdefault(name, np.zeros((CELLS, CELLS), np.int64))
                defects[name] = defects.get(name, 0) + len(boxes)
                for box in boxes:
                    _count(grid, box, size)
        without += lost
    views_found = tuple(ViewPlaces(name, defects[name], grid) for name, grid in sorted(grids.items()))
    return Places(views_found, len(found), complete, without)


def _count(grid: NDArray[np.int64], box: Sequence[float], size: tuple[int, int]) -> None:
    """Count a defect in each cell that its box touches."""
    spans = []
    for begin, length, side in zip(box[:2], box[2:4], size, strict=True):
        first = min(max(int(begin / side * CELLS), 0), CELLS - 1)
        last = min(max(int(np.ceil((begin + length) / side * CELLS)), first + 1), CELLS)
        spans.append(slice(first, last))
    grid[spans[1], spans[0]] += 1
