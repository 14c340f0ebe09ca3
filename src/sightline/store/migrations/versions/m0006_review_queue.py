"""The review queue fills itself: which reviews the line asked for, for whom one is meant, and what an answer wrote."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0006", "0005"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns; reviews from before were asked for by people."""
    for name in ("automatic", "pilot"):
        op.add_column("reviews", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    for name in ("regions", "annotations"):
        op.add_column("reviews", sa.Column(name, sa.JSON, nullable=False, server_default="[]"))
    op.add_column("reviews", sa.Column("addressee", sa.String))
    op.add_column("reviews", sa.Column("grade", LONG))
    op.create_index("ix_reviews_first_id", "reviews", ["first_id"])
    op.create_index("ix_reviews_author_answered", "reviews", ["author", "answered"])
