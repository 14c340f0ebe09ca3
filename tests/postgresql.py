"""A real PostgreSQL server, started once per session, and databases on it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from sightline.store.database import NEWEST
from sightline.store.store import Store
from sightline.store.tables import Base

SERVER = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
SETTINGS = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c listen_addresses=127.0.0.1"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(*words: str) -> None:
    """Run a program of the server; the server refuses to be root."""
    user = "postgres" if os.getuid() == 0 else None
    subprocess.run(words, check=True, capture_output=True, user=user, cwd="/tmp", timeout=60)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Address of a server on a free port of this machine, without a database's name."""
    if not SERVER:
        reason = "no PostgreSQL server in /usr/lib/postgresql. Install the package postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="sightline-postgres-"))
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    binaries, data, port = SERVER[-1].parent, str(folder / "data"), free_port()
    try:
        run(str(binaries / "initdb"), "-D", data, "-U", "sightline", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"{SETTINGS} -p {port} -k {folder}"
        run(str(SERVER[-1]), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://sightline@127.0.0.1:{port}"
        finally:
            run(str(SERVER[-1]), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


LEFT_OVER = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


class Pool:
    """Databases on the server. Open stores are emptied and used again: making one costs more than a test."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.free: list[str] = []
        self.used: list[tuple[str, str]] = []

    def take(self, state: str) -> str:
        if state == "open" and self.free:
            name = self.free.pop()
        else:
            name = f"s{uuid4().hex}"
            self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE template0")
            if state == "open":
                Store.open(f"{self.server}/{name}", "/tmp/sightline-none").close()
        self.used.append((state, name))
        return f"{self.server}/{name}"

    def give_back(self) -> None:
        tables = ", ".join(Base.metadata.tables)
        for state, name in self.used:
            if state == "open":
                self.execute(name, LEFT_OVER)
                self.execute(name, f"TRUNCATE {tables} RESTART IDENTITY")
                self.execute(name, f"UPDATE alembic_version SET version_num = '{NEWEST}'")
                self.free.append(name)
            else:
                self.execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")
        self.used.clear()

    def execute(self, database: str, statement: str) -> None:
        import psycopg

        with psycopg.connect(f"{self.server}/{database}", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def pool(server: str) -> Pool:
    return Pool(server)


@pytest.fixture
def postgresql(pool: Pool) -> Iterator[Callable[[str], str]]:
    """Gives the address of a database on the server: "empty", or an "open" store with nothing in it."""
    yield pool.take
    pool.give_back()
