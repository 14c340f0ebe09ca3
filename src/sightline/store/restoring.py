"""A version brought back: the samples of today become those of that day, and nothing is lost."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from sightline.store.annotations import RESTORED, UNKNOWN, current_ids
from sightline.store.audit import note as audit
from sightline.store.snapshot import label_content
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow, EntryRow, SampleRow, VersionRow

COPIED = ("label", "types", "regions", "mask_hash", "grade", "suggested_by")  # no outcome: nobody answered again


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
