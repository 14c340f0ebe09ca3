"""What the web app needs: sessions, tokens, stored replies, stations, a job's lines, and how a review came about."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0005", "0004"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.BigInteger
HASH = sa.String(64)


def upgrade() -> None:
    """Make the tables and add the columns."""
    _people()
    _work()
    _add("users", sa.Column("pin", sa.String), sa.Column("failures", LONG, nullable=False, server_default="0"))
    _add("users", sa.Column("locked_until", MOMENT), sa.Column("updated", MOMENT))
    _add("jobs", sa.Column("attempts", LONG, nullable=False, server_default="0"), sa.Column("cancelled_by", sa.String))
    _add("reviews", sa.Column("purpose", sa.String, nullable=False, server_default="review"))
    _add("reviews", sa.Column("expected", sa.String), sa.Column("first_id", LONG))


def _add(table: str, *columns: sa.Column[Any]) -> None:
    for column in columns:
        op.add_column(table, column)


def _people() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", HASH, nullable=False),
        sa.Column("user_id", LONG, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("seen", MOMENT, nullable=False),
        sa.Column("by_pin", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "tokens",
        sa.Column("id", LONG, nullable=False),
        sa.Column("user_id", LONG, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("expires", MOMENT),
        sa.Column("revoked", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("hash", name="uq_tokens_hash"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id"),
    )
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    op.create_table(
        "replies",
        sa.Column("key", HASH, nullable=False),
        sa.Column("request", HASH, nullable=False),
        sa.Column("status", LONG),
        sa.Column("headers", sa.JSON, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_replies"),
    )
    op.create_index("ix_replies_created", "replies", ["created"])


def _work() -> None:
    op.create_table(
        "stations",
        sa.Column("id", LONG, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("token_env", sa.String, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("updated", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stations"),
        sa.UniqueConstraint("name", name="uq_stations_name"),
    )
    op.create_table(
        "job_lines",
        sa.Column("id", LONG, nullable=False),
        sa.Column("job_id", LONG, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_lines"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_lines_job_id"),
    )
    op.create_index("ix_job_lines_job_id_id", "job_lines", ["job_id", "id"])
