"""Images that people label and recipes learn from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
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
