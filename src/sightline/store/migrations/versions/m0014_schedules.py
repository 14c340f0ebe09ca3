"""When a product's recipe is to be improved without anybody asking for it."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0014", "0013"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "schedules",
        sa.Column("product", sa.String, nullable=False),
        sa.Column("labels", LONG, nullable=True),
        sa.Column("days", sa.Double, nullable=True),
        sa.Column("drift", sa.Boolean, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("product", name="pk_schedules"),
    )
