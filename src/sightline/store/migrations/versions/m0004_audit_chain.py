"""The audit as a chain: each row carries the hash of the one before. Rows from before are sealed as they are now."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"

AUDIT = sa.table(
    "audit",
    *(sa.column(name) for name in ("id", "author", "action", "subject", "reason", "created", "previous", "hash")),
    sa.column("details", sa.JSON),
)
AT_ONCE = 1000
GUARD = """CREATE TRIGGER guard_audit_UPDATE BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed. Add a new one'); END"""


def upgrade() -> None:
    """Add the columns and fill them; the guard that refuses changes is away meanwhile, within this transaction."""
    for name in ("reason", "previous", "hash"):
        op.add_column("audit", sa.Column(name, sa.String, nullable=False, server_default=""))
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute("DROP TRIGGER guard_audit_UPDATE" if sqlite else "ALTER TABLE audit DISABLE TRIGGER guard_audit")
    _seal(op.get_bind())
    op.execute(GUARD if sqlite else "ALTER TABLE audit ENABLE TRIGGER guard_audit")


def _seal(connection: sa.Connection) -> None:
    previous, last = "0" * 64, 0
    one = sa.update(AUDIT).where(AUDIT.c.id == sa.bindparam("row"))
    change = one.values(previous=sa.bindparam("before"), hash=sa.bindparam("sealed"))
    while rows := connection.execute(
        sa.select(AUDIT).where(AUDIT.c.id > last).order_by(AUDIT.c.id).limit(AT_ONCE)
    ).all():
        values = []
        for row in rows:
            content = [previous, row.author, row.action, row.subject, row.reason, row.details, row.created]
            text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            sealed = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            values.append({"row": row.id, "before": previous, "sealed": sealed})
            previous, last = sealed, row.id
        connection.execute(change, values)
