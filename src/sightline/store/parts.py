"""The pictures of a part of the line, and good ones to hold beside them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from sightline.store.annotations import GOOD, current_ids
from sightline.store.database import Database
from sightline.store.samples import SAMPLE_FIELDS, StoredSample
from sightline.store.tables.labels import AnnotationRow, EntryRow, SampleRow
from sightline.store.versions import find_version

MAX_GOOD = 200  # labelled good, among which the nearest is looked for


class Parts:
    """The parts of a store by their pictures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pictures(self, product: str, names: Sequence[str], hash: str | None) -> tuple[StoredSample, ...]:
        """The samples of a product that have one of these names, or show this image; deleted ones left out."""
        row = SampleRow
        mine = row.name.in_(names) if hash is None else row.name.in_(names) | (row.hash == hash)
        query = select(row).where(row.product == product, mine, row.deleted_at.is_(None)).order_by(row.id)
        with self._database.reading() as session:
            return tuple(_stored(found) for found in session.scalars(query))

    def numbers(self, name: str) -> dict[str, int]:
        """By hash of its image: the number of a sample of a version, or of a product as it is now, the first of
        several.

        Raises NotFoundError.
        """
        query = select(SampleRow.hash, SampleRow.id).order_by(SampleRow.id.desc())
        with self._database.reading() as session:
            live = session.scalar(select(SampleRow.id).where(SampleRow.product == name).limit(1))
            if live is not None:
                query = query.where(SampleRow.product == name, SampleRow.deleted_at.is_(None))
            else:
                mine = EntryRow.version_id == find_version(session, name).id
                query = query.join(EntryRow, EntryRow.sample_id == SampleRow.id).where(mine)
            return {row.hash: row.id for row in session.execute(query)}

    def good_like(self, product: str, like: StoredSample | None) -> StoredSample | None:
        """Of the product's newest samples that people call good, one of the same view and station, nearest in time.

        None where there is none but `like` itself.
        """
        row, label = SampleRow, AnnotationRow
        newest = current_ids().subquery()
        query = (
            select(row)
            .join(newest, newest.c.sample_id == row.id)
            .join(label, label.id == newest.c.annotation_id)
            .where(row.product == product, row.deleted_at.is_(None), label.label == GOOD)
            .order_by(row.id.desc())
            .limit(MAX_GOOD)
        )
        with self._database.reading() as session:
            found = [_stored(one) for one in session.scalars(query)]
        others = [one for one in found if like is None or one.hash != like.hash]

        def distance(one: StoredSample) -> tuple[bool, bool, float]:
            if like is None:
                return False, False, 0.0
            apart = abs(((one.triggered or one.created) - (like.triggered or like.created)).total_seconds())
            return one.details.get("view") != like.details.get("view"), one.station != like.station, apart

        return min(others, key=distance, default=None)


def _stored(row: SampleRow) -> StoredSample:
    return StoredSample(**{name: getattr(row, name) for name in SAMPLE_FIELDS})
