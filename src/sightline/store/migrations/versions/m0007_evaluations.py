"""Evaluations of recipes, with how each picture was judged."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0007", "0006"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "evaluations",
        sa.Column("id", LONG, nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=False),
        sa.Column("data", sa.String, nullable=False),
        sa.Column("job", LONG),
        sa.Column("figures", sa.JSON, nullable=False),
        sa.Column("judged", sa.JSON, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_evaluations"),
    )
    op.create_index("ix_evaluations_recipe_hash_id", "evaluations", ["recipe_hash", "id"])
