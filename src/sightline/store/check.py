"""Do the images and the rows agree? Finds the missing, the altered, and what no row names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from sightline.store.database import Database
from sightline.store.images import Images
from sightline.store.shelf import CHUNK, INCOMING, Kept
from sightline.store.tables.inspections import InspectionRow
from sightline.store.tables.labels import AnnotationRow
from sightline.store.tables.samples import SampleRow

GRACE_S = 3600  # a younger image without a row may belong to a program that is about to write the row
HASH_DIGITS = 64
DIGITS = "0123456789abcdef"
NAMING = (SampleRow.hash, AnnotationRow.mask_hash, InspectionRow.image_hash)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Check:
    """What was found: hashes of images that rows name and that are gone, or have other bytes; names of files that no
    row names. `repaired` says that the latter were removed.
    """

    images: int
    missing: tuple[str, ...]
    altered: tuple[str, ...]
    orphaned: tuple[str, ...]
    repaired: bool

    @property
    def ok(self) -> bool:
        """Whether rows and images agree now."""
        return not (self.missing or self.altered or (self.orphaned and not self.repaired))

    def to_json(self) -> dict[str, Any]:
        """The check as plain JSON values."""
        return {
            "ok": self.ok,
            "images": self.images,
            "missing": list(self.missing),
            "altered": list(self.altered),
            "orphaned": list(self.orphaned),
            "repaired": self.repaired,
        }


def check(
    database: Database, images: Images, repair: bool, grace_s: float, progress: Progress = lambda stage, done, of: None
) -> Check:
    """Read every image and compare it with its name, a sixteenth at a time; with `repair`, remove orphans.

    Images without a row that are younger than `grace_s` are left alone, since a row may be on its way.
    """
    stale = [kept.key for kept in images.shelf.listed(INCOMING) if kept.age_s >= grace_s]
    found = Check(0, (), (), tuple(sorted(stale)), repair)
    for key in stale if repair else ():
        images.shelf.remove(key)
    there = set(images.shelf.folders("images")) | set(images.shelf.folders("thumbnails"))
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
    return found


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
            images.shelf.remove(key)
    return Check(len(files), tuple(sorted(missing)), tuple(sorted(altered)), tuple(orphaned), repair)


def _look(images: Images, folders: set[str]) -> tuple[dict[str, Kept], dict[str, Kept]]:
    """Images and thumbnails in some folders, by the hash that their names give."""
    files, small = (
        {
            kept.key.rsplit("/", 1)[-1].split(".")[0]: kept
            for name in sorted(folders)
            for kept in images.shelf.listed(f"{kind}/{name}")
        }
        for kind in ("images", "thumbnails")
    )
    return files, small


def _orphaned(files: dict[str, Kept], named: set[str], grace_s: float) -> list[str]:
    return sorted(kept.key for digest, kept in files.items() if digest not in named and kept.age_s >= grace_s)


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
    digest = hashlib.sha256()
    try:
        with images.shelf.open(key) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        return ""
    return digest.hexdigest()
