"""Tables of the web app: who is logged in, which programs have a token, which stations there are, what jobs said."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Hash, Key


class SessionRow(Base):
    """Somebody who is logged in. `id` is the SHA-256 of the cookie, so that a copy of the table opens no session."""

    __tablename__ = "sessions"

    id: Mapped[Hash] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created: Mapped[datetime]
    seen: Mapped[datetime]
    by_pin: Mapped[bool] = mapped_column(default=False)  # on a shared screen: never more than an operator

    __table_args__ = (Index(None, "user_id"),)


class TokenRow(Base):
    """A program's key; `hash` is the SHA-256 of what was shown once."""

    __tablename__ = "tokens"

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    hash: Mapped[Hash]
    scopes: Mapped[list[Any]]
    created: Mapped[datetime]
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("hash"), Index(None, "user_id"))


class ReplyRow(Base):
    """What was answered to a write with an Idempotency-Key; `status` is None while it is under way."""

    __tablename__ = "replies"

    key: Mapped[Hash] = mapped_column(primary_key=True)  # over who asked, what, and the key
    request: Mapped[Hash]  # over the body
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    body: Mapped[bytes] = mapped_column(LargeBinary, default=b"")
    created: Mapped[datetime]

    __table_args__ = (Index(None, "created"),)


class StationRow(Base):
    """A station by the address of its HTTP port; `token_env` names the variable that holds its token, or is empty."""

    __tablename__ = "stations"

    id: Mapped[Key]
    name: Mapped[str]
    url: Mapped[str]
    token_env: Mapped[str] = mapped_column(default="")
    author: Mapped[str]
    updated: Mapped[datetime]

    __table_args__ = (UniqueConstraint("name"),)


class JobLineRow(Base):
    """One line of a job's log."""

    __tablename__ = "job_lines"

    id: Mapped[Key]
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    text: Mapped[str]
    created: Mapped[datetime]

    __table_args__ = (Index(None, "job_id", "id"),)
