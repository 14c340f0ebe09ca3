"""Studies with their parts and readings, and records that people sign; none of what was said is changed afterwards."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0011", "0010"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
GUARDED = ("study_parts", "study_readings", "records", "signatures")
SQLITE = """CREATE TRIGGER guard_{table}_{action} BEFORE {action} ON {table}
BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed. Add a new one'); END"""
POSTGRESQL = """CREATE TRIGGER guard_{table} BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION guard()"""


def upgrade() -> None:
    """Make the tables, and put a guard before those that only grow."""
    _records()
    _studies()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table in GUARDED:
        for action in ("UPDATE", "DELETE") if sqlite else ("",):
            op.execute((SQLITE if sqlite else POSTGRESQL).format(table=table, action=action))


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("id", LONG, nullable=False),
        *_texts("kind", "subject", "title"),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        *_texts("author"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_records"),
    )
    op.create_index("ix_records_subject", "records", ["subject"])
    op.create_index("ix_records_kind_id", "records", ["kind", "id"])
    op.create_table(
        "signatures",
        sa.Column("id", LONG, nullable=False),
        sa.Column("record_id", LONG, nullable=False),
        sa.Column("record_hash", sa.String(64), nullable=False),
        *_texts("meaning", "author", "role", "comment"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_signatures"),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name="fk_signatures_record_id"),
        sa.UniqueConstraint("previous", name="uq_signatures_previous"),
    )
    op.create_index("ix_signatures_record_id", "signatures", ["record_id"])
    op.create_table(
        "kept_images",
        sa.Column("hash", sa.String(64), nullable=False),
        *_texts("subject"),
        sa.PrimaryKeyConstraint("hash", "subject", name="pk_kept_images"),
    )


def _studies() -> None:
    op.create_table(
        "studies",
        sa.Column("id", LONG, nullable=False),
        *_texts("name", "kind", "product", "question"),
        sa.Column("trials", LONG, nullable=False),
        sa.Column("seed", LONG, nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("appraisers", sa.JSON, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        *_texts("state"),
        sa.Column("record_id", LONG),
        *_texts("author"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("closed", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name="fk_studies_record_id"),
    )
    op.create_table(
        "study_parts",
        sa.Column("study_id", LONG, nullable=False),
        sa.Column("number", LONG, nullable=False),
        *_texts("label"),
        sa.Column("reference", sa.String),
        *_texts("type"),
        sa.Column("size", sa.Double),
        sa.Column("images", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_study_parts"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_study_parts_study_id"),
    )
    op.create_table(
        "study_readings",
        sa.Column("id", LONG, nullable=False),
        sa.Column("study_id", LONG, nullable=False),
        *_texts("appraiser"),
        sa.Column("trial", LONG, nullable=False),
        sa.Column("part", LONG, nullable=False),
        sa.Column("answer", sa.String),
        sa.Column("value", sa.Double),
        sa.Column("details", sa.JSON, nullable=False),
        *_texts("author"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_study_readings"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_study_readings_study_id"),
        sa.UniqueConstraint(
            "study_id", "appraiser", "trial", "part", name="uq_study_readings_study_id_appraiser_trial_part"
        ),
    )
