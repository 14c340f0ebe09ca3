"""Schedules: when a product's recipe is to be improved without anybody asking for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from sightline.core.errors import InputError, NotFoundError
from sightline.store.audit import note as audit
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.labels import AnnotationRow, SampleRow
from sightline.store.tables.line import AlarmRow, RecipeRow, ScheduleRow

MAX_LABELS, MAX_DAYS = 100_000, 366.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """After how many new labels, how many days, or whether after an alarm of one of its recipes a product's recipe is
    to be improved; `begun`: since when these count.
    """

    product: str
    labels: int | None
    days: float | None
    drift: bool
    author: str
    updated: datetime
    begun: datetime


@dataclass(frozen=True, slots=True)
class News:
    """What has come since a schedule's last time: samples that were labelled, and the causes of alarms."""

    labelled: int
    alarms: tuple[str, ...]


FIELDS = tuple(Schedule.__dataclass_fields__)


class Schedules:
    """The schedules of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self) -> tuple[Schedule, ...]:
        """All, by product."""
        with self._database.reading() as session:
            rows = session.scalars(select(ScheduleRow).order_by(ScheduleRow.product))
            return tuple(_schedule(row) for row in rows)

    def put(self, product: str, labels: int | None, days: float | None, drift: bool, author: str) -> Schedule:
        """Set a product's schedule. Raises InputError where it says nothing, or something impossible."""
        if labels is None and days is None and not drift:
            raise InputError("say after how many labels, after how many days, or that it is after a drift alarm")
        if labels is not None and not 1 <= labels <= MAX_LABELS:
            raise InputError(f"{labels} labels: give 1 to {MAX_LABELS}")
        if days is not None and not 0 < days <= MAX_DAYS:
            raise InputError(f"{days:g} days: give more than 0 and up to {MAX_DAYS:g}")
        with self._database.writing() as session:
            row = session.get(ScheduleRow, product) or ScheduleRow(product=product, begun=now())
            row.labels, row.days, row.drift, row.author, row.updated = labels, days, drift, author, now()
            session.add(row)
            audit(session, author, "schedule", f"product {product}", labels=labels, days=days, drift=drift)
            session.flush()
            return _schedule(row)

    def remove(self, product: str, author: str) -> None:
        """Improve a product's recipe only when somebody asks for it. Raises NotFoundError."""
        with self._database.writing() as session:
            session.delete(_find(session, product))
            audit(session, author, "end schedule", f"product {product}")

    def begin(self, product: str, before: datetime) -> bool:
        """Count anew from now on; whether nobody else has done so since `before`."""
        with self._database.writing() as session:
            row = session.get(ScheduleRow, product, with_for_update=True)
            if row is None or row.begun != before:
                return False
            row.begun = now()
            return True

    def news(self, schedule: Schedule) -> News:
        """What has come since a schedule's last time."""
        labelled = select(func.count(distinct(AnnotationRow.sample_id))).join(SampleRow)
        labelled = labelled.where(
            SampleRow.product == schedule.product, ~AnnotationRow.blind, AnnotationRow.created > schedule.begun
        )
        mine = select(RecipeRow.hash).where(RecipeRow.product == schedule.product)
        alarms = select(AlarmRow.cause).where(AlarmRow.recipe_hash.in_(mine), AlarmRow.created > schedule.begun)
        with self._database.reading() as session:
            return News(session.scalar(labelled) or 0, tuple(session.scalars(alarms.order_by(AlarmRow.id))))


def _find(session: Session, product: str) -> ScheduleRow:
    row = session.get(ScheduleRow, product)
    if row is None:
        raise NotFoundError(f"{product} has no schedule. Look it up again")
    return row


def _schedule(row: ScheduleRow) -> Schedule:
    return Schedule(**{name: getattr(row, name) for name in FIELDS})
