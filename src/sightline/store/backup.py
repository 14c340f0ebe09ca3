"""A backup in one folder: the database as it was at one moment, and every image that it names."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import inspect

from sightline.core.errors import InputError, StoreError
from sightline.store.database import Database
from sightline.store.images import Images
from sightline.store.schema import NEWEST
from sightline.store.server import dump, load
from sightline.store.shelf import Shelf
from sightline.store.tables.base import now

MANIFEST, SQLITE, POSTGRESQL = "backup.json", "store.db", "store.dump"
BEGUN = ".begun"  # a backup that was stopped goes on in its folder
FOLDERS = ("images", "thumbnails")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup or a restore has copied; `images` counts files that were not there yet, thumbnails aside."""

    folder: str
    database: str
    images: int

    def to_json(self) -> dict[str, Any]:
        """The backup as plain JSON values."""
        return {"folder": self.folder, "database": self.database, "images": self.images}


def back_up(database: Database, images: Images, folder: Path, progress: Progress) -> Backup:
    """Copy a store to a new or empty folder, or bring an earlier backup there up to date; the store stays in use.

    Raises InputError for a folder of something else, StoreError where it cannot be written.
    """
    mine = any((folder / name).is_file() for name in (MANIFEST, BEGUN))
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not mine)):
        raise InputError(f"{folder}: is in use. Name a new or an empty folder, or that of an earlier backup")
    name = SQLITE if database.is_sqlite else POSTGRESQL
    target = Shelf(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BEGUN).touch()
        # The database first: the images that it names are kept by then, and none of them ever changes. It takes its
        # place when they are copied: until then the folder holds the earlier backup, whole.
        draft = folder / f".{name}"
        draft.unlink(missing_ok=True)
        _save(database, draft)
        _sync(draft)
        copied = _copy(images.shelf, target, progress)
        text = json.dumps({"schema": NEWEST, "database": name, "created": now().isoformat()})
        manifest = folder / f".{MANIFEST}"
        manifest.write_text(text + "\n")
        _sync(manifest)
        draft.replace(folder / name)
        manifest.replace(folder / MANIFEST)
        (folder / BEGUN).unlink(missing_ok=True)
        _sync(folder)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{folder}: the backup could not be written ({error}). Free space or choose another"
        ) from error
    return Backup(str(folder), name, copied)


def restore_backup(folder: Path, database: Database, images: Images, progress: Progress) -> Backup:
    """Copy a backup into an empty or missing database, and its images beside those that are there.

    Raises InputError where the folder holds no whole backup, StoreError where the database is in use or of another
    kind.
    """
    name = _manifest(folder)["database"]
    if (name == SQLITE) != database.is_sqlite:
        kind = "SQLite" if name == SQLITE else "PostgreSQL"
        raise StoreError(f"{folder}: is the backup of {kind}. Restore it into a database of that kind")
    with database.reading() as session:
        if inspect(session.connection()).get_table_names():
            raise StoreError(f"{database.name}: is in use. Restore into a new database, then change over to it")
    copied = _copy(Shelf(folder), images.shelf, progress)  # images first, as always
    database.close()
    if database.file is None:
        load(database.url, folder / name)
    else:
        with closing(sqlite3.connect(folder / name)) as source, closing(sqlite3.connect(database.file)) as target:
            source.backup(target)
    return Backup(str(folder), name, copied)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = dict(json.loads((folder / MANIFEST).read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{folder}: holds no whole backup. Make one with: sightline store backup FOLDER") from error
    if found.get("database") not in {SQLITE, POSTGRESQL} or not (folder / found["database"]).is_file():
        raise InputError(f"{folder}: the backup's database is missing. Take another backup")
    if found.get("schema", "") > NEWEST:
        raise StoreError(f"{folder}: made by a newer Sightline. Upgrade with: pip install -U sightline")
    return found


def _save(database: Database, path: Path) -> None:
    if database.file is None:
        dump(database.url, path)
        return
    with closing(sqlite3.connect(database.file)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy(source: Shelf, target: Shelf, progress: Progress) -> int:
    """Copy what is not there yet; returns the number of images."""
    copied = 0
    folders = [f"{kind}/{name}" for kind in FOLDERS for name in source.folders(kind)]
    for done, folder in enumerate(folders, start=1):
        there = {kept.key for kept in target.listed(folder)}
        for kept in list(source.listed(folder)):
            if kept.key in there:
                continue
            try:
                with source.open(kept.key) as file:
                    target.write(kept.key, file)
            except FileNotFoundError:  # an old picture, cleared away since the folder was listed
                continue
            copied += folder.startswith("images/")
        progress("copying", done, len(folders))
    return copied
