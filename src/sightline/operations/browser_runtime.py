"""The runtime that inspects in browsers: fetched once from npm, checked, kept in a folder of the server."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sightline.core.card import Card
from sightline.core.errors import InputError
from sightline.core.progress import Progress, unwatched

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
ADDRESS = f"https://registry.npmjs.org/{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz"
# As the registry states it (`npm view onnxruntime-web@1.30.0 dist.integrity`), SHA-512 of the package.
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
MODULE = "ort.wasm.min.mjs"
FILES = (MODULE, "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
FOLDER = "browser-runtime"
MOST_BYTES = 64_000_000
TIMEOUT_S = 60.0
CHUNK = 1 << 20


def browser_runtime(folder: Path, package: Path | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Put the runtime into a server's folder, from npm or from a `package` file that was downloaded elsewhere.

    Returns where it is, its version and its size. Raises InputError where it cannot be had or is not what was
    published; then nothing is changed.
    """
    data = _download(progress or unwatched) if package is None else _read(package)
    found = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != INTEGRITY:
        source = ADDRESS if package is None else str(package)
        raise InputError(f"{source}: is not {PACKAGE} {VERSION} as it was published. Fetch it again")
    place = folder / FOLDER / VERSION
    place.mkdir(parents=True, exist_ok=True)
    size = 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            assert member is not None  # the package is the one that was published
            content = member.read()
            unfinished = place / f"{name}.{os.getpid()}"
            unfinished.write_bytes(content)
            unfinished.replace(place / name)
            size += len(content)
    return {"folder": str(place), "version": VERSION, "files": list(FILES), "bytes": size}


def runtime_file(folder: Path, name: str) -> Path | None:
    """A file of the runtime in a server's folder; None where it was not fetched, or is none of its files."""
    path = folder / FOLDER / VERSION / name
    return path if name in FILES and path.is_file() else None


def is_there(folder: Path) -> bool:
    """Whether the runtime was fetched."""
    return all(runtime_file(folder, name) is not None for name in FILES)


def refusals(card: Card) -> tuple[str, ...]:
    """What a recipe needs that browsers cannot do, by name; empty where they can inspect with it."""
    needs = {
        "tiles": card.tiles is not None,
        "alignment": card.golden is not None,
        "known types": bool(card.types) or card.recognition is not None,
        "grades": bool(card.grades),
        "no good parts": card.without_good,
    }
    return tuple(name for name, needed in needs.items() if needed)


def _download(progress: Progress) -> bytes:
    data = bytearray()
    try:
        with urllib.request.urlopen(ADDRESS, timeout=TIMEOUT_S) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read(CHUNK):
                data += chunk
                progress("fetching the runtime", len(data), total)
                if len(data) > MOST_BYTES:
                    raise InputError(f"{ADDRESS}: is larger than it should be. Check the network's proxy")
    except (urllib.error.URLError, OSError, ValueError) as error:
        told = f"{ADDRESS}: cannot be fetched ({error}). Download it elsewhere, and give the file: --package FILE"
        raise InputError(told) from error
    return bytes(data)


def _read(package: Path) -> bytes:
    try:
        if package.stat().st_size > MOST_BYTES:
            raise InputError(f"{package}: is larger than {PACKAGE} {VERSION}. Give the file that npm serves")
        return package.read_bytes()
    except OSError as error:
        raise InputError(f"{package}: cannot be read ({error.strerror}). Correct the path") from error
