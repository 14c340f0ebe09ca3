"""Stores to test on: SQLite files, made from a template for speed, and databases of a real PostgreSQL server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import cv2
import numpy as np
import pytest
from tests.postgresql import free_port

from sightline.core.region import Rectangle, Region
from sightline.core.sample import Sample
from sightline.store.ingest import Ingested
from sightline.store.store import Store


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Makes an SQLite file: "empty" (none yet), or a copy of an "open" store's, and gives its path."""
    folder = tmp_path_factory.mktemp("sqlite")
    template = folder / "template.db"
    Store.open(template, folder / "images").close()

    def make(state: str) -> str:
        path = tmp_path_factory.mktemp("store") / "store.db"
        if state != "empty":
            with closing(sqlite3.connect(template)) as source, closing(sqlite3.connect(path)) as target:
                source.backup(target)
        return str(path)

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Both kinds of database, one after the other: call it with "empty" or "open" for a new one."""
    found: Callable[[str], str] = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(database: Callable[[str], str], tmp_path: Path) -> Iterator[Store]:
    """An open store with nothing in it, on both databases; its images are in `tmp_path / "images"`."""
    with Store.open(database("open"), tmp_path / "images") as made:
        yield made


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A server that speaks S3, on a free port of this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server._port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Address of an empty bucket, with the environment set so that s3fs finds the server."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SIGHTLINE_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    name = f"b{uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/images"


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Both kinds of place for images."""
    return str(tmp_path / "images") if request.param == "folder" else str(request.getfixturevalue("bucket"))


def draw(seed: int, height: int = 32, width: int = 48) -> bytes:
    """A small PNG that no other seed gives."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="session")
def make_parts() -> Callable[..., list[Sample]]:
    """Writes images of parts into a folder: every fifth defective, every fourth in the test part."""

    def write(folder: Path, count: int, first: int = 0) -> list[Sample]:
        folder.mkdir(parents=True, exist_ok=True)
        made = []
        for number in range(first, first + count):
            path = folder / f"part-{number}.png"
            path.write_bytes(draw(number))
            bad = number % 5 == 4
            made.append(
                Sample(
                    path,
                    defective=bad,
                    types=("crack",) if bad else (),
                    regions=(Region("crack", Rectangle(1, 2, 10, 12)),) if bad else (),
                    lot=f"lot {number // 8}",
                    split="test" if number % 4 == 3 else "train",
                    metadata=MappingProxyType({"serial": f"S{number}", "exposure_us": "350.5"}),
                )
            )
        return made

    return write


@pytest.fixture
def add(make_parts: Callable[..., list[Sample]], tmp_path: Path) -> Callable[..., Ingested]:
    """Adds a number of parts to a store as the product "plates"."""
    return lambda store, count, first=0: store.add(make_parts(tmp_path / "parts", count, first), "plates")
