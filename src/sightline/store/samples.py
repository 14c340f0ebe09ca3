"""The samples that are there now: by product, moved between splits, deleted, brought back, and given out with files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import Select, case, func, select, update
from sqlalchemy.orm import Session

from sightline.core.errors import InputError, NotFoundError, StoreError
from sightline.core.sample import TEST, TRAIN, Sample
from sightline.store.annotations import Annotation, annotation_of, current_ids
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.images import Images
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow, EntryRow, SampleRow
from sightline.store.versions import AT_ONCE, find_version, frozen_among, live_samples

SPLITS = (TRAIN, TEST, None)
MASK = "image/png"


@dataclass(frozen=True, slots=True)
class StoredSample:
    """One sample's row: where its image is from, and what part of a training it is."""

    id: int
    product: str
    name: str
    hash: str
    media_type: str
    bytes: int
    width: int
    height: int
    split: str | None
    group: str | None
    lot: str | None
    serial: str | None
    station: str | None
    line: str | None
    recipe_hash: str | None
    triggered: datetime | None
    details: Mapping[str, Any]
    created: datetime
    deleted_at: datetime | None


SAMPLE_FIELDS = tuple(StoredSample.__dataclass_fields__)


class Catalogue:
    """The samples of a store, by the ids of their rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, id: int) -> StoredSample:
        """One sample, a deleted one, too. Raises NotFoundError."""
        with self._database.reading() as session:
            return _stored(_rows(session, [id])[0])

    def page(
        self,
        product: str | None = None,
        *,
        version: str | None = None,
        lot: str | None = None,
        split: str | None = None,
        label: str | None = None,
        deleted: bool = False,
        after: int = 0,
        limit: int = 50,
    ) -> tuple[StoredSample, ...]:
        """Samples by id, those after one: of a product as it is now, or of a version. Raises NotFoundError.

        `label`: those whose annotation that counts has it.
        """
        query = select(SampleRow).where(SampleRow.id > after).order_by(SampleRow.id).limit(limit)
        with self._database.reading() as session:
            if version is not None:
                mine = EntryRow.version_id == find_version(session, version).id
                query = query.join(EntryRow, EntryRow.sample_id == SampleRow.id).where(mine)
            else:
                query = query.where(SampleRow.deleted_at.is_not(None) if deleted else SampleRow.deleted_at.is_(None))
            for column, value in ((SampleRow.product, product), (SampleRow.lot, lot), (SampleRow.split, split)):
                if value is not None:
                    query = query.where(column == value)
            if label is not None:
                newest = current_ids().subquery()
                query = query.join(newest, newest.c.sample_id == SampleRow.id)
                query = query.join(AnnotationRow, AnnotationRow.id == newest.c.annotation_id)
                query = query.where(AnnotationRow.label == label)
            return tuple(_stored(row) for row in session.scalars(query))

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

    def assign(self, sample_ids: Collection[int], split: str | None, author: str, reason: str = "") -> None:
        """Put samples into train, test or neither. Raises InputError for a frozen test image that is to leave."""
        if split not in SPLITS:
            raise InputError(f"'{split}' is not a split. Use train, test, or none")
        with self._database.writing() as session:
            rows = _rows(session, sample_ids)
            if split != TEST:
                frozen = frozen_among(session, [row.hash for row in rows])
                for row in rows:
                    if row.hash in frozen:
                        raise InputError(f"{row.name}: is in a frozen test part, which no training may see. Leave it")
            _change(session, rows, {"split": split})
            audit(session, author, "assign", f"{len(rows)} samples", reason, split=split, ids=[row.id for row in rows])

    def group(self, sample_ids: Collection[int], name: str, author: str, reason: str = "") -> None:
        """Keep samples together from now on: none of them is split from the others."""
        with self._database.writing() as session:
            rows = _rows(session, sample_ids)
            _change(session, rows, {"group": name})
            audit(session, author, "group", f"{len(rows)} samples", reason, group=name, ids=[row.id for row in rows])

    def delete(self, sample_ids: Collection[int], author: str, reason: str = "") -> None:
        """Hide samples from everything but the versions that hold them. Raises InputError for an id that is none."""
        self._mark(sample_ids, author, True, reason)

    def undelete(self, sample_ids: Collection[int], author: str, reason: str = "") -> None:
        """Bring deleted samples back."""
        self._mark(sample_ids, author, False, reason)

    def _mark(self, sample_ids: Collection[int], author: str, deleted: bool, reason: str) -> None:
        with self._database.writing() as session:
            rows = _rows(session, sample_ids)
            _change(session, rows, {"deleted_at": now() if deleted else None})
            action = "delete" if deleted else "undelete"
            audit(session, author, action, f"{len(rows)} samples", reason, ids=[row.id for row in rows])


def _rows(session: Session, sample_ids: Collection[int]) -> list[SampleRow]:
    rows = []
    for number in sample_ids:
        row = session.get(SampleRow, number)
        if row is None:
            raise NotFoundError(f"there is no sample {number}. Look it up again")
        rows.append(row)
    return rows


def _stored(row: SampleRow) -> StoredSample:
    return StoredSample(**{name: getattr(row, name) for name in SAMPLE_FIELDS})


def _change(session: Session, rows: list[SampleRow], values: dict[str, object]) -> None:
    if rows:
        session.execute(update(SampleRow), [{"id": row.id, **values} for row in rows])


@dataclass(frozen=True, slots=True)
class _Assignment:
    split: str | None
    group: str | None
    lot: str | None


def samples(
    database: Database,
    images: Images,
    name: str,
    live: bool,
    split: str | None,
    folder: Path | None,
) -> Iterator[Sample]:
    """The samples of a version, or with `live` of a product as it is now; only those of `split` where it is given.

    The one way for images from the store into a training: an image of a frozen test part has the split test here,
    whatever its row says. With `folder`, the files have their names of old below it.
    """
    last = 0
    while True:
        # Page by page: whoever takes the samples may take hours over them, and must not hold a transaction so long.
        with database.reading() as session:
            page = [
                (row, None if label is None else annotation_of(label), assigned)
                for row, label, assigned in _page(session, name, live, last)
            ]
            frozen = frozen_among(session, [row.hash for row, _, _ in page])
        for row, annotation, assigned in page:
            part = TEST if row.hash in frozen else assigned.split
            if split is None or part == split:
                yield _sample(images, row, annotation, _Assignment(part, assigned.group, assigned.lot), folder)
        if len(page) < AT_ONCE:
            return
        last = page[-1][0].id


def _page(
    session: Session, name: str, live: bool, last: int
) -> Iterator[tuple[SampleRow, AnnotationRow | None, _Assignment]]:
    """The next rows after the sample with id `last`."""
    if live:
        for row, label in session.execute(live_samples(name).where(SampleRow.id > last).limit(AT_ONCE)):
            yield row, label, _Assignment(row.split, row.group, row.lot)
        return
    query = _of_version(find_version(session, name).id).where(SampleRow.id > last).limit(AT_ONCE)
    for row, label, entry in session.execute(query):
        yield row, label, _Assignment(entry.split, entry.group, entry.lot)


def _of_version(version: int) -> Select[SampleRow, AnnotationRow, EntryRow]:
    return (
        select(SampleRow, AnnotationRow, EntryRow)
        .join(EntryRow, EntryRow.sample_id == SampleRow.id)
        .outerjoin(AnnotationRow, AnnotationRow.id == EntryRow.annotation_id)
        .where(EntryRow.version_id == version)
        .order_by(SampleRow.id)
    )


def _sample(
    images: Images, row: SampleRow, annotation: Annotation | None, assigned: _Assignment, folder: Path | None
) -> Sample:
    path = images.path(row.hash, row.media_type)
    if folder is not None:
        path = _named(path, folder, row.name)
    mask = None if annotation is None or annotation.mask_hash is None else images.path(annotation.mask_hash, MASK)
    return Sample(
        path=path,
        defective=None if annotation is None else annotation.defective,
        types=() if annotation is None else annotation.types,
        mask=mask,
        grade=None if annotation is None else annotation.grade,
        group=assigned.group,
        lot=assigned.lot,
        split=assigned.split,
        metadata=MappingProxyType({key: str(value) for key, value in row.details.items()}),
        regions=() if annotation is None else annotation.regions,
        name=row.name,
    )


def _named(path: Path, folder: Path, name: str) -> Path:
    """The file under its name of old: a hard link where that works, else a copy."""
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise StoreError(f"{name}: leads out of {folder}. Rename the sample")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if target.samefile(path) or target.read_bytes() == path.read_bytes():
            return target
        target = target.with_name(f"{target.stem}-{path.stem[:12]}{target.suffix}")  # two images of one name
    if not target.exists():
        try:
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)
    return target
