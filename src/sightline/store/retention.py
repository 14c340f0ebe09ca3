"""Retention: collected pictures go when their time is over or the disk is short, the least valuable first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, update
from sqlalchemy.orm import Session

from sightline.core.band import Verdict
from sightline.store.audit import note as audit
from sightline.store.check import GRACE_S
from sightline.store.collected import REASON
from sightline.store.database import Database
from sightline.store.images import Images, image_key, thumbnail_key
from sightline.store.tables.base import now
from sightline.store.tables.inspections import InspectionRow, ReviewRow
from sightline.store.tables.labels import AnnotationRow, DefectTypeRow
from sightline.store.tables.samples import SampleRow
from sightline.store.tables.versions import EntryRow

ORDER = (Verdict.OK, Verdict.REVIEW, Verdict.NG)  # what teaches least goes first
AT_ONCE = 500
DAYS: Mapping[Verdict, float] = {Verdict.OK: 30.0, Verdict.REVIEW: 365.0, Verdict.NG: 730.0}


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many pictures were removed, and how many bytes they had; records of inspections stay."""

    pictures: int = 0
    bytes: int = 0


class Picture(NamedTuple):
    """A collected picture that may go."""

    id: int
    hash: str
    media_type: str
    bytes: int


def clear(
    database: Database,
    images: Images,
    days: Mapping[Verdict, float] = DAYS,
    most_bytes: int | None = None,
    grace_s: float = GRACE_S,
) -> Cleared:
    """Remove collected pictures that are older than the days of their verdict, then, where all that is left has more
    than `most_bytes`, further ones: OK first, the oldest first. What a person has labelled or was asked about, and what
    a version or the defect book holds, stays, and so does everything that did not come from a station. A file that was
    put on the shelf less than `grace_s` ago stays, too: another program may be about to name it in a row.
    """
    done = Cleared()
    for verdict in ORDER:
        before = now() - timedelta(days=days.get(verdict, float(DAYS[verdict])))
        done = _sum(done, _remove_all(database, images, verdict, grace_s, before=before))
    if most_bytes is None:
        return done
    for verdict in ORDER:
        excess = collected_bytes(database) - most_bytes
        if excess <= 0:
            break
        done = _sum(done, _remove_all(database, images, verdict, grace_s, excess=excess))
    return done


def collected_bytes(database: Database) -> int:
    """Bytes of all collected pictures."""
    with database.reading() as session:
        query = select(func.coalesce(func.sum(SampleRow.bytes), 0)).where(_collected())
        return int(session.scalar(query) or 0)


def _remove_all(
    database: Database,
    images: Images,
    verdict: Verdict,
    grace_s: float,
    before: datetime | None = None,
    excess: float = math.inf,
) -> Cleared:
    """Remove the oldest pictures of a verdict, until `excess` bytes are gone or no more may go."""
    done, young = Cleared(), set[int]()
    while done.bytes < excess:
        with database.reading() as session:
            query = _removable(session, verdict, before).where(SampleRow.id.not_in(young)).limit(AT_ONCE)
            rows = [Picture(*row) for row in session.execute(query)]
        if not rows:
            break
        fresh = {row.id for row in rows if images.shelf.age_s(image_key(row.hash, row.media_type)) < grace_s}
        young |= fresh
        wanted = _enough([row for row in rows if row.id not in fresh], excess - done.bytes)
        gone = _remove(database, images, verdict, wanted) if wanted else []
        done = _sum(done, Cleared(len(gone), sum(row.bytes for row in gone)))
    return done


def _enough(rows: list[Picture], wanted: float) -> list[Picture]:
    """The first rows that have so many bytes together."""
    sizes = accumulate(row.bytes for row in rows)
    return [row for row, size in zip(rows, sizes, strict=True) if size - row.bytes < wanted]


def _collected() -> ColumnElement[bool]:
    there: ColumnElement[bool] = SampleRow.details[REASON].as_string().is_not(None)
    return there


def _asked() -> Select[int]:
    """Reviews of the inspection that a picture belongs to, by its image or by its part."""
    mine = (InspectionRow.image_hash == SampleRow.hash) | (InspectionRow.key == SampleRow.details["part"].as_string())
    return select(ReviewRow.id).join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id).where(mine)


def _in_the_book(session: Session) -> set[int]:
    """Samples that the defect book shows."""
    shown = select(DefectTypeRow.examples, DefectTypeRow.counter_examples, DefectTypeRow.borderline)
    return {number for lists in session.execute(shown) for numbers in lists for number in numbers}


def _removable(session: Session, verdict: Verdict, before: datetime | None) -> Select[int, str, str, int]:
    taken = func.coalesce(SampleRow.triggered, SampleRow.created)
    query = select(SampleRow.id, SampleRow.hash, SampleRow.media_type, SampleRow.bytes).where(
        _collected(),
        SampleRow.details["verdict"].as_string() == str(verdict),
        ~exists().where(AnnotationRow.sample_id == SampleRow.id),
        # Looked up once: these have no index, and one look for each picture would take minutes.
        SampleRow.id.not_in(select(ReviewRow.sample_id).where(ReviewRow.sample_id.is_not(None))),
        ~exists().where(EntryRow.sample_id == SampleRow.id),
        ~_asked().exists(),
        SampleRow.id.not_in(_in_the_book(session)),
    )
    if before is not None:
        query = query.where(taken < before)
    return query.order_by(taken, SampleRow.id)


def _remove(database: Database, images: Images, verdict: Verdict, rows: list[Picture]) -> list[Picture]:
    """Rows first, files after: a stop between the two leaves orphans, which the check removes, never a gap.

    Returns what was removed: somebody may have labelled one of them since they were looked up.
    """
    with database.writing() as session:
        mine = SampleRow.id.in_([row.id for row in rows])
        session.execute(select(SampleRow.id).where(mine).order_by(SampleRow.id).with_for_update())
        free = {row.id for row in session.execute(_removable(session, verdict, None).where(mine))}
        rows = [row for row in rows if row.id in free]
        ids, hashes = sorted(free), {row.hash for row in rows}
        session.execute(delete(SampleRow).where(SampleRow.id.in_(ids)))
        kept = set(session.scalars(select(SampleRow.hash).where(SampleRow.hash.in_(hashes))))
        kept |= set(session.scalars(select(AnnotationRow.mask_hash).where(AnnotationRow.mask_hash.in_(hashes))))
        gone = hashes - kept
        session.execute(update(InspectionRow).where(InspectionRow.image_hash.in_(gone)).values(image_hash=None))
        audit(session, "retention", "clear", f"{len(ids)} collected pictures", ids=ids)
    for row in rows:
        if row.hash in gone:
            images.shelf.remove(image_key(row.hash, row.media_type))
            images.shelf.remove(thumbnail_key(row.hash))
    return rows


def _sum(one: Cleared, other: Cleared) -> Cleared:
    return Cleared(one.pictures + other.pictures, one.bytes + other.bytes)
