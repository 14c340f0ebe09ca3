"""Dataset versions: taken, compared, brought back; and the test parts that no training may read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.orm import Session, aliased

from sightline.core.errors import InputError
from sightline.core.sample import TEST
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.schema import StoreWarning
from sightline.store.snapshot import Diff, Version, entry_digest, label_content, version_hash, version_of
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow
from sightline.store.tables.samples import SampleRow
from sightline.store.tables.versions import EntryRow, VersionRow

AT_ONCE = 1000  # rows held in memory at a time


class Versions:
    """The versions of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def snapshot(self, product: str, author: str = "", note: str = "", frozen: bool = False) -> Version:
        """Keep the product's samples, labels and split as they are now. The same content gives the version that is
        there already.

        With `frozen`, no training is ever given an image of its test part again, under whatever name or version.
        Raises InputError where there is nothing to keep, or no test part to freeze.
        """
        with self._database.writing() as session:
            return _snapshot(session, product, author, note, frozen)

    def list(self, product: str | None = None) -> tuple[Version, ...]:
        """All versions, of one product or of all, in order."""
        query = select(VersionRow).order_by(VersionRow.product, VersionRow.number)
        with self._database.reading() as session:
            rows = session.scalars(query if product is None else query.where(VersionRow.product == product))
            return tuple(version_of(row) for row in rows)

    def find(self, name: str) -> Version:
        """By name (cookies@3), by product (its newest), or by the first digits of its hash. Raises InputError."""
        with self._database.reading() as session:
            return version_of(find_version(session, name))

    def diff(self, old: str, new: str) -> Diff:
        """What changed from one version to another."""
        with self._database.reading() as session:
            return _diff(session, find_version(session, old).id, find_version(session, new).id)

    def restore(self, name: str, author: str = "") -> Version:
        """Make the product's samples, labels and split what they were in a version; returns that version.

        What is there now is kept as a version first. Nothing is deleted: newer samples are hidden, labels are given
        again.
        """
        from sightline.store.restoring import restore

        with self._database.writing() as session:
            row = find_version(session, name)
            if live_entries_exist(session, row.product):
                _snapshot(session, row.product, author, f"before {row.product}@{row.number} was restored", False)
            restore(session, row, author)
            return version_of(row)


def find_version(session: Session, name: str) -> VersionRow:
    """As `Versions.find`, in an open transaction."""
    product, _, number = name.rpartition("@")
    query = select(VersionRow).order_by(VersionRow.number.desc())
    if product and number.isdigit():
        row = session.scalar(query.where(VersionRow.product == product, VersionRow.number == int(number)))
    else:
        row = session.scalar(query.where(VersionRow.product == name).limit(1))
        if row is None and len(name) >= 8:
            row = session.scalar(query.where(VersionRow.hash.startswith(name, autoescape=True)).limit(1))
    if row is None:
        known = [f"{p}@{n}" for p, n in session.execute(select(VersionRow.product, VersionRow.number).limit(10))]
        raise InputError(
            f"there is no version '{name}'. "
            + (f"There are: {', '.join(known)}" if known else "Take one with: sightline store snapshot PRODUCT")
        )
    return row


def frozen_hashes(session: Session) -> set[str]:
    """Hashes of all images that are in the test part of a frozen version."""
    query = (
        select(SampleRow.hash)
        .join(EntryRow, EntryRow.sample_id == SampleRow.id)
        .join(VersionRow, VersionRow.id == EntryRow.version_id)
        .where(VersionRow.frozen, EntryRow.split == TEST)
    )
    return set(session.scalars(query))


def live_samples(product: str) -> Select[SampleRow, AnnotationRow]:
    """A query for the samples that are not deleted, each with the annotation that counts, or None."""
    word = aliased(AnnotationRow)
    newest = select(func.max(word.id)).where(word.sample_id == SampleRow.id, word.blind.is_(False))
    return (
        select(SampleRow, AnnotationRow)
        .outerjoin(AnnotationRow, AnnotationRow.id == newest.scalar_subquery())
        .where(SampleRow.product == product, SampleRow.deleted_at.is_(None))
        .order_by(SampleRow.id)
    )


