"""What people say about samples, and the book that tells them what to say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Hash, Key


class AnnotationRow(Base):
    """One person's word on one sample. Never changed: a newer one that is not blind supersedes it."""

    __tablename__ = "annotations"

    id: Mapped[Key]
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    author: Mapped[str]
    created: Mapped[datetime]
    label: Mapped[str]  # good, defective or unknown
    types: Mapped[list[Any]] = mapped_column(default=list)
    regions: Mapped[list[Any]] = mapped_column(default=list)  # as sightline.store.shapes writes them
    mask_hash: Mapped[Hash | None]  # an image, non-zero on the defect, where the source had one
    grade: Mapped[int | None]
    note: Mapped[str] = mapped_column(default="")
    suggested_by: Mapped[Hash | None]  # recipe that suggested it
    outcome: Mapped[str | None]  # of the suggestion: accepted or corrected
    blind: Mapped[bool] = mapped_column(default=False)  # a second label, given without seeing the first

    __table_args__ = (Index(None, "sample_id", "blind", "id"), Index(None, "mask_hash"))


class DefectTypeRow(Base):
    """A page of the defect book: what a type is, and what it is not."""

    __tablename__ = "defect_types"

    id: Mapped[Key]
    product: Mapped[str]
    name: Mapped[str]
    guideline: Mapped[str] = mapped_column(default="")
    examples: Mapped[list[Any]] = mapped_column(default=list)  # ids of samples, as the next two
    counter_examples: Mapped[list[Any]] = mapped_column(default=list)
    borderline: Mapped[list[Any]] = mapped_column(default=list)
    min_mm: Mapped[float | None]  # smaller ones do not count
    max_mm: Mapped[float | None]  # larger ones always do
    author: Mapped[str]
    updated: Mapped[datetime]

    __table_args__ = (UniqueConstraint("product", "name"),)


class FindingRow(Base):
    """Something that curation noticed, and what a person did about it. The same finding has the same key."""

    __tablename__ = "findings"

    id: Mapped[Key]
    product: Mapped[str]
    key: Mapped[str]
    kind: Mapped[str]  # for instance duplicate, leak, blur, label
    subjects: Mapped[list[Any]] = mapped_column(default=list)  # ids of samples
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(default="open")  # open, applied or dismissed
    decided_by: Mapped[str | None]
    note: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime]
    updated: Mapped[datetime]

    __table_args__ = (UniqueConstraint("product", "key"), Index(None, "product", "state"))
