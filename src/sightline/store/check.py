"""Do the images and the rows agree, and is the database whole? Finds the missing, the altered, and what no row names.

SQLite answers queries from a damaged file without an error for as long as it can, so its own checks are run first.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from sightline.core.errors import StoreError
from sightline.core.progress import Progress, unwatched
from sightline.store.audit_log import AuditLog, Chain
from sightline.store.blobs import INCOMING, StoredFile
from sightline.store.database import Database
from sightline.store.images import Images
from sightline.store.tables.labels import AnnotationRow, SampleRow
from sightline.store.tables.line import InspectionRow
from sightline.store.tables.studies import KeptImageRow

GRACE_S = 3600  # a younger image without a row may belong to a program that is about to write the row
HASH_DIGITS = 64
DIGITS = "0123456789abcdef"
NAMING = (SampleRow.hash, AnnotationRow.mask_hash, InspectionRow.image_hash, KeptImageRow.hash)
MAX = 20  # faults in one list: a damaged page leads to hundreds
WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """What was found: hashes of images that rows name and that are gone, or have other bytes; names of files that no
    row names. `repaired` says that the latter were removed. `damage`: what is wrong with the database itself; no image
    was looked at then. `audit` is the chain of who did what, with its first broken row.
    """

    images: int
    missing: tuple[str, ...]
    altered: tuple[str, ...]
    orphaned: tuple[str, ...]
    repaired: bool
    damage: tuple[str, ...] = ()
    audit: Chain = field(default_factory=Chain)

    @property
    def ok(self) -> bool:
        """Whether rows and images agree now, and the audit is whole."""
        wrong = self.damage or self.missing or self.altered or self.audit.broken
        return not (wrong or (self.orphaned and not self.repaired))

    def to_json(self) -> dict[str, Any]:
        """The check as plain JSON values."""
        return {
            "ok": self.ok,
            "damage": list(self.damage),
            "images": self.images,
            "missing": list(self.missing),
            "altered": list(self.altered),
            "orphaned": list(self.orphaned),
            "repaired": self.repaired,
            "audit": asdict(self.audit),
        }


def check(database: Database, images: Images, repair: bool, grace_s: float, progress: Progress = unwatched) -> Check:
    """Check the database, then read every image and compare it with its name; with `repair`, remove orphans.

    Where the database is damaged, rows may be out of sight: no image is called an orphan then, and nothing is removed.
    Images without a row that are younger than `grace_s` are left alone, since a row may be on its way.
    """
    damage = () if database.file is None else find_damage(database.file)
    if damage:
        return Check(0, (), (), (), repaired=False, damage=damage)
    stale = [stored.key for stored in images.blobs.listed(INCOMING) if stored.age_s >= grace_s]
    found = Check(0, (), (), tuple(sorted(stale)), repair)
    for key in stale if repair else ():
        images.blobs.remove(key)
    there = set(images.blobs.folders("images")) | set(images.blobs.folders("thumbnails"))
    for done, digit in enumerate(DIGITS, start=1):
        part = _check_part(database, images, digit, {name for name in there if name.startswith(digit)}, repair, grace_s)
        found = Check(
            found.images + part.images,
            found.missing + part.missing,
            found.altered + part.altered,
            found.orphaned + part.orphaned,
            repair,
        )
        progress("checking", done, len(DIGITS))
    return replace(found, audit=AuditLog(database).verify())


def _check_part(
    database: Database, images: Images, digit: str, folders: set[str], repair: bool, grace_s: float
) -> Check:
    """All images whose hash begins with one digit: a sixteenth of them is in memory at a time."""
    # The files first: a row that comes later has its image already, and counts as neither missing nor orphaned.
    files, small = _look(images, folders)
    named = _named(database, digit)
    missing = named - set(files)
    if missing:
        missing -= set(_look(images, {digest[:2] for digest in missing})[0])  # some came after the first look
    altered = [digest for digest in named & set(files) if _hash(images, files[digest].key) not in {digest, ""}]
    orphaned = _orphaned(files, named, grace_s) + _orphaned(small, named, grace_s)
    if repair and orphaned:
        # Somebody may have added one of them anew in the meantime: then it is young again, or has its row.
        again, small = _look(images, folders)
        named = _named(database, digit)
        orphaned = _orphaned(again, named, grace_s) + _orphaned(small, named, grace_s)
        for key in orphaned:
            images.blobs.remove(key)
    return Check(len(files), tuple(sorted(missing)), tuple(sorted(altered)), tuple(orphaned), repair)


def _look(images: Images, folders: set[str]) -> tuple[dict[str, StoredFile], dict[str, StoredFile]]:
    """Images and thumbnails in some folders, by the hash that their names give."""
    files, small = (
        {
            stored.key.rsplit("/", 1)[-1].split(".")[0]: stored
            for name in sorted(folders)
            for stored in images.blobs.listed(f"{kind}/{name}")
        }
        for kind in ("images", "thumbnails")
    )
    return files, small


def _orphaned(files: dict[str, StoredFile], named: set[str], grace_s: float) -> list[str]:
    return sorted(stored.key for digest, stored in files.items() if digest not in named and stored.age_s >= grace_s)


def _named(database: Database, digit: str) -> set[str]:
    """Hashes with this first digit that rows name."""
    first, last = (digit + end * (HASH_DIGITS - 1) for end in "0f")
    with database.reading() as session:
        return {
            digest
            for column in NAMING
            for digest in session.scalars(select(column).distinct().where(column.between(first, last)))
            if digest is not None
        }


def _hash(images: Images, key: str) -> str:
    """SHA-256 of a file; empty where it has gone since it was listed."""
    try:
        return images.blobs.digest(key)
    except FileNotFoundError:
        return ""


def find_damage(file: Path, alone: bool = False) -> tuple[str, ...]:
    """What SQLite's own checks of pages, indices, constraints and foreign keys find; nothing where all is well.

    `alone`: no program has the file open, and nothing is written beside it. Raises StoreError where it does not open.
    """
    how = "mode=ro&immutable=1" if alone else "mode=rw"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?{how}", uri=True, timeout=WAIT_S)) as connection:
            connection.execute("PRAGMA cell_size_check=ON")
            told = [str(text) for (text,) in connection.execute(f"PRAGMA integrity_check({MAX})")]
            found = [line for text in told if text != "ok" for line in text.splitlines()]
            for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(MAX):
                found.append(f"row {row} of {table} names a row of {parent} that is not there")
            return tuple(found[:MAX])
    except sqlite3.OperationalError as error:
        raise StoreError(f"{file}: cannot be checked ({error}). Check the file, its folder and the disk") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return (str(error),)  # so damaged that not even the check comes to its end
