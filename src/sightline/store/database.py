"""The connection to SQLite or PostgreSQL: transactions that read, transactions that write, and the schema they need."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError, StatementError
from sqlalchemy.orm import Session

from sightline.core.errors import FullError, InputError, MissingExtraError, SettingError, StoreError, warn_caller
from sightline.core.files import make_private
from sightline.store.audit import seal

VARIABLE, PASSWORD_FILE = "SIGHTLINE_DB", "SIGHTLINE_DB_PASSWORD_FILE"
DEFAULT = "sightline.db"
CONNECT_S = 10
BUSY_S = 30  # how long a writer waits for another one
WAL_PAUSE_S = 0.01
WRITES, DURABLE = "sightline_writes", "sightline_durable"
SCRIPTS = Path(__file__).parent / "migrations"
REVISIONS = tuple(sorted(path.stem[1:5] for path in (SCRIPTS / "versions").glob("m[0-9]*.py")))  # "0001", ...
NEWEST = REVISIONS[-1]
LOCK = 0x51D4711E  # of PostgreSQL: any number that no other program is likely to take


def locate(url: str | Path | None) -> URL:
    """The database's address: the argument, else SIGHTLINE_DB, else sightline.db in the current folder.

    A plain path means SQLite. A server's password is in its address, or in the file that SIGHTLINE_DB_PASSWORD_FILE
    names. Raises SettingError for an address that is neither SQLite nor PostgreSQL, or a file that holds no password.
    """
    text = str(url or os.environ.get(VARIABLE) or DEFAULT)
    if "://" not in text:
        return URL.create("sqlite", database=str(Path(text).expanduser().absolute()))
    try:
        address = make_url(text)
    except (ArgumentError, ValueError):  # a port that is not a number, for one
        # The text is left out: it may hold a password.
        raise SettingError(
            "the database address is not valid. Give a file, or postgresql://USER@HOST:PORT/NAME"
        ) from None
    if address.drivername in {"postgresql", "postgres"}:
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() not in {"sqlite", "postgresql"}:
        raise SettingError(f"{masked(address)}: only SQLite and PostgreSQL are known. Give a file, or postgresql://...")
    if address.get_backend_name() == "sqlite" and not address.database:
        raise SettingError(f"{masked(address)}: a store needs a file. Give its path")
    if address.port is not None and not 0 < address.port < 65536:
        raise SettingError(f"{masked(address)}: there is no port {address.port}. Give one from 1 to 65535")
    file = os.environ.get(PASSWORD_FILE)
    if file and address.get_backend_name() == "postgresql" and address.password is None:
        return address.set(password=_password(Path(file)))
    return address


def _password(file: Path) -> str:
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{PASSWORD_FILE}: {file} cannot be read. Write the password into it, as UTF-8") from error
    if not password:
        raise SettingError(f"{PASSWORD_FILE}: {file} is empty. Write the database's password into it")
    return password


def masked(address: URL) -> str:
    """The address without any password, in its query either, for messages and logs."""
    hidden = {name: "hidden" if "pass" in name.lower() else value for name, value in address.query.items()}
    return address.set(query=hidden).render_as_string(hide_password=True)


class Database:
    """An engine with two ways in. What fails below comes out as StoreError with a remedy, or as InputError
    where a value is such that no database can keep it.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = _engine(url)
        if self.is_sqlite:
            _teach_sqlite(self.engine)
        # A writer that has waited for another one must see what that one has written.
        sees = {} if self.is_sqlite else {"isolation_level": "READ COMMITTED"}
        self._writer = self.engine.execution_options(**{WRITES: True, DURABLE: True}, **sees)
        self._recorder = self.engine.execution_options(**{WRITES: True}, **sees)

    @property
    def name(self) -> str:
        """What a person calls it: the file, or the address without its password."""
        return str(self.url.database) if self.is_sqlite else masked(self.url)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a server."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one state of the database from its first query to its end."""
        with self._told(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is on the disk when the block ends, or, after any exception, never was.

        On SQLite one writer at a time holds it, and others wait up to 30 s.
        """
        with self._told(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session
            seal(session)

    @contextmanager
    def recording(self) -> Iterator[Connection]:
        """As `writing`, without waiting for the disk on SQLite: safe against a killed process; a power cut may cost
        the last moments before it, never the database.
        """
        with self._told(), self._recorder.begin() as connection:
            yield connection

    def settle(self) -> None:
        """On SQLite, sync what `recording` has written, and move it from the log into the file. Readers and writers go
        on meanwhile. On a server there is nothing to do.
        """
        if self.file is None:
            return
        try:
            with closing(sqlite3.connect(self.file, timeout=BUSY_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            raise StoreError(f"{self.name}: cannot be synced ({error}). Check the disk") from error

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            raise _not_stored(error.orig, self.name) from error
        except DBAPIError as error:
            raise _explained(error, self.name) from error
        except StatementError as error:  # nothing was sent: a value has no form in a database
            raise _not_stored(error.orig, self.name) from error
        except (UnicodeError, OverflowError) as error:
            raise _not_stored(error, self.name) from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _to_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InputError(f"a value cannot be stored as JSON ({error}). Give finite numbers, texts and lists") from error


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            arguments = {"timeout": BUSY_S, "isolation_level": None}
            return create_engine(url, json_serializer=_to_text, connect_args=arguments)
        arguments = {"connect_timeout": CONNECT_S}
        return create_engine(
            url, json_serializer=_to_text, connect_args=arguments, pool_pre_ping=True, isolation_level="REPEATABLE READ"
        )
    except NoSuchModuleError as error:
        raise SettingError(f"{masked(url)}: this driver is not known. Write postgresql://USER@HOST/NAME") from error
    except ModuleNotFoundError as error:
        raise MissingExtraError("psycopg", "postgres") from error


def _teach_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "do_connect")
    def keep_private(*_: Any) -> None:
        with suppress(OSError):  # SQLite says better what is wrong with the place
            make_private(Path(str(engine.url.database)))

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        _set_wal(connection)
        # 8 MiB for each of a dozen connections: the system's own cache has the file, and a web server stays small.
        for pragma in ("foreign_keys=ON", "cache_size=-8192", "wal_autocheckpoint=4000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get(DURABLE) else 'NORMAL'}")
        # A transaction that first reads and then writes could not wait for another writer: it has to begin as one.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES) else "BEGIN")


def _set_wal(connection: Any) -> None:
    """SQLite does not wait here by itself: of several that open a new file at once, some are told that it is locked."""
    end = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(WAL_PAUSE_S)
        else:
            return


def _not_stored(error: BaseException | None, name: str) -> InputError:
    """Waiting does not help here: the same value would be refused again."""
    return (
        error
        if isinstance(error, InputError)
        else InputError(f"{name}: a value cannot be stored ({error}). Correct it")
    )


def _explained(error: DBAPIError, name: str) -> StoreError:
    reason = str(error.orig).strip()
    remedies = {
        "disk is full": "Free space on its disk; everything acknowledged is still there",
        "No space left": "Free space on its disk; everything acknowledged is still there",
        "is locked": "Another program has locked it for a long time. Wait until it is done, or stop it",
        "readonly": "Check the permissions of the file and its folder",
        "unable to open": "Check the folder and its permissions",
        "not a database": "It is another kind of file. Choose another name, or restore a backup",
        "malformed": "It is damaged. Restore a backup with: sightline store restore",
        "connection": "Check that the server runs and can be reached",
    }
    remedy = next((text for sign, text in remedies.items() if sign.lower() in reason.lower()), "Check the database")
    kind = FullError if remedy.startswith("Free space") else StoreError
    return kind(f"{name}: {reason}. {remedy}")


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
            warn_caller(message, StoreWarning)
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
    handle, copy = tempfile.mkstemp(prefix=f"{file.name}.schema-{revision}-", dir=file.parent)
    os.close(handle)
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return Path(copy)
