"""Samples into the store: image first, row after, a batch at a time; a second run goes on where the first stopped."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from sightline.core.errors import InputError
from sightline.core.progress import Progress
from sightline.core.sample import Sample, readable_name
from sightline.imaging.decoding import kind_of
from sightline.imaging.image import read_bytes
from sightline.imaging.mask import read_mask
from sightline.store.annotations import (
    DEFECTIVE,
    GOOD,
    UNKNOWN,
    Annotation,
    annotation_values,
    region_from_json,
    region_to_json,
)
from sightline.store.database import Database
from sightline.store.images import Images, StoredImage, image_key
from sightline.store.retention import REASON
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow, SampleRow

BATCH, BATCHES_AHEAD, THREADS = 64, 2, 4
MAX_ERRORS = 100
MASK = "image/png"
ONCE = f"once {REASON}"


@dataclass(frozen=True, slots=True)
class Ingested:
    """How many samples were added, were there already, and were refused; of those, the first errors in words.

    `hidden` of those that were there are deleted, by a person or a rollback, and stay so.
    """

    added: int = 0
    present: int = 0
    refused: int = 0
    errors: tuple[str, ...] = field(default=(), repr=False)
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class _Ready:
    """A sample whose image is kept; `image` is None where its row is there already."""

    sample: Sample
    name: str
    image: StoredImage | None
    mask_hash: str | None = None
    hidden: bool = False


class Ingest:
    """One run: `product` is what the samples show, names are relative to `root` where the images lie in it."""

    def __init__(self, database: Database, images: Images, product: str, root: Path | None, author: str) -> None:
        if not product.strip():
            raise InputError("the samples need a product. Name it")
        if re.search(r"@[0-9]+$", product):
            raise InputError(f"'{product}' is the name of a version. Name the product without '@' and a number")
        self._database, self._images = database, images
        self._product, self._author = product, author
        self._root = None if root is None else root.absolute()
        self._insert = (sqlite if database.is_sqlite else postgresql).insert

    def run(self, samples: Iterable[Sample], progress: Progress) -> Ingested:
        """Add the samples. What cannot be read is refused by name, and the run goes on. Raises StoreError."""
        total = len(samples) if isinstance(samples, Sized) else 0
        done = Ingested()
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest")
        try:
            for batch in _ahead(pool, self._prepare, iter(samples)):
                done = self._settle(done, batch)
                count = done.added + done.present + done.refused
                progress("adding", count, max(total, count))
        finally:
            pool.shutdown(cancel_futures=True)
        return done

    def _settle(self, done: Ingested, batch: list[Future[_Ready]]) -> Ingested:
        """Commit one batch, and count it."""
        ready, errors = [], list(done.errors)
        refused = done.refused
        for future in batch:
            try:
                ready.append(future.result())
            except InputError as error:
                refused += 1
                errors = [*errors, str(error)][:MAX_ERRORS]
        new = [item for item in ready if item.image is not None]
        added = self._commit(new) if new else 0
        hidden = done.hidden + sum(item.hidden for item in ready)
        return Ingested(done.added + added, done.present + len(ready) - added, refused, tuple(errors), hidden)

    def _prepare(self, sample: Sample) -> _Ready:
        """Keep the image and the mask; all the heavy work, without the interpreter's lock."""
        name = self._name(sample.path)
        _check_marks(sample)
        try:
            with sample.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{sample.path}: cannot be read ({error.strerror}). Check the path") from error
        whole, hidden = self._look(name, digest)
        if whole:
            return _Ready(sample, name, None, hidden=hidden)
        mask = None if sample.mask is None or not sample.defective else self._images.put(*_as_png(sample.mask)).hash
        return _Ready(sample, name, self._images.put(sample.path), mask, hidden)

    def _look(self, name: str, digest: str) -> tuple[bool, bool]:
        """Whether row, image and mask are there (a row whose image or mask was lost gets it back), and hidden."""
        mask = AnnotationRow.mask_hash
        query = (
            select(SampleRow.media_type, mask, SampleRow.deleted_at)
            .outerjoin(AnnotationRow, (AnnotationRow.sample_id == SampleRow.id) & mask.is_not(None))
            .where(SampleRow.product == self._product, SampleRow.name == name, SampleRow.hash == digest)
        )
        with self._database.reading() as session:
            rows = session.execute(query).all()
        keys = {image_key(digest, row.media_type) for row in rows}
        keys |= {image_key(row.mask_hash, MASK) for row in rows if row.mask_hash}
        whole = bool(keys) and all(self._images.blobs.holds(key) for key in keys)
        return whole, any(row.deleted_at is not None for row in rows)

    def _name(self, path: Path) -> str:
        full = path.absolute()
        if self._root is not None and full.is_relative_to(self._root):
            return readable_name(full.relative_to(self._root).as_posix())
        return readable_name(path.name)

    def _commit(self, ready: list[_Ready]) -> int:
        # In one order for all writers: two that lock the same rows in different order would wait for each other.
        ready = sorted(ready, key=lambda item: (item.name, item.image.hash if item.image else ""))
        values = [self._sample_values(item) for item in ready]
        statement = self._insert(SampleRow.__table__).on_conflict_do_nothing(index_elements=["product", "name", "hash"])
        keys = SampleRow.__table__.c
        with self._database.writing() as session:
            connection = session.connection()
            rows = connection.execute(statement.returning(keys.id, keys.name, keys.hash), values).all()
            ids = {(name, digest): number for number, name, digest in rows}
            self._annotate(connection, ready, ids)
        return len(rows)

    def _annotate(self, connection: Connection, ready: list[_Ready], ids: dict[tuple[str, str], int]) -> None:
        annotations = []
        for item in ready:
            number = ids.pop((item.name, item.image.hash), None) if item.image else None
            annotation = None if number is None else _annotation(item, self._author)
            if number is not None and annotation is not None:
                annotations.append(annotation_values(number, annotation))
        if annotations:
            connection.execute(insert(AnnotationRow), annotations)

    def _sample_values(self, item: _Ready) -> dict[str, Any]:
        sample, image = item.sample, item.image
        assert image is not None
        given = sample.metadata
        return {
            "product": self._product,
            "name": item.name,
            "hash": image.hash,
            "media_type": image.media_type,
            "bytes": image.bytes,
            "width": image.width,
            "height": image.height,
            "split": sample.split,
            "group": sample.group,
            "lot": sample.lot,
            "serial": given.get("serial"),
            "station": given.get("station"),
            "line": given.get("line"),
            "exposure_us": _number(given.get("exposure_us")),
            "gain_db": _number(given.get("gain_db")),
            # A sample that came from a station and is added again by a person is no longer the station's to remove.
            "details": {ONCE if name == REASON else name: text for name, text in given.items()},
            "created": now(),
        }


