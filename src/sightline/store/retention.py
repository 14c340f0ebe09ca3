"""Retention: collected pictures come with their origin, and go when their time is over or the disk is short."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sightline.core.result import Verdict
from sightline.store.audit import note as audit
from sightline.store.check import GRACE_S
from sightline.store.database import Database
from sightline.store.images import Images, StoredImage, image_key, thumbnail_key
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow, DefectTypeRow, EntryRow, SampleRow
from sightline.store.tables.line import EmbeddingRow, InspectionRow, ReviewRow
from sightline.store.tables.studies import KeptImageRow

ORDER = (Verdict.OK, Verdict.REVIEW, Verdict.NG)  # what teaches least goes first
AT_ONCE = 500
DAYS: Mapping[Verdict, float] = {Verdict.OK: 30.0, Verdict.REVIEW: 365.0, Verdict.NG: 730.0}
REASON = "collected"  # under this name a sample's details say why it was kept


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a picture was taken, of what, with what; `reason` says why it was kept, `verdict` what was said of it."""

    product: str
    name: str
    reason: str
    verdict: str
    station: str
    line: str | None = None
    lot: str | None = None
    serial: str | None = None
    recipe_hash: str | None = None
    exposure_us: float | None = None
    gain_db: float | None = None
    triggered: datetime | None = None
    details: dict[str, Any] = field(default_factory=dict)


def collect(database: Database, image: StoredImage, origin: Origin) -> None:
    """Make a sample of a stored image; one of that name and content that is there already is left as it is."""
    told = {name: str(value) for name in TOLD if (value := getattr(origin, name)) is not None}
    values = {
        **{name: getattr(origin, name) for name in ORIGIN},
        "hash": image.hash,
        "media_type": image.media_type,
        "bytes": image.bytes,
        "width": image.width,
        "height": image.height,
        "group": origin.serial,  # the views of a part stay together
        # What the columns have, as text: `Sample.metadata` is made of these, as with imported samples.
        "details": {**told, **origin.details, REASON: origin.reason, "verdict": origin.verdict},
        "created": now(),
    }
    insert = (sqlite if database.is_sqlite else postgresql).insert(SampleRow.__table__)
    with database.recording() as connection:
        connection.execute(insert.on_conflict_do_nothing(index_elements=["product", "name", "hash"]), values)


TOLD = ("station", "line", "serial", "recipe_hash", "exposure_us", "gain_db", "triggered")
ORIGIN = ("product", "name", "station", "line", "lot", "serial", "recipe_hash", "exposure_us", "gain_db", "triggered")


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many pictures were removed, and how many bytes they had; records of inspections stay."""

    pictures: int = 0
    bytes: int = 0


class Candidate(NamedTuple):
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
    stored less than `grace_s` ago stays, too: another program may be about to name it in a row.
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
            rows = [Candidate(*row) for row in session.execute(query)]
        if not rows:
            break
        fresh = {row.id for row in rows if images.blobs.age_s(image_key(row.hash, row.media_type)) < grace_s}
        young |= fresh
        wanted = _enough([row for row in rows if row.id not in fresh], excess - done.bytes)
        gone = _remove(database, images, verdict, wanted) if wanted else []
        done = _sum(done, Cleared(len(gone), sum(row.bytes for row in gone)))
    return done


def _enough(rows: list[Candidate], wanted: float) -> list[Candidate]:
    """The first rows that have so many bytes together."""
    sizes = accumulate(row.bytes for row in rows)
    return [row for row, size in zip(rows, sizes, strict=True) if size - row.bytes < wanted]


def _collected() -> ColumnElement[bool]:
    there: ColumnElement[bool] = SampleRow.details[REASON].as_string().is_not(None)
    return there


def _asked() -> Select[int]:
    """Reviews that people asked for, of the inspection that a picture belongs to, by its image or by its part.

    Those that the line opened by itself hold no picture: of what nobody answers in a year, the disk would be full.
    """
    mine = (InspectionRow.image_hash == SampleRow.hash) | (InspectionRow.key == SampleRow.details["part"].as_string())
    asked = select(ReviewRow.id).join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id)
    return asked.where(mine, ReviewRow.automatic.is_(False))


def _in_the_book(session: Session) -> set[int]:
    """Samples that the defect book shows."""
    in_book = select(DefectTypeRow.examples, DefectTypeRow.counter_examples, DefectTypeRow.borderline)
    return {number for lists in session.execute(in_book) for numbers in lists for number in numbers}


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
        ~exists().where(KeptImageRow.hash == SampleRow.hash),
    )
    if before is not None:
        query = query.where(taken < before)
    return query.order_by(taken, SampleRow.id)


def _remove(database: Database, images: Images, verdict: Verdict, rows: list[Candidate]) -> list[Candidate]:
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
        still_used = set(session.scalars(select(SampleRow.hash).where(SampleRow.hash.in_(hashes))))
        still_used |= set(session.scalars(select(AnnotationRow.mask_hash).where(AnnotationRow.mask_hash.in_(hashes))))
        gone = hashes - still_used
        session.execute(update(InspectionRow).where(InspectionRow.image_hash.in_(gone)).values(image_hash=None))
        session.execute(delete(EmbeddingRow).where(EmbeddingRow.hash.in_(gone)))
        audit(session, "retention", "clear", f"{len(ids)} collected pictures", ids=ids)
    for row in rows:
        if row.hash in gone:
            images.blobs.remove(image_key(row.hash, row.media_type))
            images.blobs.remove(thumbnail_key(row.hash))
    return rows


def _sum(one: Cleared, other: Cleared) -> Cleared:
    return Cleared(one.pictures + other.pictures, one.bytes + other.bytes)
