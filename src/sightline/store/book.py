"""The defect book: what each type is, what it is not, and from which size on it counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from sightline.core.errors import ConflictError, InputError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.labels import DefectTypeRow, SampleRow


@dataclass(frozen=True, kw_only=True)
class Page:
    """One type of a product. `examples`, `counter_examples` and `borderline` are ids of samples.

    Below `min_mm` a defect does not count, from `max_mm` on it always does; between them a person decides. Both are
    lengths of its longest side. `author` and `updated` are of the last change.
    """

    product: str
    name: str
    guideline: str = ""
    examples: tuple[int, ...] = ()
    counter_examples: tuple[int, ...] = ()
    borderline: tuple[int, ...] = ()
    min_mm: float | None = None
    max_mm: float | None = None
    author: str = ""
    updated: datetime | None = None

    @property
    def revision(self) -> str:
        """Changes with every change."""
        return "none" if self.updated is None else f"{self.updated.timestamp():.6f}"

    def counts(self, length_mm: float) -> bool | None:
        """Whether a defect of this length counts; None where a person decides."""
        if self.min_mm is not None and length_mm < self.min_mm:
            return False
        if self.max_mm is not None and length_mm >= self.max_mm:
            return True
        return None if self.min_mm is not None or self.max_mm is not None else True


SAMPLES = ("examples", "counter_examples", "borderline")
FIELDS = ("guideline", *SAMPLES, "min_mm", "max_mm")


class Book:
    """The defect book of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pages(self, product: str) -> tuple[Page, ...]:
        """All pages of a product, by name."""
        query = select(DefectTypeRow).where(DefectTypeRow.product == product).order_by(DefectTypeRow.name)
        with self._database.reading() as session:
            return tuple(_page(row) for row in session.scalars(query))

    def write(self, page: Page, author: str, revision: str | None = None) -> Page:
        """Write a page, a new one or over the old one, which the audit keeps.

        Raises InputError for limits in the wrong order, and for samples that are not there or of another product,
        ConflictError where the page there is no longer at `revision`.
        """
        if not (page.name.strip() and author.strip()):
            raise InputError("a page of the defect book needs the type's name and an author. Give both")
        if page.min_mm is not None and page.max_mm is not None and page.min_mm > page.max_mm:
            raise InputError(f"{page.name}: min_mm {page.min_mm:g} lies above max_mm {page.max_mm:g}. Swap them")
        if any(limit is not None and not 0 <= limit < math.inf for limit in (page.min_mm, page.max_mm)):
            raise InputError(f"{page.name}: a size limit is a number of mm, and not negative. Correct it")
        with self._database.writing() as session:
            for number in [number for name in SAMPLES for number in getattr(page, name)]:
                sample = session.get(SampleRow, number)
                if sample is None or sample.product != page.product:
                    raise InputError(f"{page.name}: there is no sample {number} of {page.product}. Look it up again")
            query = select(DefectTypeRow).where(DefectTypeRow.product == page.product, DefectTypeRow.name == page.name)
            row = session.scalars(query.with_for_update()).one_or_none()
            if revision is not None and revision != ("none" if row is None else _page(row).revision):
                who = (
                    "was removed" if row is None else f"was written by {row.author} at {row.updated:%Y-%m-%d %H:%M} UTC"
                )
                raise ConflictError(f"the page of {page.name} {who}. Read it again, then change it", stale=True)
            before = {} if row is None else {name: getattr(row, name) for name in FIELDS}
            row = row or DefectTypeRow(product=page.product, name=page.name)
            for name in FIELDS:
                value = getattr(page, name)
                setattr(row, name, list(value) if name in SAMPLES else value)
            row.author, row.updated = author, now()
            session.add(row)
            audit(session, author, "defect book", f"{page.product}: {page.name}", before=before)
            session.flush()
            return _page(row)


def _page(row: DefectTypeRow) -> Page:
    lists = {name: tuple(getattr(row, name)) for name in SAMPLES}
    return Page(
        product=row.product,
        name=row.name,
        guideline=row.guideline,
        min_mm=row.min_mm,
        max_mm=row.max_mm,
        author=row.author,
        updated=row.updated,
        **lists,
    )
