"""Tables of images, what people say about them, and the dataset versions that are taken of both."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Hash, Key


class SampleRow(Base):
    """One image of a product. The same bytes may be there under several names; the file is kept once.

    `split`, `group` and `lot` are the present ones; a version keeps those of its day. `deleted_at` hides a
    sample from new versions; its row and its image stay, because old versions name them.
    """

    __tablename__ = "samples"

    id: Mapped[Key]
    product: Mapped[str]
    name: Mapped[str]
    hash: Mapped[Hash]  # SHA-256 of the file's bytes
    media_type: Mapped[str]  # for instance image/png
    bytes: Mapped[int]
    width: Mapped[int]  # px
    height: Mapped[int]  # px
    split: Mapped[str | None]  # train, test or None
    group: Mapped[str | None]
    lot: Mapped[str | None]
    serial: Mapped[str | None]
    station: Mapped[str | None]
    line: Mapped[str | None]
    recipe_hash: Mapped[Hash | None]  # the recipe that judged it at the station
    exposure_us: Mapped[float | None]
    gain_db: Mapped[float | None]
    triggered: Mapped[datetime | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)  # other columns of its source, text by name
    created: Mapped[datetime]
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("product", "name", "hash"),
        Index(None, "hash"),
        Index(None, "product", "lot"),
    )


class AnnotationRow(Base):
    """One person's word on one sample. Never changed: a newer one that is not blind supersedes it."""

    __tablename__ = "annotations"

    id: Mapped[Key]
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"))
    author: Mapped[str]
    created: Mapped[datetime]
    label: Mapped[str]  # good, defective or unknown
    types: Mapped[list[Any]] = mapped_column(default=list)
    regions: Mapped[list[Any]] = mapped_column(default=list)  # as sightline.store.annotations writes them
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


class VersionRow(Base):
    """One snapshot of a product's samples, numbered from 1. `hash` is over its content alone."""

    __tablename__ = "versions"

    id: Mapped[Key]
    product: Mapped[str]
    number: Mapped[int]
    hash: Mapped[Hash]
    samples: Mapped[int]  # how many
    frozen: Mapped[bool] = mapped_column(default=False)  # its test part is closed to every training
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id"))
    note: Mapped[str] = mapped_column(default="")
    author: Mapped[str]
    created: Mapped[datetime]

    __table_args__ = (UniqueConstraint("product", "number"), UniqueConstraint("product", "hash"))


class EntryRow(Base):
    """A sample in a version, as it was on that day."""

    __tablename__ = "version_entries"

    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("samples.id"), primary_key=True)
    annotation_id: Mapped[int | None] = mapped_column(ForeignKey("annotations.id"))
    split: Mapped[str | None]
    group: Mapped[str | None]
    lot: Mapped[str | None]
    digest: Mapped[Hash]  # over its content, the label's included

    __table_args__ = (Index(None, "sample_id"),)
