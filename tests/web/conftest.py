"""A real server on loopback over a store of its own, and clients of every role."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sightline.operations import people
from sightline.store.store import Store
from sightline.store.users import ROLES
from sightline.web.client import Client
from sightline.web.server import listen, make_server
from sightline.web.settings import WebSettings

PASSWORD = "correct horse battery"


@dataclass
class Served:
    """A server at work: its address, its store, and what lets the first user in."""

    url: str
    store: Store
    setup_token: str
    folder: Path

    def client(self, name: str = "", password: str = PASSWORD) -> Client:
        """A client, logged in where a name is given."""
        client = Client(self.url)
        if name:
            client.log_in(name, password)
        return client


Serve = Callable[..., Served]


@contextmanager
def running(store: Store, folder: Path, **settings: object) -> Iterator[Served]:
    """A server in a thread of this process, until the block ends."""
    wanted = WebSettings.parse({"port": 0, "folder": folder / "work", **settings})
    server = make_server(store, wanted)
    with listen(wanted) as place:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        port = place.getsockname()[1]
        try:
            yield Served(f"http://127.0.0.1:{port}", store, server.config.app.state.site.setup_token, folder)
        finally:
            server.should_exit = True
            thread.join(15)


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Store]:
    """Makes a store with one user of each role, from a template: hashing passwords takes its time."""
    template = tmp_path_factory.mktemp("template") / "store.db"
    with Store.open(template) as store:
        people.set_up(store, "administrator", PASSWORD)
        for role in ROLES[:-1]:
            people.add_user(store, role, role, PASSWORD, "administrator")

    def make(folder: Path) -> Store:
        with closing(sqlite3.connect(template)) as source, closing(sqlite3.connect(folder / "store.db")) as target:
            source.backup(target)
        return Store.open(folder / "store.db")

    return make


@pytest.fixture
def serve(made_store: Callable[[Path], Store], tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with these settings, over a store with a user for each role; `empty`: with nobody."""
    ended: list[Callable[[], object]] = []

    def start(empty: bool = False, **settings: object) -> Served:
        store = Store.open(tmp_path / "empty.db") if empty else made_store(tmp_path)
        context = running(store, tmp_path, **settings)
        served = context.__enter__()
        ended.append(lambda: context.__exit__(None, None, None))
        ended.append(store.close)
        return served

    yield start
    for end in ended:
        end()


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server with a user for each role, whose names are those of the roles."""
    return serve()
