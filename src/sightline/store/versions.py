"""Dataset versions: taken, compared, brought back; and the test parts that no training may read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.orm import Session, aliased

from sightline.core.errors import InputError, NotFoundError, warn_caller
from sightline.core.sample import TEST
from sightline.store.annotations import RESTORED, UNKNOWN, current_ids
from sightline.store.audit import note as audit
from sightline.store.database import Database, StoreWarning
from sightline.store.snapshot import Diff, Version, entry_digest, label_content, version_hash, version_of
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow, EntryRow, SampleRow, VersionRow

AT_ONCE = 1000  # rows held in memory at a time
LOCK = 0x51D4711F  # of PostgreSQL: any number that no other program is likely to take
LABEL: tuple[Any, ...] = (
    AnnotationRow.label,
    AnnotationRow.types,
    AnnotationRow.regions,
    AnnotationRow.mask_hash,
    AnnotationRow.grade,
)
# What a digest is over, and what an entry keeps: without the rest of the rows, which takes as long again to read.
COLUMNS: tuple[Any, ...] = (
    SampleRow.id.label("sample_id"),
    SampleRow.name,
    SampleRow.hash,
    SampleRow.split,
    SampleRow.group,
    SampleRow.lot,
    AnnotationRow.id.label("annotation_id"),
    *LABEL,
)
HASHES_AT_ONCE = 500  # hashes in one query
COPIED = ("label", "types", "regions", "mask_hash", "grade", "suggested_by")  # no outcome: nobody answered again


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
            return_to_test(session, product)
        # Read without the lock of a writer: a line may be recording into the same file.
        with self._database.reading() as session:
            entries = _entries(session, product)
        if not entries:
            raise InputError(f"{product}: there are no samples. Add some with: sightline store add FOLDER")
        if frozen and not any(entry["split"] == TEST for entry in entries):
            raise InputError(f"{product}: there is no test part to freeze. Give samples the split test first")
        row = VersionRow(
            product=product,
            hash=version_hash(product, frozen, (entry["digest"] for entry in entries)),
            samples=len(entries),
            frozen=frozen,
            note=note,
            author=author,
            created=now(),
        )
        with self._database.writing() as session:
            return _publish(session, row, entries)

    def list(self, product: str | None = None) -> tuple[Version, ...]:
        """All versions, of one product or of all, in order."""
        query = select(VersionRow).order_by(VersionRow.product, VersionRow.number)
        with self._database.reading() as session:
            rows = session.scalars(query if product is None else query.where(VersionRow.product == product))
            return tuple(version_of(row) for row in rows)

    def page(self, product: str | None = None, before: int | None = None, limit: int = 50) -> tuple[Version, ...]:
        """The newest versions, of one product or of all; those older than the id `before`."""
        query = select(VersionRow).order_by(VersionRow.id.desc()).limit(limit)
        if product is not None:
            query = query.where(VersionRow.product == product)
        if before is not None:
            query = query.where(VersionRow.id < before)
        with self._database.reading() as session:
            return tuple(version_of(row) for row in session.scalars(query))

    def find(self, name: str) -> Version:
        """By name (cookies@3), by product (its newest), or by the first digits of its hash. Raises InputError."""
        with self._database.reading() as session:
            return version_of(find_version(session, name))

    def diff(self, old: str, new: str) -> Diff:
        """What changed from one version to another."""
        with self._database.reading() as session:
            return _diff(session, find_version(session, old), find_version(session, new))

    def restore(self, name: str, author: str = "") -> Version:
        """Make the product's samples, labels and split what they were in a version; returns that version.

        What is there now is kept as a version first, where none holds it yet. Nothing is deleted: newer samples are
        hidden, labels are given again.
        """
        version = self.find(name)
        with self._database.reading() as session:
            anything = session.scalar(live_samples(version.product).with_only_columns(SampleRow.id).limit(1))
        if anything is not None and not self._is_in_a_version(version.product):
            self.snapshot(version.product, author, f"before {version.name} was restored")
        with self._database.writing() as session:
            restore(session, find_version(session, version.name), author)
        return version

    def _is_in_a_version(self, product: str) -> bool:
        """Whether a version, frozen or not, holds the product as it is now."""
        with self._database.reading() as session:
            digests = [entry["digest"] for entry in _entries(session, product)]
            hashes = [version_hash(product, frozen, digests) for frozen in (False, True)]
            query = select(VersionRow.id).where(VersionRow.product == product, VersionRow.hash.in_(hashes))
            return session.scalar(query.limit(1)) is not None


def find_version(session: Session, name: str) -> VersionRow:
    """As `Versions.find`, in an open transaction."""
    product, _, number = name.rpartition("@")
    query = select(VersionRow).order_by(VersionRow.number.desc())
    if product and number.isascii() and number.isdigit():
        row = session.scalar(query.where(VersionRow.product == product, VersionRow.number == int(number)))
    else:
        row = session.scalar(query.where(VersionRow.product == name).limit(1))
        if row is None and len(name) >= 8:
            row = session.scalar(query.where(VersionRow.hash.startswith(name, autoescape=True)).limit(1))
    if row is None:
        names = [f"{p}@{n}" for p, n in session.execute(select(VersionRow.product, VersionRow.number).limit(10))]
        raise NotFoundError(
            f"there is no version '{name}'. "
            + (f"There are: {', '.join(names)}" if names else "Create one with: sightline store snapshot PRODUCT")
        )
    return row


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


def _entries(session: Session, product: str) -> list[dict[str, Any]]:
    """The product as it is now, in the columns of a version's entries."""
    live = live_samples(product).with_only_columns(*COLUMNS).execution_options(yield_per=AT_ONCE)
    return [
        {
            "sample_id": row.sample_id,
            "annotation_id": row.annotation_id,
            "split": row.split,
            "group": row.group,
            "lot": row.lot,
            "digest": entry_digest(row),
        }
        for row in session.execute(live)
    ]