def live_entries_exist(session: Session, product: str) -> bool:
    """Whether the product has samples that are not deleted."""
    query = select(SampleRow.id).where(SampleRow.product == product, SampleRow.deleted_at.is_(None)).limit(1)
    return session.scalar(query) is not None


def _snapshot(session: Session, product: str, author: str, note: str, frozen: bool) -> Version:
    _return_to_test(session, product)
    entries = list(_entries(session, product))
    if not entries:
        raise InputError(f"{product}: there are no samples. Add some with: sightline store add FOLDER")
    if frozen and not any(entry["split"] == TEST for entry in entries):
        raise InputError(f"{product}: there is no test part to freeze. Give samples the split test first")
    digest = version_hash(product, frozen, (entry["digest"] for entry in entries))
    found = session.scalar(select(VersionRow).where(VersionRow.product == product, VersionRow.hash == digest))
    if found is not None:
        return version_of(found)
    last = session.scalar(
        select(VersionRow).where(VersionRow.product == product).order_by(VersionRow.number.desc()).limit(1)
    )
    row = VersionRow(
        product=product,
        number=1 if last is None else last.number + 1,
        hash=digest,
        samples=len(entries),
        frozen=frozen,
        parent_id=None if last is None else last.id,
        note=note,
        author=author,
        created=now(),
    )
    session.add(row)
    session.flush()
    session.execute(insert(EntryRow), [{"version_id": row.id, **entry} for entry in entries])
    audit(session, author, "snapshot", f"version {product}@{row.number}", hash=digest, samples=len(entries))
    return version_of(row)


def _entries(session: Session, product: str) -> Iterator[dict[str, Any]]:
    rows = session.execute(live_samples(product), execution_options={"yield_per": AT_ONCE})
    for sample, annotation in rows:
        yield {
            "sample_id": sample.id,
            "annotation_id": None if annotation is None else annotation.id,
            "split": sample.split,
            "group": sample.group,
            "lot": sample.lot,
            "digest": entry_digest(sample, annotation, sample.split),
        }


def _return_to_test(session: Session, product: str) -> None:
    """A frozen test image that was put elsewhere, or came in again under another name, belongs to the test part."""
    frozen = frozen_hashes(session)
    strays = [
        sample_id
        for sample_id, digest in session.execute(
            select(SampleRow.id, SampleRow.hash).where(
                SampleRow.product == product, SampleRow.split.is_distinct_from(TEST), SampleRow.deleted_at.is_(None)
            )
        )
        if digest in frozen
    ]
    if strays:
        session.execute(update(SampleRow), [{"id": number, "split": TEST} for number in strays])
        warnings.warn(
            f"{product}: {len(strays)} samples show images of a frozen test part and were put back into it",
            StoreWarning,
            stacklevel=5,
        )


def _diff(session: Session, old: int, new: int) -> Diff:
    before, after = _labelled(session, old), _labelled(session, new)
    both = [number for number in before if number in after]
    names: dict[int, str] = {number: before[number][0] for number in before} | {n: after[n][0] for n in after}

    def differing(place: int) -> tuple[str, ...]:
        return tuple(sorted(names[number] for number in both if before[number][place] != after[number][place]))

    return Diff(
        added=tuple(sorted(names[number] for number in after if number not in before)),
        removed=tuple(sorted(names[number] for number in before if number not in after)),
        relabelled=differing(1),
        moved=differing(2),
        regrouped=differing(3),
    )


def _labelled(session: Session, version: int) -> dict[int, tuple[str, Any, str | None, Any]]:
    """By sample: its name, the content of its label, its split, its group and lot."""
    query = (
        select(EntryRow, SampleRow.name, AnnotationRow)
        .join(SampleRow, SampleRow.id == EntryRow.sample_id)
        .outerjoin(AnnotationRow, AnnotationRow.id == EntryRow.annotation_id)
        .where(EntryRow.version_id == version)
    )
    return {
        entry.sample_id: (name, label_content(annotation), entry.split, (entry.group, entry.lot))
        for entry, name, annotation in session.execute(query)
    }
