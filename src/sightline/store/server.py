"""The programs that come with PostgreSQL: its own dump and its own restore."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import URL

from sightline.core.errors import StoreError

FOLDERS = "/usr/lib/postgresql"


def dump(url: URL, target: Path) -> None:
    """Write a database to a file in PostgreSQL's own format. Raises StoreError."""
    _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={target}", f"--dbname={conninfo(url)}")


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
    newest = sorted(Path(FOLDERS).glob(f"*/bin/{program}"), key=lambda path: float(path.parts[-3]))
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
