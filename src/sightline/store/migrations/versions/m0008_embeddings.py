"""What recipes made of pictures that were kept, so that parts that look alike are found."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0008", "0007"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "embeddings",
        sa.Column("id", LONG, nullable=False),
        sa.Column("part", sa.String, nullable=False),
        sa.Column("view", sa.String, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_embeddings"),
        sa.UniqueConstraint("part", "view", name="uq_embeddings_part_view"),
    )
    op.create_index("ix_embeddings_recipe_hash_id", "embeddings", ["recipe_hash", "id"])
    op.create_index("ix_embeddings_hash", "embeddings", ["hash"])