def _publish(session: Session, row: VersionRow, entries: list[dict[str, Any]]) -> Version:
    """Give a version its number, and keep it; one of the same content is given back instead."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(LOCK)))  # one number after the other
    versions = select(VersionRow).where(VersionRow.product == row.product)
    found = session.scalar(versions.where(VersionRow.hash == row.hash))
    if found is not None:
        return version_of(found)
    last = session.scalar(versions.order_by(VersionRow.number.desc()).limit(1))
    row.number, row.parent_id = (1, None) if last is None else (last.number + 1, last.id)
    session.add(row)
    session.flush()
    session.connection().execute(insert(EntryRow), [{"version_id": row.id, **entry} for entry in entries])
    told = {"hash": row.hash, "samples": row.samples}
    audit(session, row.author, "snapshot", f"version {row.product}@{row.number}", row.note, **told)
    return version_of(row)


def _diff(session: Session, old: VersionRow, new: VersionRow) -> Diff:
    before, after = _labelled(session, old.id), _labelled(session, new.id)
    both = [number for number in before if number in after]
    names: dict[int, str] = {number: before[number][0] for number in before} | {n: after[n][0] for n in after}

    def differing(index: int) -> tuple[str, ...]:
        return tuple(sorted(names[number] for number in both if before[number][index] != after[number][index]))

    told = [number for number in both if before[number][1:4] != after[number][1:4]]
    frozen = [f"{row.product}@{row.number}" for row in (old, new) if row.frozen]
    return Diff(
        added=tuple(sorted(names[number] for number in after if number not in before)),
        removed=tuple(sorted(names[number] for number in before if number not in after)),
        relabelled=differing(1),
        moved=differing(2),
        regrouped=differing(3),
        changed=tuple(sorted(names[n] for n in both if n not in told and before[n][4] != after[n][4])),
        frozen=tuple(frozen) if old.frozen != new.frozen else (),
    )


def _labelled(session: Session, version: int) -> dict[int, tuple[str, Any, str | None, Any, str]]:
    """By sample: its name, the content of its label, its split, its group and lot, and the digest over all."""
    entry = EntryRow
    query = (
        select(entry.sample_id, SampleRow.name, entry.split, entry.group, entry.lot, entry.digest, *LABEL)
        .join(SampleRow, SampleRow.id == EntryRow.sample_id)
        .outerjoin(AnnotationRow, AnnotationRow.id == EntryRow.annotation_id)
        .where(EntryRow.version_id == version)
    )
    return {
        row.sample_id: (row.name, label_content(row), row.split, (row.group, row.lot), row.digest)
        for row in session.execute(query)
    }


def frozen_hashes(session: Session) -> set[str]:
    """Hashes of all images that are in the test part of a frozen version."""
    return set(session.scalars(_query()))


def frozen_among(session: Session, hashes: Collection[str]) -> set[str]:
    """Those of some hashes that are in the test part of a frozen version."""
    wanted, found = sorted(set(hashes)), set()
    for start in range(0, len(wanted), HASHES_AT_ONCE):
        found |= set(session.scalars(_query().where(SampleRow.hash.in_(wanted[start : start + HASHES_AT_ONCE]))))
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
        warn_caller(
            f"{product}: {len(strays)} samples show images of a frozen test part and were put back into it",
            StoreWarning,
        )


def _query() -> Select[str]:
    return (
        select(SampleRow.hash)
        .join(EntryRow, EntryRow.sample_id == SampleRow.id)
        .join(VersionRow, VersionRow.id == EntryRow.version_id)
        .where(VersionRow.frozen, EntryRow.split == TEST)
    )


def restore(session: Session, version: VersionRow, author: str) -> None:
    """Samples of the version get back their split, group, lot and label; newer samples are hidden."""
    of_version = select(EntryRow).where(EntryRow.version_id == version.id)
    entries = {entry.sample_id: entry for entry in session.scalars(of_version)}
    row = SampleRow
    columns = row.id, row.split, row.group, row.lot, row.deleted_at
    present = session.execute(select(*columns).where(row.product == version.product)).all()
    newer = [sample.id for sample in present if sample.id not in entries and sample.deleted_at is None]
    hidden = [{"id": number, "deleted_at": now()} for number in newer]
    # Only what differs: other writers wait for as long as this takes.
    changed = [_values(entries[sample.id]) for sample in present if _differs(sample, entries.get(sample.id))]
    for values in (hidden, changed):
        if values:
            session.execute(update(SampleRow), values)
    relabelled = _relabel(session, entries, f"{version.product}@{version.number}", author)
    audit(
        session,
        author,
        "restore",
        f"version {version.product}@{version.number}",
        hidden=len(hidden),
        relabelled=relabelled,
    )


def _differs(sample: Any, entry: EntryRow | None) -> bool:
    if entry is None:
        return False
    then = entry.split, entry.group, entry.lot
    return sample.deleted_at is not None or (sample.split, sample.group, sample.lot) != then


def _values(entry: EntryRow) -> dict[str, Any]:
    return {
        "id": entry.sample_id,
        "split": entry.split,
        "group": entry.group,
        "lot": entry.lot,
        "deleted_at": None,
    }


def _relabel(session: Session, entries: dict[int, EntryRow], name: str, author: str) -> int:
    """Give the old labels again where they differ from today's; returns how many."""
    newest = {row.sample_id: row.annotation_id for row in session.execute(current_ids())}
    given = 0
    for number, entry in entries.items():
        if entry.annotation_id == newest.get(number):
            continue
        today = session.get(AnnotationRow, newest[number]) if number in newest else None
        then = session.get(AnnotationRow, entry.annotation_id) if entry.annotation_id is not None else None
        if label_content(today) == label_content(then):
            continue
        values = {"label": UNKNOWN} if then is None else {column: getattr(then, column) for column in COPIED}
        session.add(
            AnnotationRow(
                sample_id=number, author=author or "restore", created=now(), note=f"{RESTORED}{name}", **values
            )
        )
        given += 1
    session.flush()
    return given
