"""A backup in one folder: the database as it was at one moment, and every image that it names."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, inspect

from sightline.core.errors import InputError, StoreError
from sightline.core.figures import Figures
from sightline.core.files import make_private
from sightline.core.progress import Progress
from sightline.store.blobs import BlobStore, sync
from sightline.store.check import find_damage
from sightline.store.database import NEWEST, Database
from sightline.store.images import Images
from sightline.store.tables.base import now

MANIFEST = "backup.json"
BEGUN = ".begun"  # a backup that was stopped goes on in its folder
FOLDERS = ("images", "thumbnails")
SQLITE, POSTGRESQL = ".db", ".dump"
DATABASE = re.compile(r"store(-[0-9TZ]+)?\.(db|dump)")
KEEP = 7  # copies of the database in one backup, the newest included
PROGRAM_FOLDERS = "/usr/lib/postgresql"


@dataclass(frozen=True, slots=True)
class Backup(Figures):
    """What a backup or a restore has copied; `images` counts files that were not there yet, thumbnails aside.

    `altered` are the hashes of images that have other bytes than their name says, and were left out.
    """

    folder: str
    database: str
    images: int
    altered: tuple[str, ...] = ()


def back_up(database: Database, images: Images, folder: Path, progress: Progress, keep: int = KEEP) -> Backup:
    """Copy a store to a new or empty folder, or bring an earlier backup there up to date; the store stays in use.

    The database is checked before it is copied, and the copy before it counts; the `keep` newest copies stay.
    Raises InputError for a folder of something else, StoreError where the database is damaged (the backup that is there
    stays as it is then), or the folder cannot be written.
    """
    mine = any((folder / name).is_file() for name in (MANIFEST, BEGUN))
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not mine)):
        raise InputError(f"{folder}: is in use. Name a new or an empty folder, or that of an earlier backup")
    if database.file is not None:
        _refuse_damage(find_damage(database.file), database.name, f"Nothing was copied, and {folder} is as it was")
    created = now()
    name = f"store-{created:%Y%m%dT%H%M%S%f}Z{SQLITE if database.is_sqlite else POSTGRESQL}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BEGUN).touch()
        for left in folder.glob(".store*"):
            left.unlink()
        # The database first: the images that it names are kept by then, and none of them ever changes. It counts once
        # they are copied and the manifest names it: until then the folder holds the earlier backup, whole.
        draft = folder / f".{name}"
        make_private(draft)
        _save(database, draft)
        sync(draft)
        copied, altered = _copy(images.blobs, BlobStore(folder), progress)
        entry = {"schema": NEWEST, "database": name, "created": created.isoformat(), "sha256": _sha256(draft)}
        draft.replace(folder / name)
        _publish(folder, entry, keep)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{folder}: the backup could not be written ({error}). Free space or choose another"
        ) from error
    return Backup(str(folder), name, copied, altered)


def restore_backup(
    folder: Path, database: Database, images: Images, progress: Progress, generation: str | None = None
) -> Backup:
    """Copy a backup into an empty or missing database, and its images beside those that are there.

    `generation` is the time of an earlier copy, or its beginning (20261128T2304). Raises InputError where the folder
    holds no complete backup, StoreError where its database is damaged, or the new one is in use or of another kind.
    """
    entry = _chosen(folder, generation)
    name = str(entry["database"])
    if name.endswith(SQLITE) != database.is_sqlite:
        kind = "SQLite" if name.endswith(SQLITE) else "PostgreSQL"
        raise StoreError(f"{folder}: is the backup of {kind}. Restore it into a database of that kind")
    with database.reading() as session:
        if inspect(session.connection()).get_table_names():
            raise StoreError(f"{database.name}: is in use. Restore into a new database, then change over to it")
    _check_copy(folder, entry)
    copied, altered = _copy(BlobStore(folder), images.blobs, progress)  # images first, as always
    database.close()
    if database.file is None:
        load(database.url, folder / name)
    else:
        alone = f"{(folder / name).absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(alone, uri=True)) as source, closing(sqlite3.connect(database.file)) as target:
            source.backup(target)
        _refuse_damage(find_damage(database.file), database.name, "It was not written as it was read. Check its disk")
    return Backup(str(folder), name, copied, altered)


def _refuse_damage(found: tuple[str, ...], name: str, remedy: str) -> None:
    if found:
        raise StoreError(
            f"{name}: the database is damaged ({found[0]}; {len(found)} faults found). {remedy}. "
            "A sound backup comes back with: sightline store restore FOLDER --db NEW.db"
        )


def _check_copy(folder: Path, entry: dict[str, Any]) -> None:
    """A backup's database is what it was when it was made, and sound. Raises StoreError with the others to choose."""
    name = str(entry["database"])
    path = folder / name
    found: tuple[str, ...] = ()
    if "sha256" in entry and entry["sha256"] != _sha256(path):
        found = ("other bytes than were written",)
    elif name.endswith(SQLITE):
        found = find_damage(path, alone=True)
    if found:
        others = [_time(other) for other in _generations(folder) if other["database"] != name]
        raise StoreError(
            f"{path}: this copy of the database is damaged ({found[0]}), and nothing was restored. "
            + (f"Choose another with --generation: {', '.join(others)}" if others else "Take another backup")
        )


