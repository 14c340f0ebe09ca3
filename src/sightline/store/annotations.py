"""What people say about samples. A word once given is kept; a newer one counts instead."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from sightline.core.errors import ConflictError, InputError, NotFoundError
from sightline.core.region import Polygons, Rectangle, Region, Runs, Shape
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow, SampleRow

GOOD, DEFECTIVE, UNKNOWN = LABELS = ("good", "defective", "unknown")
OUTCOMES = ("accepted", "corrected")
RESTORED = "restored from "  # how the note begins of a label that a rollback gave again
MAX_AT_ONCE = 500  # ids in one query: SQLite takes a limited number of them


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One person's word on one image. `regions` are in px; `mask_hash` names an image that is not zero on the defect.

    `suggested_by` is the hash of the recipe that suggested it, `outcome` whether that was accepted or corrected.
    A `blind` one is a second label given without seeing the first; it never counts as the sample's label.
    `id`, `sample_id` and `created` are the store's.
    """

    label: str
    author: str
    types: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    mask_hash: str | None = None
    grade: int | None = None
    note: str = ""
    suggested_by: str | None = None
    outcome: str | None = None
    blind: bool = False
    id: int | None = None
    sample_id: int | None = None
    created: datetime | None = None

    def __post_init__(self) -> None:
        """Raises InputError where it contradicts itself."""
        if self.label not in LABELS:
            raise InputError(f"'{self.label}' is not a label. Use one of: {', '.join(LABELS)}")
        if self.label == GOOD and (self.types or self.regions or self.mask_hash):
            raise InputError("a good part carries no defects. Remove the marks, or call it defective")
        if not self.author:
            raise InputError("an annotation needs an author. Say who gives it")
        if self.outcome is not None and (self.outcome not in OUTCOMES or self.suggested_by is None):
            raise InputError("an outcome is accepted or corrected, and needs the recipe that suggested it. Name it")

    @property
    def defective(self) -> bool | None:
        """As `core.sample.Sample` has it."""
        return {GOOD: False, DEFECTIVE: True}.get(self.label)


