"""Dataset versions: snapshots that never change."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sightline.store.tables.base import Base, Hash, Key


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
