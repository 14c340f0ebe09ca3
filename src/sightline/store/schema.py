"""The schema: made where there is none, brought up to date where it is older, refused where it is newer."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import warnings
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from sightline.core.errors import StoreError
from sightline.store.database import Database

SCRIPTS = Path(__file__).parent / "migrations"
REVISIONS = tuple(sorted(path.stem[1:5] for path in (SCRIPTS / "versions").glob("m[0-9]*.py")))  # "0001", ...
NEWEST = REVISIONS[-1]
LOCK = 0x51D4711E  # of PostgreSQL: any number that no other program is likely to take


class StoreWarning(UserWarning):
    """Something about a store that its user should know; the work goes on."""


def prepare(database: Database, create: bool) -> None:
    """Make or migrate the tables. Before an SQLite file is migrated, a copy is kept beside it, and a StoreWarning
    names it. Raises StoreError for a newer schema, for a database of something else, and where there is no store
    and none is to be made.
    """
    found = None
    if create or database.file is None or database.file.exists():
        with database.reading() as session:
            found = _revision(session.connection(), database.name)
    if found is None and not create:
        raise StoreError(f"{database.name}: there is no store. Make one with: sightline store init")
    if found != NEWEST:
        upgrade(database)


def upgrade(database: Database, to: str = NEWEST) -> None:
    """Bring the tables to a revision in one transaction; two programs at once do it one after the other."""
    from alembic import command
    from alembic.config import Config

    with database.writing() as session:
        connection = session.connection()
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        found = _revision(connection, database.name)
        if found == to:
            return
        if found is not None:
            kept = f" A copy of the old one: {_copy(database, found)}." if database.is_sqlite else ""
            message = f"{database.name}: migrated from schema {found} to {to}.{kept}"
            warnings.warn(message, StoreWarning, stacklevel=4)
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def _revision(connection: Connection, name: str) -> str | None:
    """The schema's revision, None where the database is empty."""
    names = set(inspect(connection).get_table_names())
    if "alembic_version" not in names:
        if names:
            raise StoreError(f"{name}: is the database of another program. Choose another name for the store")
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and found not in REVISIONS:
        raise StoreError(
            f"{name}: written by a newer Sightline (schema {found}, this one knows up to {NEWEST}). "
            "Upgrade with: pip install -U sightline"
        )
    return None if found is None else str(found)


def _copy(database: Database, revision: str) -> Path:
    file = database.file
    assert file is not None
    handle, place = tempfile.mkstemp(prefix=f"{file.name}.schema-{revision}-", dir=file.parent)
    os.close(handle)
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(place)) as target:
        source.backup(target)
    return Path(place)
