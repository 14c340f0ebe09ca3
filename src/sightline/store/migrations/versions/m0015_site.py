"""Stations that send over HTTP, and verdicts by the hour in which they came."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0015", "0014"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and the column of the inspections."""
    op.add_column("inspections", sa.Column("received", sa.BigInteger, nullable=True))
    op.create_table(
        "senders",
        sa.Column("station", sa.String, nullable=False),
        sa.Column("instance", sa.String, nullable=False),
        sa.Column("journal", sa.String, nullable=False),
        sa.Column("sequence", LONG, nullable=False),
        sa.Column("missing", LONG, nullable=False),
        sa.Column("refused", LONG, nullable=False),
        sa.Column("heard", sa.BigInteger, nullable=False),
        sa.Column("offset_s", sa.Double, nullable=False),
        sa.Column("waiting", LONG, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("running", sa.JSON, nullable=False),
        sa.Column("other", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("station", name="pk_senders"),
    )
    op.create_table(
        "received",
        sa.Column("hour", LONG, nullable=False),
        sa.Column("station", sa.String, nullable=False),
        sa.Column("product", sa.String, nullable=False),
        sa.Column("recipe_hash", sa.String, nullable=False),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("count", LONG, nullable=False),
        sa.PrimaryKeyConstraint("hour", "station", "product", "recipe_hash", "verdict", name="pk_received"),
    )
