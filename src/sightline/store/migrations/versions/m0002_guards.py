"""What people said, what a version holds, and who did what cannot be changed or deleted, whoever tries."""

from alembic import op

revision, down_revision = "0002", "0001"

GUARDED = ("annotations", "versions", "version_entries", "audit")
SQLITE = """CREATE TRIGGER guard_{table}_{action} BEFORE {action} ON {table}
BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed. Add a new one'); END"""
FUNCTION = """CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'rows of % are never changed. Add a new one', TG_TABLE_NAME; END $$"""
POSTGRESQL = """CREATE TRIGGER guard_{table} BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION guard()"""


def upgrade() -> None:
    """Put a guard before each table that only grows."""
    if op.get_bind().dialect.name == "sqlite":
        for table in GUARDED:
            for action in ("UPDATE", "DELETE"):
                op.execute(SQLITE.format(table=table, action=action))
        return
    op.execute(FUNCTION)
    for table in GUARDED:
        op.execute(POSTGRESQL.format(table=table))
