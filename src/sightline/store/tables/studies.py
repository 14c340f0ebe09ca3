"""Tables of studies and of signed records: what was asked, what each appraiser read, what was concluded and signed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Hash, Key


class StudyRow(Base):
    """A study as it was designed. Only its state and its record change."""

    __tablename__ = "studies"

    id: Mapped[Key]
    name: Mapped[str]
    kind: Mapped[str]  # attribute, knapp, acceptance, repeatability, limit or capability
    product: Mapped[str]
    question: Mapped[str]  # what appraisers are asked about each part
    trials: Mapped[int]
    seed: Mapped[int]  # of the random orders
    blind: Mapped[bool]  # appraisers do not see which part it is
    appraisers: Mapped[list[Any]]  # {"name", "kind": person or machine}
    settings: Mapped[dict[str, Any]]  # limits that were agreed
    state: Mapped[str] = mapped_column(default="open")  # or closed: no reading any more
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
    author: Mapped[str]
    created: Mapped[datetime]
    closed: Mapped[datetime | None]


class StudyPartRow(Base):
    """A part of a study, with what it is known to be. Rows are only ever added."""

    __tablename__ = "study_parts"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str]
    reference: Mapped[str | None]  # OK or NG
    type: Mapped[str] = mapped_column(default="")  # of its defect
    size: Mapped[float | None]  # of its defect, mm or whatever the study says
    images: Mapped[list[Any]]  # hashes, one for each presentation; none where the parts themselves are presented


class StudyReadingRow(Base):
    """What one appraiser said of one part in one trial. Rows are only ever added."""

    __tablename__ = "study_readings"

    id: Mapped[Key]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    appraiser: Mapped[str]
    trial: Mapped[int]
    part: Mapped[int]
    answer: Mapped[str | None]  # OK or NG
    value: Mapped[float | None]  # what was measured, a machine's score for one
    details: Mapped[dict[str, Any]]  # a machine's verdict and place
    author: Mapped[str]
    created: Mapped[datetime]

    __table_args__ = (UniqueConstraint("study_id", "appraiser", "trial", "part"),)


class RecordRow(Base):
    """Something concluded, whole in itself, that people sign. Rows are only ever added."""

    __tablename__ = "records"

    id: Mapped[Key]
    kind: Mapped[str]  # study, pilot, audit or qualification
    subject: Mapped[str]  # for instance study 3
    title: Mapped[str]
    content: Mapped[dict[str, Any]]
    hash: Mapped[Hash]  # over all of the above, its author and moment
    author: Mapped[str]
    created: Mapped[datetime]

    __table_args__ = (Index(None, "subject"), Index(None, "kind", "id"))


class SignatureRow(Base):
    """A person's signature under a record, sealed with the hash of the signature before. Rows are only ever added."""

    __tablename__ = "signatures"

    id: Mapped[Key]
    record_id: Mapped[int] = mapped_column(ForeignKey("records.id"))
    record_hash: Mapped[Hash]
    meaning: Mapped[str]  # performed, reviewed or approved
    author: Mapped[str]
    role: Mapped[str]
    comment: Mapped[str]
    created: Mapped[datetime]
    previous: Mapped[Hash]
    hash: Mapped[Hash]

    __table_args__ = (UniqueConstraint("previous"), Index(None, "record_id"))


class KeptImageRow(Base):
    """An image that stays as long as what it belongs to, for instance study 3."""

    __tablename__ = "kept_images"

    hash: Mapped[Hash] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)


class AuditPlanRow(Base):
    """The steps of a product's audit. Rows are only ever added: another plan takes the place of an older one."""

    __tablename__ = "audit_plans"

    id: Mapped[Key]
    product: Mapped[str]
    name: Mapped[str]
    steps: Mapped[list[Any]]  # as sightline.store.product_audits.Step
    blind: Mapped[bool]  # the person answers before seeing what the model says
    recipe_hash: Mapped[Hash | None]
    author: Mapped[str]
    created: Mapped[datetime]


class ProductAuditRow(Base):
    """One part that is audited by a plan. Only its state and its record change."""

    __tablename__ = "product_audits"

    id: Mapped[Key]
    plan_id: Mapped[int] = mapped_column(ForeignKey("audit_plans.id"))
    serial: Mapped[str]
    lot: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")  # or closed
    record_id: Mapped[int | None] = mapped_column(ForeignKey("records.id"))
    author: Mapped[str]
    created: Mapped[datetime]


class AuditAnswerRow(Base):
    """What was found at one step. Rows are only ever added."""

    __tablename__ = "audit_answers"

    audit_id: Mapped[int] = mapped_column(ForeignKey("product_audits.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    answer: Mapped[str]  # OK or NG
    reason: Mapped[str]
    value: Mapped[float | None]
    photo: Mapped[Hash | None]
    opinion: Mapped[dict[str, Any]]  # of the model, with whether it was seen before the answer; {} without one
    author: Mapped[str]
    created: Mapped[datetime]


class DeviationRow(Base):
    """Something that an audit found and that has to be followed up."""

    __tablename__ = "deviations"

    id: Mapped[Key]
    audit_id: Mapped[int] = mapped_column(ForeignKey("product_audits.id"))
    step: Mapped[int]
    text: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")  # or done
    note: Mapped[str] = mapped_column(default="")  # what was done
    done_by: Mapped[str | None]
    created: Mapped[datetime]
    done: Mapped[datetime | None]

    __table_args__ = (Index(None, "state", "id"),)
