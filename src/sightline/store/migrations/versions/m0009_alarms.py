"""Drift: alarms, the charts that raise them, and how far these have read."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0009", "0008"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "alarms",
        sa.Column("id", LONG, nullable=False),
        sa.Column("station", sa.String, nullable=False),
        sa.Column("view", sa.String, nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=False),
        sa.Column("cause", sa.String, nullable=False),
        sa.Column("since", LONG, nullable=False),
        sa.Column("number", LONG, nullable=False),
        sa.Column("again", LONG, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
        sa.Column("before_hash", sa.String(64)),
        sa.Column("after_hash", sa.String(64)),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("author", sa.String),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("acknowledged", sa.BigInteger),
        sa.Column("at", LONG),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
    )
    op.create_index("ix_alarms_state_id", "alarms", ["state", "id"])
    is_open = sa.text("state = 'open'")
    op.create_index(
        "uq_alarms_open",
        "alarms",
        ["station", "view", "recipe_hash", "cause"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_table(
        "charts",
        sa.Column("id", LONG, nullable=False),
        sa.Column("station", sa.String, nullable=False),
        sa.Column("view", sa.String, nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.JSON, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_charts"),
        sa.UniqueConstraint("station", "view", "recipe_hash", name="uq_charts_station_view_recipe_hash"),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("inspection", LONG, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