def _ahead(
    pool: ThreadPoolExecutor, prepare: Callable[[Sample], _Ready], samples: Iterator[Sample]
) -> Iterator[list[Future[_Ready]]]:
    """Batches in order, while the next ones are worked on: the disk never waits for the database."""
    waiting: deque[list[Future[_Ready]]] = deque()
    while batch := [pool.submit(prepare, sample) for sample in islice(samples, BATCH)]:
        waiting.append(batch)
        if len(waiting) > BATCHES_AHEAD:
            yield waiting.popleft()
    yield from waiting


def _check_marks(sample: Sample) -> None:
    """What is kept is never changed, so marks that could not be read again must not go in."""
    for region in () if sample.defective is False else sample.regions:
        try:
            region_from_json(region_to_json(region))
        except InputError as error:
            raise InputError(f"{sample.path}: {error}. Draw the mark again, or take it out") from error


def _annotation(item: _Ready, author: str) -> Annotation | None:
    sample = item.sample
    if sample.defective is None and not sample.types and sample.grade is None:
        return None
    label = UNKNOWN if sample.defective is None else DEFECTIVE if sample.defective else GOOD
    marked = label != GOOD
    return Annotation(
        label=label,
        author=author,
        types=sample.types if marked else (),
        regions=sample.regions if marked else (),
        mask_hash=item.mask_hash,
        grade=sample.grade,
    )


def _as_png(path: Path) -> tuple[Path | bytes, str]:
    """Masks have one kind, so that their hash alone finds them."""
    data = read_bytes(path)
    if kind_of(data[:64]) == "image/png":
        return path, str(path)
    return cv2.imencode(".png", read_mask(path).astype("uint8") * 255)[1].tobytes(), str(path)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
