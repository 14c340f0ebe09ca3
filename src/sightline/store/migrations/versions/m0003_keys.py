"""A name of its own for every inspection: what a station delivers twice is there once."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    """Add the column; rows from before have none."""
    op.add_column("inspections", sa.Column("key", sa.String))
    op.create_index("uq_inspections_key", "inspections", ["key"], unique=True)
