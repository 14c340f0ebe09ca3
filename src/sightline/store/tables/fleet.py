"""Tables of recipes that are rolled out to stations."""

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
