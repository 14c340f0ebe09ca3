"""The audit as it is read: page by page, and as a chain that shows whether a row was altered or taken out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from sightline.core.errors import InputError
from sightline.store.audit import FIRST, note, row_hash
from sightline.store.database import Database
from sightline.store.tables.line import AuditRow

MAX = 1000  # entries on a page
AT_ONCE = 1000  # rows in memory at a time


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did; `hash` seals it and the entry before."""

    id: int
    author: str
    action: str
    subject: str
    reason: str
    details: Mapping[str, Any]
    created: datetime
    hash: str


@dataclass(frozen=True, slots=True)
class Chain:
    """The audit as a chain: how many rows, the hash of the last one, and what is wrong with the first broken row.

    Rows that were cut off at the end leave a whole chain: whoever noted `head` and `rows` elsewhere sees that, too.
    """

    rows: int = 0
    head: str = ""
    broken: str = ""


class AuditLog:
    """The audit of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, author: str, action: str, subject: str, reason: str = "", **details: Any) -> None:
        """Add one line about something that changes no other row."""
        with self._database.writing() as session:
            note(session, author, action, subject, reason, **details)

    def page(
        self, author: str | None = None, subject: str | None = None, before: int | None = None, limit: int = 50
    ) -> tuple[Entry, ...]:
        """The newest entries, of one author, about one subject, or older than the id `before`. Raises InputError."""
        if not 1 <= limit <= MAX:
            raise InputError(f"a page of {limit} is not possible. Request 1 to {MAX}")
        query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
        for column, value in ((AuditRow.author, author), (AuditRow.subject, subject)):
            if value is not None:
                query = query.where(column == value)
        if before is not None:
            query = query.where(AuditRow.id < before)
        with self._database.reading() as session:
            return tuple(_entry(row) for row in session.scalars(query))

    def written_after(self, id: int, limit: int = 100) -> tuple[Entry, ...]:
        """The entries after that one, the oldest first."""
        query = select(AuditRow).where(AuditRow.id > id).order_by(AuditRow.id).limit(limit)
        with self._database.reading() as session:
            return tuple(_entry(row) for row in session.scalars(query))

    def last(self, subject: str) -> Entry | None:
        """The newest entry about a subject."""
        return next(iter(self.page(subject=subject, limit=1)), None)

    def verify(self) -> Chain:
        """Compute every hash anew, from the first row to the last or to the first broken one."""
        count, previous = 0, FIRST
        query = select(AuditRow).order_by(AuditRow.id).execution_options(yield_per=AT_ONCE)
        with self._database.reading() as session, closing(session.scalars(query)) as rows:
            for row in rows:
                told = f"row {row.id} of the audit ({row.created:%Y-%m-%d %H:%M:%S} UTC, {row.author}: {row.action})"
                if row.previous != previous:
                    return Chain(count, previous, f"{told} does not follow the row before it: one was taken out")
                if row.hash != row_hash(previous, row):
                    return Chain(count, previous, f"{told} was altered")
                count, previous = count + 1, row.hash
        return Chain(count, previous)


def _entry(row: AuditRow) -> Entry:
    return Entry(row.id, row.author, row.action, row.subject, row.reason, row.details, row.created, row.hash)
