"""Test parts that no training may read: by the content of their images, for good."""

from __future__ import annotations

import warnings
from collections.abc import Collection

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from sightline.core.sample import TEST
from sightline.store.schema import StoreWarning
from sightline.store.tables.samples import SampleRow
from sightline.store.tables.versions import EntryRow, VersionRow

AT_ONCE = 500  # hashes in one query


def frozen_hashes(session: Session) -> set[str]:
    """Hashes of all images that are in the test part of a frozen version."""
    return set(session.scalars(_query()))


def frozen_among(session: Session, hashes: Collection[str]) -> set[str]:
    """Those of some hashes that are in the test part of a frozen version."""
    wanted, found = sorted(set(hashes)), set()
    for start in range(0, len(wanted), AT_ONCE):
        found |= set(session.scalars(_query().where(SampleRow.hash.in_(wanted[start : start + AT_ONCE]))))
    return found


def return_to_test(session: Session, product: str) -> None:
    """A frozen test image that was put elsewhere, or came in again under another name, belongs to the test part."""
    strays = session.scalars(
        select(SampleRow.id).where(
            SampleRow.product == product,
            SampleRow.split.is_distinct_from(TEST),
            SampleRow.deleted_at.is_(None),
            SampleRow.hash.in_(_query()),
        )
    ).all()
    if strays:
        session.execute(update(SampleRow), [{"id": number, "split": TEST} for number in strays])
        warnings.warn(
            f"{product}: {len(strays)} samples show images of a frozen test part and were put back into it",
            StoreWarning,
            stacklevel=4,
        )


def _query() -> Select[str]:
    return (
        select(SampleRow.hash)
        .join(EntryRow, EntryRow.sample_id == SampleRow.id)
        .join(VersionRow, VersionRow.id == EntryRow.version_id)
        .where(VersionRow.frozen, EntryRow.split == TEST)
    )
