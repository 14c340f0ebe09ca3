"""Who did what, written in the transaction that does it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from sightline.store.tables.base import now
from sightline.store.tables.line import AuditRow


def note(session: Session, author: str, action: str, subject: str, **details: Any) -> None:
    """Add one line to the audit; `details` are plain JSON values."""
    session.add(AuditRow(author=author, action=action, subject=subject, details=details, created=now()))
