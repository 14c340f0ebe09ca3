"""Pictures that a station has kept: samples without a label yet, which know where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite

from sightline.store.database import Database
from sightline.store.images import StoredImage
from sightline.store.tables.base import now
from sightline.store.tables.samples import SampleRow

REASON = "collected"  # under this name a sample's details say why it was kept


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a picture was taken, of what, with what; `reason` says why it was kept, `verdict` what was said of it."""

    product: str
    name: str
    reason: str
    verdict: str
    station: str
    line: str | None = None
    lot: str | None = None
    serial: str | None = None
    recipe_hash: str | None = None
    exposure_us: float | None = None
    gain_db: float | None = None
    triggered: datetime | None = None
    details: dict[str, Any] = field(default_factory=dict)


def collect(database: Database, image: StoredImage, origin: Origin) -> None:
    """Make a sample of a stored image; one of that name and content that is there already is left as it is."""
    told = {name: str(value) for name in TOLD if (value := getattr(origin, name)) is not None}
    values = {
        **{name: getattr(origin, name) for name in ORIGIN},
        "hash": image.hash,
        "media_type": image.media_type,
        "bytes": image.bytes,
        "width": image.width,
        "height": image.height,
        "group": origin.serial,  # the views of a part stay together
        # What the columns have, as text: `Sample.metadata` is made of these, as with imported samples.
        "details": {**told, **origin.details, REASON: origin.reason, "verdict": origin.verdict},
        "created": now(),
    }
    insert = (sqlite if database.is_sqlite else postgresql).insert(SampleRow.__table__)
    with database.recording() as connection:
        connection.execute(insert.on_conflict_do_nothing(index_elements=["product", "name", "hash"]), values)


TOLD = ("station", "line", "serial", "recipe_hash", "exposure_us", "gain_db", "triggered")
ORIGIN = ("product", "name", "station", "line", "lot", "serial", "recipe_hash", "exposure_us", "gain_db", "triggered")
