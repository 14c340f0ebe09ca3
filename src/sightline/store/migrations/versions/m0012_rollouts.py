"""Recipes rolled out to stations, and what each station is to run and runs."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0012", "0011"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "rollouts",
        sa.Column("id", LONG, nullable=False),
        sa.Column("product", sa.String, nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=False),
        sa.Column("stations", sa.JSON, nullable=False),
        sa.Column("parts", LONG, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
    under_way = sa.text("state IN ('canary', 'rolling')")
    op.create_index(
        "uq_rollouts_product", "rollouts", ["product"], unique=True, sqlite_where=under_way, postgresql_where=under_way
    )
    op.create_table(
        "assignments",
        sa.Column("station", sa.String, nullable=False),
        sa.Column("product", sa.String, nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=True),
        sa.Column("rollout", LONG, nullable=True),
        sa.Column("running_hash", sa.String(64), nullable=True),
        sa.Column("ran_hash", sa.String(64), nullable=True),
        sa.Column("since", LONG, nullable=False),
        sa.Column("fault", sa.String, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("station", "product", name="pk_assignments"),
    )
