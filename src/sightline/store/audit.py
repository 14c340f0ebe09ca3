"""Who did what and why, written in the transaction that does it. Each row is sealed with the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sightline.store.tables.base import now, to_us
from sightline.store.tables.line import AuditRow

LOCK = 0x51D47120  # of PostgreSQL: any number that no other program is likely to take
PENDING = "audit"
FIRST = "0" * 64  # stands before the first row


def note(session: Session, author: str, action: str, subject: str, reason: str = "", **details: Any) -> None:
    """Add one line to the audit when the transaction ends; `details` are plain JSON values, `reason` says why."""
    # As the database gives them back: keys become texts and tuples lists before they are hashed.
    plain = json.loads(json.dumps(details, ensure_ascii=False))
    row = AuditRow(author=author, action=action, subject=subject, reason=reason, details=plain, created=now())
    session.info.setdefault(PENDING, []).append(row)


def seal(session: Session) -> None:
    """Write what was noted, each row with the hash of the one before. The last thing that a transaction does.

    One transaction after the other gets here, so that no two rows follow the same one: on SQLite since it is the only
    writer, on PostgreSQL by a lock that goes with the transaction. Taken last, it waits for nobody who waits for it.
    """
    rows: list[AuditRow] = session.info.pop(PENDING, [])
    if not rows:
        return
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    previous = session.scalar(select(AuditRow.hash).order_by(AuditRow.id.desc()).limit(1)) or FIRST
    for row in rows:
        row.previous = previous
        row.hash = previous = row_hash(previous, row)
        session.add(row)
        session.flush()  # one by one: their ids are in this order


def row_hash(previous: str, row: AuditRow) -> str:
    """SHA-256 over the hash before and everything that the row says."""
    return content_hash(previous, row.author, row.action, row.subject, row.reason, row.details, row.created)


def content_hash(
    previous: str, author: str, action: str, subject: str, reason: str, details: dict[str, Any], created: datetime
) -> str:
    """SHA-256 over the JSON list of these values, keys sorted, the moment as microseconds since 1970."""
    content = [previous, author, action, subject, reason, details, to_us(created)]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
