"""A real server on loopback over a store of its own, and clients of every role."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.evaluate.test_preview import KNOWN

from sightline.core.result import Verdict
from sightline.core.sample import Frame
from sightline.core.signals import Command, CommandKind
from sightline.line.decision import Decision, ViewResult
from sightline.line.live import Live
from sightline.line.part import Part
from sightline.line.port import Answers, Port
from sightline.operations import people
from sightline.runtime.recipe import Recipe
from sightline.store.store import Store
from sightline.store.users import ROLES
from sightline.web.client import Client
from sightline.web.server import listen, make_server
from sightline.web.settings import WebSettings

PASSWORD = "correct horse battery"
VARIABLE = "SIGHTLINE_STATION_DESK"


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


@dataclass
class Desk:
    """A station's port, and what it was asked for."""

    port: Port
    live: Live
    asked: list[object] = field(default_factory=list)

    def show(self, verdict: Verdict = Verdict.NG) -> None:
        """One more part."""
        part = Part.from_trigger(Command(kind=CommandKind.TRIGGER, part_id="7"), 1, "desk", ("plates", 1), 1.0)
        image = np.random.default_rng(0).integers(0, 255, (600, 800, 3), np.uint8)
        now = time.monotonic()
        frame = Frame(image=image, id=1, captured=time.time(), monotonic_s=now, complete_s=now, camera="view")
        result = ViewResult("view", verdict, 2.5, 0.01, "hash", heat=np.zeros((4, 8), np.uint8))
        self.live.show(part, Decision(verdict, (result,)), [frame])


@pytest.fixture
def desk(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A station that the server knows, with a token."""
    monkeypatch.setenv(VARIABLE, "t0ken")
    asked: list[object] = []

    def request_recipe(recipe: str) -> bool:
        asked.append(recipe)
        return recipe == "plates"

    def request_continuous(wanted: bool) -> str:
        asked.append(wanted)
        return "it cannot run continuously: its camera waits for triggers" if wanted else ""

    def request_pilot(wanted: bool) -> str:
        asked.append(f"pilot {wanted}")
        told["pilot"] = wanted
        return ""

    def request_check() -> str:
        asked.append("check")
        return ""

    live = Live()
    told = {"recipe": "plates", "ready": True, "station": "desk", "check_parts": ["golden 1", "scratch 2"]}
    answers = Answers(
        lambda: b"", lambda: (True, ""), lambda: told, request_recipe, "t0ken", True, live.message, request_continuous,
        request_pilot, request_check,
    )  # fmt: skip
    port = Port("127.0.0.1", 0, answers)
    with served.client("administrator") as client:
        address = {"url": f"http://127.0.0.1:{port.number}", "token_env": VARIABLE}
        client.call("PUT", "/stations/desk", json=address)
    yield Desk(port, live, asked)
    port.close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine that signs itself, and its key."""
    now = datetime.now(UTC)
    return self_signed(tmp_path, now - timedelta(hours=1), now + timedelta(hours=1))


def self_signed(folder: Path, since: datetime, until: datetime) -> tuple[Path, Path]:
    """A certificate for this machine that is valid between two moments, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "desk")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "server.pem", folder / "server.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kind = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))
    return public, private


@pytest.fixture
def kept(served: Served, recipe: Recipe) -> str:
    """Hash of a recipe in the server's store."""
    card = recipe.card.model_dump(mode="json")
    return served.store.recipes.register(recipe.data, "plates", "plates.onnx", "ann", card=card).hash


@pytest.fixture
def evaluated(served: Served, kept: str) -> str:
    """Hash of a recipe in the server's store, which was evaluated."""
    served.store.evaluations.add(kept, "plates@1", {"escape": 0.25}, KNOWN.to_json(), "eve", 4)
    return kept