def _publish(folder: Path, entry: dict[str, Any], keep: int) -> None:
    """Make a copy the one that counts, in one step, and clear away the oldest beyond `keep`."""
    earlier = _generations(folder)
    text = json.dumps({**entry, "earlier": earlier[: keep - 1]})
    manifest = folder / f".{MANIFEST}"
    manifest.write_text(text + "\n")
    sync(manifest)
    manifest.replace(folder / MANIFEST)
    (folder / BEGUN).unlink(missing_ok=True)
    sync(folder)
    for old in earlier[keep - 1 :]:
        (folder / old["database"]).unlink(missing_ok=True)


def _generations(folder: Path) -> list[dict[str, Any]]:
    """The copies of the database that a backup holds, the newest first; none where there is no manifest."""
    try:
        newest = dict(json.loads((folder / MANIFEST).read_text()))
        earlier = [dict(entry) for entry in newest.pop("earlier", [])]
    except (OSError, TypeError, ValueError):
        return []
    named = [entry for entry in (newest, *earlier) if DATABASE.fullmatch(str(entry.get("database", "")))]
    return [entry for entry in named if (folder / entry["database"]).is_file()]


def _time(entry: dict[str, Any]) -> str:
    """What a person calls a copy: the time in its name, or in its manifest."""
    found = re.search(r"-([0-9T]+)", str(entry["database"]))
    return found[1] if found else re.sub(r"[^0-9T]", "", str(entry.get("created", ""))[:26])


def _chosen(folder: Path, generation: str | None) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder}: holds no complete backup. Make one with: sightline store backup FOLDER")
    there = _generations(folder)
    if not there:
        raise InputError(f"{folder}: the backup's database is missing, or its {MANIFEST} is damaged. Take another one")
    fitting = there if generation is None else [entry for entry in there if _time(entry).startswith(generation)]
    if not fitting:
        raise InputError(f"{folder}: no copy of {generation}. There are: {', '.join(_time(entry) for entry in there)}")
    if str(fitting[0].get("schema", "")) > NEWEST:
        raise StoreError(f"{folder}: made by a newer Sightline. Upgrade with: pip install -U sightline")
    return fitting[0]


def _save(database: Database, path: Path) -> None:
    """Copy a database into the file `path`, and read the copy through. Raises StoreError."""
    if database.file is None:
        dump(database.url, path)
        read_through(database.url, path)
        return
    with closing(sqlite3.connect(database.file)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, that can be read where nothing may be written
    _refuse_damage(find_damage(path, alone=True), str(path), "The earlier backup is as it was. Check both disks")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: BlobStore, target: BlobStore, progress: Progress) -> tuple[int, tuple[str, ...]]:
    """Copy what is not there yet; returns the number of images, and the hashes of those that were altered."""
    copied = 0
    altered = []
    folders = [f"{kind}/{name}" for kind in FOLDERS for name in source.folders(kind)]
    for done, folder in enumerate(folders, start=1):
        there = {stored.key for stored in target.listed(folder)}
        for stored in list(source.listed(folder)):
            if stored.key in there:
                continue
            try:
                with source.open(stored.key) as file:
                    digest = target.write(stored.key, file)
            except FileNotFoundError:  # an old picture, cleared away since the folder was listed
                continue
            if not folder.startswith("images/"):
                continue
            if stored.key.rsplit("/", 1)[-1].split(".")[0] == digest:
                copied += 1
            else:
                target.remove(stored.key)
                altered.append(stored.key.rsplit("/", 1)[-1].split(".")[0])
        progress("copying", done, len(folders))
    return copied, tuple(sorted(altered))


def dump(url: URL, target: Path) -> None:
    """Write a database to a file in PostgreSQL's own format. Raises StoreError."""
    _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={target}", f"--dbname={conninfo(url)}")


def read_through(url: URL, source: Path) -> None:
    """Read such a file from its beginning to its end. Raises StoreError where it is damaged."""
    _run("pg_restore", url, f"--file={os.devnull}", source)


def load(url: URL, source: Path) -> None:
    """Read such a file into an empty database, whole or not at all. Raises StoreError."""
    whole = ("--exit-on-error", "--single-transaction", "--no-owner")
    _run("pg_restore", url, *whole, f"--dbname={conninfo(url)}", source)


def conninfo(url: URL) -> str:
    """The address as PostgreSQL's own programs take it, all that stands behind its "?" included, but no password."""
    given = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database, **url.query}
    texts = {
        name: ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in given.items()
        if value is not None and name != "password"
    }
    quoted = {name: text.replace("\\", "\\\\").replace("'", "\\'") for name, text in texts.items()}
    return " ".join(f"{name}='{text}'" for name, text in quoted.items())


def _run(program: str, url: URL, *arguments: str | Path) -> None:
    newest = sorted(Path(PROGRAM_FOLDERS).glob(f"*/bin/{program}"), key=lambda path: float(path.parts[-3]))
    found = str(newest[-1]) if newest else shutil.which(program)
    if found is None:
        raise StoreError(f"{program} is not installed. Install PostgreSQL's client programs (postgresql-client)")
    # The password goes through the environment: every user of the machine can read a program's arguments.
    password = url.password if url.password is not None else url.query.get("password")
    environment = os.environ | ({} if password is None else {"PGPASSWORD": str(password)})
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL with arguments of ours
        [found, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StoreError(f"{program} failed: {done.stderr.strip()}. Check the server, its version and the rights there")
