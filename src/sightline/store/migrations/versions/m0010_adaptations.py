"""What stations have learned since their recipes were made, and whether they learn by themselves."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0010", "0009"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "adaptations",
        sa.Column("id", LONG, nullable=False),
        sa.Column("station", sa.String, nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=False),
        sa.Column("number", LONG, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_adaptations"),
        sa.UniqueConstraint("station", "recipe_hash", "number", name="uq_adaptations_station_recipe_hash_number"),
    )
    is_active = sa.text("state = 'active'")
    op.create_index(
        "uq_adaptations_active",
        "adaptations",
        ["station", "recipe_hash"],
        unique=True,
        sqlite_where=is_active,
        postgresql_where=is_active,
    )
    op.create_table(
        "learning",
        sa.Column("station", sa.String, nullable=False),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("station", name="pk_learning"),
    )
