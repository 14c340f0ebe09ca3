"""Answers to writes that carry an Idempotency-Key: whoever sends a write again gets the first answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite

from sightline.core.errors import ConflictError
from sightline.store.database import Database
from sightline.store.tables.base import now
from sightline.store.tables.web import ReplyRow

KEPT_HOURS = 24.0
ABANDONED_S = 300.0  # the server that was at work on it has gone


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it was given."""

    status: int
    headers: dict[str, str]
    body: bytes


class Replies:
    """The stored answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = (sqlite if database.is_sqlite else postgresql).insert(ReplyRow)

    def begin(self, key: str, request: str) -> Reply | None:
        """The answer that was given under this key, or None: then it is ours to give.

        Raises ConflictError while the first one is under way, and where another request has used the key.
        """
        values: dict[str, Any] = {
            "key": key,
            "request": request,
            "status": None,
            "headers": {},
            "body": b"",
            "created": now(),
        }
        with self._database.writing() as session:
            session.execute(
                delete(ReplyRow).where(
                    (ReplyRow.created < now() - timedelta(hours=KEPT_HOURS))
                    | (ReplyRow.status.is_(None) & (ReplyRow.created < now() - timedelta(seconds=ABANDONED_S)))
                )
            )
            mine = session.execute(self._insert.values(values).on_conflict_do_nothing().returning(ReplyRow.key))
            if mine.first() is not None:
                return None
            row = session.get(ReplyRow, key)
        if row is None or row.status is None:
            raise ConflictError("the same request is in progress. Wait for its answer, then send it again")
        if row.request != request:
            raise ConflictError("this Idempotency-Key belongs to another request. Use a new key for each write")
        return Reply(row.status, row.headers, row.body)

    def keep(self, key: str, status: int, headers: dict[str, str], body: bytes) -> None:
        """Keep the answer."""
        values = {"status": status, "headers": headers, "body": body}
        with self._database.writing() as session:
            session.execute(update(ReplyRow).where(ReplyRow.key == key).values(values))

    def forget(self, key: str) -> None:
        """It failed: the next attempt is a new one."""
        with self._database.writing() as session:
            session.execute(delete(ReplyRow).where(ReplyRow.key == key))
