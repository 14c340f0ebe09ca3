"""The samples that are there now: which products, moved between splits, deleted and brought back."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from sightline.core.errors import InputError
from sightline.core.sample import TEST, TRAIN
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.freezing import frozen_among
from sightline.store.tables.base import now
from sightline.store.tables.samples import SampleRow

SPLITS = (TRAIN, TEST, None)


class Catalogue:
    """The samples of a store, by the ids of their rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def products(self) -> dict[str, int]:
        """Number of samples by product, deleted ones left out."""
        present = func.sum(case((SampleRow.deleted_at.is_(None), 1), else_=0))
        query = select(SampleRow.product, present).group_by(SampleRow.product).order_by(SampleRow.product)
        with self._database.reading() as session:
            return {product: int(count) for product, count in session.execute(query)}

    def numbers(self, product: str, hash: str) -> list[int]:
        """Ids of the samples of a product that show an image, deleted ones left out."""
        row = SampleRow
        query = select(row.id).where(row.hash == hash, row.product == product, row.deleted_at.is_(None))
        with self._database.reading() as session:
            return list(session.scalars(query.order_by(row.id)))

    def sides(self, product: str) -> dict[tuple[str, str], str]:
        """The split of each group, and of each lot of samples without a group, that lies in one part alone.

        Keys are ("group" or "lot", its name).
        """
        row = SampleRow
        query = select(row.group, row.lot, row.split).where(row.product == product, row.split.is_not(None)).distinct()
        found: dict[tuple[str, str], set[str]] = {}
        with self._database.reading() as session:
            for group, lot, split in session.execute(query):
                key = ("lot", lot) if group is None else ("group", group)
                found.setdefault((key[0], key[1] or ""), set()).add(str(split))
        found.pop(("lot", ""), None)  # neither has a name
        return {key: splits.pop() for key, splits in found.items() if len(splits) == 1}

    def assign(self, sample_ids: Collection[int], split: str | None, author: str) -> None:
        """Put samples into train, test or neither. Raises InputError for a frozen test image that is to leave."""
        if split not in SPLITS:
            raise InputError(f"'{split}' is no split. Use train, test, or none")
        with self._database.writing() as session:
            rows = _rows(session, sample_ids)
            if split != TEST:
                frozen = frozen_among(session, [row.hash for row in rows])
                for row in rows:
                    if row.hash in frozen:
                        raise InputError(f"{row.name}: is in a frozen test part, which no training may see. Leave it")
            _change(session, rows, {"split": split})
            audit(session, author, "assign", f"{len(rows)} samples", split=split, ids=[row.id for row in rows])

    def group(self, sample_ids: Collection[int], name: str, author: str) -> None:
        """Keep samples together from now on: none of them is split from the others."""
        with self._database.writing() as session:
            rows = _rows(session, sample_ids)
            _change(session, rows, {"group": name})
            audit(session, author, "group", f"{len(rows)} samples", group=name, ids=[row.id for row in rows])

    def delete(self, sample_ids: Collection[int], author: str) -> None:
        """Hide samples from everything but the versions that hold them. Raises InputError for an id that is none."""
        self._mark(sample_ids, author, deleted=True)

    def undelete(self, sample_ids: Collection[int], author: str) -> None:
        """Bring deleted samples back."""
        self._mark(sample_ids, author, deleted=False)

    def _mark(self, sample_ids: Collection[int], author: str, deleted: bool) -> None:
        with self._database.writing() as session:
            rows = _rows(session, sample_ids)
            _change(session, rows, {"deleted_at": now() if deleted else None})
            action = "delete" if deleted else "undelete"
            audit(session, author, action, f"{len(rows)} samples", ids=[row.id for row in rows])


def _rows(session: Session, sample_ids: Collection[int]) -> list[SampleRow]:
    rows = []
    for number in sample_ids:
        row = session.get(SampleRow, number)
        if row is None:
            raise InputError(f"there is no sample {number}. Look it up again")
        rows.append(row)
    return rows


def _change(session: Session, rows: list[SampleRow], values: dict[str, object]) -> None:
    if rows:
        session.execute(update(SampleRow), [{"id": row.id, **values} for row in rows])
