"""Product audits: plans with their steps, what was found at each, and deviations to follow up."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0013", "0012"

LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
GUARDED = ("audit_plans", "audit_answers")
SQLITE = """CREATE TRIGGER guard_{table}_{action} BEFORE {action} ON {table}
BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed. Add a new one'); END"""
POSTGRESQL = """CREATE TRIGGER guard_{table} BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION guard()"""


def upgrade() -> None:
    """Make the tables, and put a guard before those that only grow."""
    _plans()
    _answers()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table in GUARDED:
        for action in ("UPDATE", "DELETE") if sqlite else ("",):
            op.execute((SQLITE if sqlite else POSTGRESQL).format(table=table, action=action))


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def _plans() -> None:
    op.create_table(
        "audit_plans",
        sa.Column("id", LONG, nullable=False),
        *_texts("product", "name"),
        sa.Column("steps", sa.JSON, nullable=False),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("recipe_hash", sa.String(64)),
        *_texts("author"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_plans"),
    )
    op.create_table(
        "product_audits",
        sa.Column("id", LONG, nullable=False),
        sa.Column("plan_id", LONG, nullable=False),
        *_texts("serial", "lot", "state"),
        sa.Column("record_id", LONG),
        *_texts("author"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_product_audits"),
        sa.ForeignKeyConstraint(["plan_id"], ["audit_plans.id"], name="fk_product_audits_plan_id"),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name="fk_product_audits_record_id"),
    )


def _answers() -> None:
    op.create_table(
        "audit_answers",
        sa.Column("audit_id", LONG, nullable=False),
        sa.Column("step", LONG, nullable=False),
        *_texts("answer", "reason"),
        sa.Column("value", sa.Double),
        sa.Column("photo", sa.String(64)),
        sa.Column("opinion", sa.JSON, nullable=False),
        *_texts("author"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("audit_id", "step", name="pk_audit_answers"),
        sa.ForeignKeyConstraint(["audit_id"], ["product_audits.id"], name="fk_audit_answers_audit_id"),
    )
    op.create_table(
        "deviations",
        sa.Column("id", LONG, nullable=False),
        sa.Column("audit_id", LONG, nullable=False),
        sa.Column("step", LONG, nullable=False),
        *_texts("text", "state", "note"),
        sa.Column("done_by", sa.String),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("done", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_deviations"),
        sa.ForeignKeyConstraint(["audit_id"], ["product_audits.id"], name="fk_deviations_audit_id"),
    )
    op.create_index("ix_deviations_state_id", "deviations", ["state", "id"])
