"""Tables of many stations: recipes that are rolled out to them, and what they send."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, column
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Hash, Key

under_way = column("state").in_(("canary", "rolling"))


class RolloutRow(Base):
    """A recipe on its way to stations; of each product, one at a time."""

    __tablename__ = "rollouts"

    id: Mapped[Key]
    product: Mapped[str]
    recipe_hash: Mapped[Hash]
    stations: Mapped[list[Any]] = mapped_column(default=list)  # the first is the canary
    parts: Mapped[int]  # that each station has to inspect with it before it goes on
    state: Mapped[str]  # canary, rolling, done or rolled back
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)  # by station: the hash that was assigned, or null
    reason: Mapped[str] = mapped_column(default="")  # why it ended as it did
    author: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime]
    ended: Mapped[datetime | None]

    __table_args__ = (
        Index("uq_rollouts_product", "product", unique=True, sqlite_where=under_way, postgresql_where=under_way),
    )


class AssignmentRow(Base):
    """What a station is to run for a product in place of the recipe in its own file, and what it runs."""

    __tablename__ = "assignments"

    station: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    recipe_hash: Mapped[Hash | None]  # null: the one in the station's file
    rollout: Mapped[int | None]
    running_hash: Mapped[Hash | None]  # as the station has said last
    ran_hash: Mapped[Hash | None]  # what it ran before that
    since: Mapped[int] = mapped_column(default=0)  # the newest inspection when it was said
    fault: Mapped[str] = mapped_column(default="")  # why the station does not run it
    updated: Mapped[datetime]


class SenderRow(Base):
    """A station that sends its records over HTTP: which computer it is, how far it has come, and how it is."""

    __tablename__ = "senders"

    station: Mapped[str] = mapped_column(primary_key=True)
    instance: Mapped[str]  # of the computer whose records are taken; empty: of the next one that sends
    journal: Mapped[str]  # of that computer, in which its entries have their numbers
    sequence: Mapped[int]  # the last entry of its journal that was taken
    missing: Mapped[int] = mapped_column(default=0)  # entries that never came
    refused: Mapped[int] = mapped_column(default=0)  # entries that nobody could record
    heard: Mapped[datetime]
    offset_s: Mapped[float]  # of its clock from the server's
    waiting: Mapped[int]  # entries that it still has to send
    version: Mapped[str]
    running: Mapped[dict[str, Any]] = mapped_column(default=dict)  # hash of the recipe by product
    other: Mapped[dict[str, Any]] = mapped_column(default=dict)  # who else has tried to send as this station


class ReceivedRow(Base):
    """Verdicts by the hour in which the store received them, shadows left out: no station's clock moves these."""

    __tablename__ = "received"

    hour: Mapped[int] = mapped_column(primary_key=True)  # hours since 1970, UTC
    station: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)  # empty: not said
    recipe_hash: Mapped[str] = mapped_column(primary_key=True)  # empty: nothing was inspected
    verdict: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
