"""Samples handed out of the store, as `core.sample.Sample`, with local files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from sightline.core.errors import StoreError
from sightline.core.sample import TEST, Sample
from sightline.store.annotations import Annotation, annotation_of
from sightline.store.database import Database
from sightline.store.freezing import frozen_among
from sightline.store.images import Images
from sightline.store.tables.labels import AnnotationRow
from sightline.store.tables.samples import SampleRow
from sightline.store.tables.versions import EntryRow
from sightline.store.versions import AT_ONCE, find_version, live_samples

MASK = "image/png"


@dataclass(frozen=True, slots=True)
class _Place:
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
                (row, None if said is None else annotation_of(said), place)
                for row, said, place in _page(session, name, live, last)
            ]
            frozen = frozen_among(session, [row.hash for row, _, _ in page])
        for row, word, place in page:
            part = TEST if row.hash in frozen else place.split
            if split is None or part == split:
                yield _sample(images, row, word, _Place(part, place.group, place.lot), folder)
        if len(page) < AT_ONCE:
            return
        last = page[-1][0].id


def _page(
    session: Session, name: str, live: bool, last: int
) -> Iterator[tuple[SampleRow, AnnotationRow | None, _Place]]:
    """The next rows after the sample with id `last`."""
    if live:
        for row, said in session.execute(live_samples(name).where(SampleRow.id > last).limit(AT_ONCE)):
            yield row, said, _Place(row.split, row.group, row.lot)
        return
    query = _of_version(find_version(session, name).id).where(SampleRow.id > last).limit(AT_ONCE)
    for row, said, entry in session.execute(query):
        yield row, said, _Place(entry.split, entry.group, entry.lot)


def _of_version(version: int) -> Select[SampleRow, AnnotationRow, EntryRow]:
    return (
        select(SampleRow, AnnotationRow, EntryRow)
        .join(EntryRow, EntryRow.sample_id == SampleRow.id)
        .outerjoin(AnnotationRow, AnnotationRow.id == EntryRow.annotation_id)
        .where(EntryRow.version_id == version)
        .order_by(SampleRow.id)
    )


def _sample(images: Images, row: SampleRow, word: Annotation | None, place: _Place, folder: Path | None) -> Sample:
    path = images.path(row.hash, row.media_type)
    if folder is not None:
        path = _named(path, folder, row.name)
    mask = None if word is None or word.mask_hash is None else images.path(word.mask_hash, MASK)
    return Sample(
        path=path,
        defective=None if word is None else word.defective,
        types=() if word is None else word.types,
        mask=mask,
        grade=None if word is None else word.grade,
        group=place.group,
        lot=place.lot,
        split=place.split,
        metadata=MappingProxyType({key: str(value) for key, value in row.details.items()}),
        regions=() if word is None else word.regions,
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
