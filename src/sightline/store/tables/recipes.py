"""Recipes with the version that they were learned from, and the work that makes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Hash, Key


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
    heartbeat: Mapped[datetime | None]
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]

    __table_args__ = (Index(None, "state", "id"),)