class Annotations:
    """The annotations of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, sample_id: int, annotation: Annotation, after: int | None = None) -> Annotation:
        """Keep an annotation; returns it with its id. Raises InputError for a sample that is deleted or not there.

        `after` is the id of the annotation that counted when this one was thought of, 0 for none: raises ConflictError
        where another one counts now, and says whose.
        """
        with self._database.writing() as session:
            sample = session.get(SampleRow, sample_id)
            if sample is None:
                raise NotFoundError(f"there is no sample {sample_id}. Look it up again")
            if sample.deleted_at is not None:
                raise InputError(f"sample {sample_id} ({sample.name}) was deleted. Bring it back before labelling it")
            if after is not None and not annotation.blind:
                session.get(SampleRow, sample_id, with_for_update=True)  # two who label it take turns
                last = dict(current_annotations(session, [sample_id])).get(sample_id)
                if last is not None and last.id != after:
                    raise ConflictError(
                        f"sample {sample_id} was labelled {last.label} by {last.author} in the meantime. Look at that "
                        "label first; yours was not kept",
                        stale=True,
                    )
            return annotation_of(write_annotation(session, sample_id, annotation))

    def take_back(self, sample_id: int, id: int, author: str, why: str = "") -> None:
        """Have an own annotation of a sample count no longer; it stays in the history.

        Raises NotFoundError where there is none of that id, ConflictError where it is another person's.
        """
        with self._database.writing() as session:
            session.get(SampleRow, sample_id, with_for_update=True)  # two who label it take turns
            row = session.get(AnnotationRow, id)
            if row is None or row.sample_id != sample_id:
                raise NotFoundError(f"sample {sample_id} has no annotation {id}. Look it up again")
            if row.author != author:
                raise ConflictError(
                    f"annotation {id} was made by {row.author}. You can take back only your own: label again instead"
                )
            take_back(session, id, author, why or f"annotation {id} was taken back")

    def current(self, sample_ids: Collection[int]) -> dict[int, Annotation]:
        """By sample: the annotation that counts, the newest that is not blind. Samples without one are left out."""
        with self._database.reading() as session:
            return dict(current_annotations(session, sample_ids))

    def history(self, sample_id: int) -> tuple[Annotation, ...]:
        """All annotations of one sample, the oldest first, blind ones included."""
        with self._database.reading() as session:
            query = select(AnnotationRow).where(AnnotationRow.sample_id == sample_id).order_by(AnnotationRow.id)
            return tuple(annotation_of(row) for row in session.scalars(query))

    def by_sample(self, product: str) -> dict[int, list[Annotation]]:
        """By sample of a product that is not deleted: its annotations, the oldest first, blind ones included.

        What a rollback gave again is left out: whoever did that has judged no part.
        """
        query = (
            select(AnnotationRow)
            .join(SampleRow, SampleRow.id == AnnotationRow.sample_id)
            .where(SampleRow.product == product, SampleRow.deleted_at.is_(None))
            .where(~AnnotationRow.note.startswith(RESTORED))
            .order_by(AnnotationRow.id)
        )
        found: dict[int, list[Annotation]] = {}
        with self._database.reading() as session:
            for row in session.scalars(query):
                found.setdefault(row.sample_id, []).append(annotation_of(row))
        return found

    def for_second_label(self, product: str, author: str, count: int, seed: int = 0) -> list[int]:
        """Ids of up to `count` labelled samples that `author` has not seen, drawn at random: to be labelled blind.

        Every type has its share, so that kappa says something of the rare ones.
        """
        by_sample = self.by_sample(product)
        mine = {number for number, given in by_sample.items() if any(one.author == author for one in given)}
        by_type: dict[str, list[int]] = {}
        for number, given in by_sample.items():
            counting = [annotation for annotation in given if not annotation.blind]
            if counting and number not in mine:
                by_type.setdefault(next(iter(counting[-1].types), counting[-1].label), []).append(number)
        rng = np.random.default_rng(seed)
        queues = [[numbers[i] for i in rng.permutation(len(numbers))] for _, numbers in sorted(by_type.items())]
        found: list[int] = []
        while len(found) < count and any(queues):
            found += [queue.pop() for queue in queues if queue]
        return found[:count]


def write_annotation(session: Session, sample_id: int, annotation: Annotation) -> AnnotationRow:
    """Keep an annotation of a sample that is there, in an open transaction."""
    row = AnnotationRow(**annotation_values(sample_id, annotation))
    session.add(row)
    session.flush()
    told = {"label": row.label, "types": row.types, "annotation": row.id, "blind": row.blind}
    audit(session, annotation.author, "label", f"sample {sample_id}", annotation.note, **told)
    return row


def take_back(session: Session, id: int, author: str, why: str) -> None:
    """Have an annotation count no longer: the one before it is given again, else the sample is unknown.

    Where another one counts by now, nothing is done. A blind one, which never counts, is followed by an unknown one.
    """
    row = session.get_one(AnnotationRow, id)
    counts = dict(current_annotations(session, [row.sample_id])).get(row.sample_id)
    if row.blind:
        write_annotation(session, row.sample_id, Annotation(label=UNKNOWN, author=author, note=why, blind=True))
    elif counts is not None and counts.id == id:
        earlier = (
            select(AnnotationRow)
            .where(AnnotationRow.sample_id == row.sample_id, AnnotationRow.id < id, AnnotationRow.blind.is_(False))
            .order_by(AnnotationRow.id.desc())
        )
        before = session.scalar(earlier.limit(1))
        annotation = Annotation(label=UNKNOWN, author=author) if before is None else annotation_of(before)
        write_annotation(session, row.sample_id, replace(annotation, author=author, note=f"{RESTORED}before: {why}"))


def current_ids() -> Select[int, int]:
    """A query for (sample_id, id of the annotation that counts)."""
    newest = func.max(AnnotationRow.id).label("annotation_id")
    return (
        select(AnnotationRow.sample_id, newest).where(AnnotationRow.blind.is_(False)).group_by(AnnotationRow.sample_id)
    )


def current_annotations(session: Session, sample_ids: Collection[int]) -> Iterator[tuple[int, Annotation]]:
    """(sample id, the annotation that counts) in an open transaction."""
    wanted = sorted(set(sample_ids))
    for start in range(0, len(wanted), MAX_AT_ONCE):
        some = wanted[start : start + MAX_AT_ONCE]
        newest = current_ids().where(AnnotationRow.sample_id.in_(some)).subquery()
        for row in session.scalars(select(AnnotationRow).join(newest, AnnotationRow.id == newest.c.annotation_id)):
            yield row.sample_id, annotation_of(row)


def annotation_values(sample_id: int, annotation: Annotation) -> dict[str, Any]:
    """The columns of a new row."""
    return {
        "sample_id": sample_id,
        "author": annotation.author,
        "created": now(),
        "label": annotation.label,
        "types": list(annotation.types),
        "regions": [region_to_json(region) for region in annotation.regions],
        "mask_hash": annotation.mask_hash,
        "grade": annotation.grade,
        "note": annotation.note,
        "suggested_by": annotation.suggested_by,
        "outcome": annotation.outcome,
        "blind": annotation.blind,
    }


def annotation_of(row: AnnotationRow) -> Annotation:
    """A row as a value."""
    return Annotation(
        label=row.label,
        author=row.author,
        types=tuple(row.types),
        regions=tuple(region_from_json(value) for value in row.regions),
        mask_hash=row.mask_hash,
        grade=row.grade,
        note=row.note,
        suggested_by=row.suggested_by,
        outcome=row.outcome,
        blind=row.blind,
        id=row.id,
        sample_id=row.sample_id,
        created=row.created,
    )


def region_to_json(region: Region) -> dict[str, Any]:
    """{"type": ..., and one of "box": [x, y, width, height], "rings": [[[x, y], ...], ...], "runs": {...}}, px."""
    shape = region.shape
    if isinstance(shape, Rectangle):
        return {"type": region.type, "box": list(shape.box)}
    if isinstance(shape, Polygons):
        return {"type": region.type, "rings": [np.asarray(ring, float).tolist() for ring in shape.rings]}
    return {
        "type": region.type,
        "runs": {"height": shape.height, "width": shape.width, "counts": list(shape.counts)},
    }


def region_from_json(value: Any) -> Region:
    """The region that `region_to_json` wrote. Raises InputError for anything else, with what was expected."""
    try:
        return Region(_text(value["type"]), _shape(value))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"a region is not valid ({type(error).__name__}: {error}). It needs a type and one of box [x, y, width, "
            "height], rings [[[x, y], ...], ...], runs {height, width, counts}"
        ) from error


def _shape(value: dict[str, Any]) -> Shape:
    if "box" in value:
        box = Rectangle(*(float(side) for side in value["box"]))
        if not (np.isfinite(box.box).all() and box.width > 0 and box.height > 0):
            raise ValueError(f"the box {box.box} has no area")
        return box
    if "rings" in value:
        rings = tuple(np.array(ring, float).reshape(-1, 2) for ring in value["rings"])
        if not rings or not all(len(ring) >= 3 and np.isfinite(ring).all() for ring in rings):
            raise ValueError("a ring needs at least three points")
        return Polygons(rings)
    runs = value["runs"]
    return Runs(int(runs["height"]), int(runs["width"]), tuple(int(count) for count in runs["counts"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a type's name")
    return value
