"""Who works with the store, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Key


class UserRow(Base):
    """A person or a program with a name of its own."""

    __tablename__ = "users"

    id: Mapped[Key]
    name: Mapped[str]
    role: Mapped[str]
    password: Mapped[str | None]  # salted hash, never the word itself
    created: Mapped[datetime]
    disabled_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("name"),)


class AuditRow(Base):
    """One thing that somebody did. Rows are only ever added."""

    __tablename__ = "audit"

    id: Mapped[Key]
    author: Mapped[str]
    action: Mapped[str]  # for instance snapshot, restore, delete
    subject: Mapped[str]  # for instance sample 12
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created: Mapped[datetime]

    __table_args__ = (Index(None, "created"), Index(None, "subject"))
