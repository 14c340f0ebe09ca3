"""Tables of the line: every verdict and how many there were in each hour, recipes, jobs, users and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Hash, Key


class InspectionRow(Base):
    """One part judged at a station. The four moments tell where its time went."""

    __tablename__ = "inspections"

    id: Mapped[Key]
    station: Mapped[str]
    line: Mapped[str | None]
    product: Mapped[str | None]
    lot: Mapped[str | None]
    serial: Mapped[str | None]
    verdict: Mapped[str]  # OK, NG or REVIEW
    score: Mapped[float | None]  # None where no image could be judged
    p_value: Mapped[float | None]
    types: Mapped[dict[str, Any]] = mapped_column(default=dict)  # probability by defect type
    grade: Mapped[int | None]
    recipe_hash: Mapped[Hash | None]
    image_hash: Mapped[Hash | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)  # defects and whatever else a station adds
    triggered: Mapped[datetime]
    captured: Mapped[datetime | None]
    inferred: Mapped[datetime | None]
    signalled: Mapped[datetime | None]
    late: Mapped[bool] = mapped_column(default=False)  # the signal came after its deadline
    error: Mapped[str | None]
    shadow: Mapped[bool] = mapped_column(default=False)  # a recipe on probation, which decided nothing
    key: Mapped[str | None]  # the station's own name for it: what is delivered twice is recorded once
    received: Mapped[datetime | None]  # when the store had it, by the store's own clock; the others are the station's

    # One index for each question that a page of the gallery asks; all end with the order of the page.
    __table_args__ = (
        Index(None, "triggered", "id"),
        Index(None, "verdict", "triggered", "id"),
        Index(None, "station", "triggered", "id"),
        Index(None, "station", "verdict", "triggered", "id"),
        Index(None, "lot", "triggered", "id"),
        Index(None, "serial", "triggered", "id"),
        Index(None, "product", "triggered", "id"),
        # Rare ones: without an index of their own, a page of them would read every row.
        Index("ix_inspections_late", "triggered", "id", sqlite_where=late.is_(True), postgresql_where=late.is_(True)),
        Index(
            "ix_inspections_shadow", "triggered", "id", sqlite_where=shadow.is_(True), postgresql_where=shadow.is_(True)
        ),
        Index(None, "image_hash"),
        Index("uq_inspections_key", "key", unique=True),
    )


class HourRow(Base):
    """Inspections of one hour, station and verdict, counted in the transaction that records them; shadows left out.

    The counts stay when old inspections are cleared away.
    """

    __tablename__ = "hours"

    hour: Mapped[int] = mapped_column(primary_key=True)  # hours since 1970, UTC
    station: Mapped[str] = mapped_column(primary_key=True)
    verdict: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]


class EmbeddingRow(Base):
    """What a recipe's backbone made of a picture that was kept: parts that look alike are found by it.

    It goes with the picture.
    """

    __tablename__ = "embeddings"

    id: Mapped[Key]
    part: Mapped[str]  # the inspection's key
    view: Mapped[str]
    hash: Mapped[Hash]  # of the picture
    recipe_hash: Mapped[Hash]  # embeddings of two recipes cannot be compared
    vector: Mapped[bytes]  # float16, little-endian, of length 1

    __table_args__ = (UniqueConstraint("part", "view"), Index(None, "recipe_hash", "id"), Index(None, "hash"))


class ReviewRow(Base):
    """A part that a person shall look at, why, and the answer."""

    __tablename__ = "reviews"

    id: Mapped[Key]
    inspection_id: Mapped[int | None] = mapped_column(ForeignKey("inspections.id", ondelete="SET NULL"))
    sample_id: Mapped[int | None] = mapped_column(ForeignKey("samples.id"))
    reason: Mapped[str]
    priority: Mapped[float] = mapped_column(default=0.0)  # the highest first
    state: Mapped[str] = mapped_column(default="open")  # open, claimed, answered or skipped
    claimed_by: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    answer: Mapped[str | None]  # good, defective or unknown
    types: Mapped[list[Any]] = mapped_column(default=list)
    note: Mapped[str] = mapped_column(default="")
    author: Mapped[str | None]
    created: Mapped[datetime]
    answered: Mapped[datetime | None]
    purpose: Mapped[str] = mapped_column(default="review")  # or challenge, repeat, second: shown alike
    expected: Mapped[str | None]  # what a challenge has to be answered with; nobody who answers sees it
    first_id: Mapped[int | None]  # the review that a repeat or a second opinion is of, or that brought a challenge
    automatic: Mapped[bool] = mapped_column(default=False)  # nobody asked: the line's record or an answer brought it
    pilot: Mapped[bool] = mapped_column(default=False)  # a part of a station that tells its machine no verdicts
    addressee: Mapped[str | None]  # the only one who may take it
    grade: Mapped[int | None]
    regions: Mapped[list[Any]] = mapped_column(default=list)  # as sightline.store.annotations has them, with views
    annotations: Mapped[list[Any]] = mapped_column(default=list)  # ids of what the answer wrote

    __table_args__ = (
        Index(None, "state", "priority", "id"),
        Index(None, "inspection_id"),
        Index(None, "first_id"),
        Index("ix_reviews_author_answered", "author", "answered"),
    )


class AlarmRow(Base):
    """A drift that was found at a station, and who has acknowledged it."""

    __tablename__ = "alarms"

    id: Mapped[Key]
    station: Mapped[str]
    view: Mapped[str]
    recipe_hash: Mapped[Hash]
    cause: Mapped[str]
    since: Mapped[int]  # the inspection that the change began at, as far as charts can tell
    number: Mapped[int]  # the inspection that the alarm was raised at
    again: Mapped[int]  # the last inspection at which the charts found it again
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    before_hash: Mapped[Hash | None]  # of a kept picture before the change
    after_hash: Mapped[Hash | None]
    state: Mapped[str] = mapped_column(default="open")  # or acknowledged
    accepted: Mapped[bool] = mapped_column(default=False)  # the line is to stay as it is: what is usual is learned anew
    author: Mapped[str | None]
    note: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime]
    acknowledged: Mapped[datetime | None]
    at: Mapped[int | None]  # the newest inspection when it was acknowledged

    __table_args__ = (
        Index(None, "state", "id"),
        Index(
            "uq_alarms_open",
            *("station", "view", "recipe_hash", "cause"),
            unique=True,
            sqlite_where=state == "open",
            postgresql_where=state == "open",
        ),
    )


class ChartRow(Base):
    """How the control charts of one view of a station with one recipe stand."""

    __tablename__ = "charts"

    id: Mapped[Key]
    station: Mapped[str]
    view: Mapped[str]
    recipe_hash: Mapped[Hash]
    state: Mapped[dict[str, Any]] = mapped_column(default=dict)  # as sightline.improve.charts has it
    updated: Mapped[datetime]

    __table_args__ = (UniqueConstraint("station", "view", "recipe_hash"),)


class MarkRow(Base):
    """How far something that reads all inspections in their order has come."""

    __tablename__ = "marks"

    name: Mapped[str] = mapped_column(primary_key=True)
    inspection: Mapped[int]


class RecipeRow(Base):
    """A recipe file, and where it comes from."""

    __tablename__ = "recipes"

    id: Mapped[Key]
    hash: Mapped[Hash]  # SHA-256 of the file
    product: Mapped[str]
    name: Mapped[str]
    file: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    card: Mapped[dict[str, Any]] = mapped_column(default=dict)
    parent_hash: Mapped[Hash | None]
    version_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id"))
    state: Mapped[str] = mapped_column(default="candidate")  # candidate, shadow, promoted or retired
    author: Mapped[str]
    created: Mapped[datetime]

    __table_args__ = (UniqueConstraint("hash"), Index(None, "product", "state"), Index(None, "version_id"))


class EvaluationRow(Base):
    """How a recipe judged labelled pictures."""

    __tablename__ = "evaluations"

    id: Mapped[Key]
    recipe_hash: Mapped[Hash]
    data: Mapped[str]  # version or product
    job: Mapped[int | None]  # that measured it
    figures: Mapped[dict[str, Any]] = mapped_column(default=dict)
    judged: Mapped[dict[str, Any]] = mapped_column(default=dict, deferred=True)  # as sightline.evaluate.preview has it
    author: Mapped[str]
    created: Mapped[datetime]

    __table_args__ = (Index(None, "recipe_hash", "id"),)


class JobRow(Base):
    """Lab work that a worker process does: asked for, taken, done."""

    __tablename__ = "jobs"

    id: Mapped[Key]
    kind: Mapped[str]
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(default="queued")  # queued, running, done, failed or cancelled
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None]
    author: Mapped[str]
    worker: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    cancelled_by: Mapped[str | None]  # who wants it to end
    heartbeat: Mapped[datetime | None]
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]

    __table_args__ = (Index(None, "state", "id"),)


class UserRow(Base):
    """A person or a program with a name of its own."""

    __tablename__ = "users"

    id: Mapped[Key]
    name: Mapped[str]
    role: Mapped[str]
    password: Mapped[str | None]  # salted hash, never the word itself
    pin: Mapped[str | None]  # as the password
    failures: Mapped[int] = mapped_column(default=0)  # attempts to log in since the last good one
    locked_until: Mapped[datetime | None]
    created: Mapped[datetime]
    updated: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("name"),)


class AuditRow(Base):
    """One thing that somebody did. Rows are only ever added, each sealed by `sightline.store.audit`."""

    __tablename__ = "audit"

    id: Mapped[Key]
    author: Mapped[str]
    action: Mapped[str]  # for instance snapshot, restore, delete
    subject: Mapped[str]  # for instance sample 12
    reason: Mapped[str] = mapped_column(default="")  # why, in that person's words
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created: Mapped[datetime]
    previous: Mapped[str] = mapped_column(default="")  # hash of the row before
    hash: Mapped[str] = mapped_column(default="")  # over `previous` and this row

    __table_args__ = (Index(None, "created"), Index(None, "subject"))


class AdaptationRow(Base):
    """What a station has learned of one recipe since that was made, one change after the other."""

    __tablename__ = "adaptations"

    id: Mapped[Key]
    station: Mapped[str]
    recipe_hash: Mapped[Hash]
    number: Mapped[int]  # of the change: entries of the memory bank name it
    kind: Mapped[str]  # learned, harmless, transfer or undo
    state: Mapped[str] = mapped_column()  # suggested, active, replaced or refused
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)  # the whole adaptation as it is after the change
    digest: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what came in, and what the canary said
    author: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("station", "recipe_hash", "number"),
        Index("uq_adaptations_active", "station", "recipe_hash", unique=True,
              sqlite_where=state == "active", postgresql_where=state == "active"),
    )  # fmt: skip


class LearningRow(Base):
    """Whether a station learns by itself."""

    __tablename__ = "learning"

    station: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str]  # off, suggest or on
    author: Mapped[str]
    updated: Mapped[datetime]


class ScheduleRow(Base):
    """When a product's recipe is to be improved without anybody asking for it."""

    __tablename__ = "schedules"

    product: Mapped[str] = mapped_column(primary_key=True)
    labels: Mapped[int | None]  # after so many new labels; null: not by these
    days: Mapped[float | None]  # after so many days
    drift: Mapped[bool] = mapped_column(default=False)  # after an alarm of one of its recipes
    author: Mapped[str]
    updated: Mapped[datetime]
    begun: Mapped[datetime]  # since then labels, days and alarms count: the last time, or when it was set up
