"""What a station sends to the site, taken in: entries of its journal, pictures, and the recipes that it fetches."""

from __future__ import annotations

import base64
import binascii
import json
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sightline import __version__
from sightline.core.errors import ConflictError, FullError, InputError, NotFoundError
from sightline.store.entries import FIELDS, FORMAT, embedding_of, origin_of
from sightline.store.retention import collect
from sightline.store.senders import Head
from sightline.store.store import Store

MAX_BYTES, MAX_ENTRIES = 64_000_000, 5000
GZIP = zlib.MAX_WBITS | 16


def ingest(store: Store, station: str, body: bytes, free_mb: float = 0.0) -> dict[str, Any]:
    """Take a batch of a station's entries (gzip or plain JSON), each once: `through` is the last that is taken now.

    `refused` names entries that can never be recorded, `wanted` what the station is to run by product. Raises
    InputError for what is no batch, ConflictError for a newer format and for another computer of the same name,
    FullError, StoreError: then nothing was taken, and the station keeps all of it.
    """
    told = read(body)
    head, entries = _head(station, told), _entries(told)
    check_room(store, free_mb)
    taken = store.senders.take(head, entries)
    wanted = {product: asdict(one) for product, one in store.rollouts.wanted(station).items()}
    return {"through": taken.through, "refused": taken.refused, "wanted": wanted, "version": __version__}


def take_picture(store: Store, station: str, body: bytes, free_mb: float = 0.0) -> dict[str, Any]:
    """Keep a picture of a part whose entry was taken before. Raises as `ingest`."""
    told = read(body)
    entry = told.get("entry")
    if not isinstance(entry, dict) or entry.get("kind") != "picture":
        raise InputError("this is no picture of a part. Send the entry of the station's journal and the image")
    if not str(entry.get("key", "")).startswith(f"{station}-") or entry.get("origin", {}).get("station") != station:
        raise InputError(f"the picture is of another station than {station}. Correct its entry")
    try:
        data = base64.b64decode(str(told.get("image", "")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"the image of part {entry['key']} is not base64 ({error}). Send it again") from error
    check_room(store, free_mb)
    vector, origin = embedding_of(entry), origin_of(entry["origin"], str(entry.get("view")))
    image = store.images.put(data, f"part {entry['key']}")
    collect(store.database, image, origin)
    store.inspections.set_image(str(entry["key"]), image.hash)
    if vector is not None:
        store.embeddings.keep(*vector)
    return {"hash": image.hash}


def recipe_of(store: Store, station: str, hash: str) -> bytes:
    """The file of a recipe that a station is to run. Raises NotFoundError for any other one."""
    if hash not in {one.recipe_hash for one in store.rollouts.wanted(station).values()}:
        raise NotFoundError(f"recipe {hash[:12]} is not rolled out to station {station}. Ask what is")
    return store.recipes.file(hash)


def read(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body, gzip or plain. Raises InputError, ConflictError for a newer format."""
    if body[:2] == b"\x1f\x8b":
        try:
            inflating = zlib.decompressobj(GZIP)
            body = inflating.decompress(body, MAX_BYTES)
            if inflating.unconsumed_tail or not inflating.eof:
                raise InputError(f"the batch is cut off, or has more than {MAX_BYTES / 1e6:g} MB. Send less at once")
        except zlib.error as error:
            raise InputError(f"the batch is damaged ({error}). Send it again") from error
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the batch is not JSON ({error}). Send it as docs/reference/api.md has it") from error
    if not isinstance(told, dict) or not isinstance(told.get("format"), int):
        raise InputError("the batch has no format. Send it as docs/reference/api.md has it")
    if told["format"] > FORMAT:
        raise _differ(told)
    return told


def check_room(store: Store, free_mb: float) -> None:
    """Raises FullError where the disk of an SQLite store has less free than that."""
    if store.database.file is not None and shutil.disk_usage(store.database.file.parent).free < free_mb * 1e6:
        raise FullError(f"the server's disk has less than {free_mb:g} MB left. Free space there; nothing was taken")


def _differ(told: Mapping[str, Any]) -> ConflictError:
    return ConflictError(
        f"this server is Sightline {__version__} (format {FORMAT}), and the station {told.get('version')} (format "
        f"{told.get('format')}): it sends what this server does not know. Upgrade the server; the station keeps all"
    )


def _head(station: str, told: Mapping[str, Any]) -> Head:
    try:
        head = Head(
            station=station,
            instance=str(told["instance"])[:64],
            journal=str(told["journal"])[:64],
            sent=datetime.fromtimestamp(float(told["sent"]), UTC),
            version=str(told["version"])[:64],
            waiting=int(told["waiting"]),
            running={str(product): str(hash) for product, hash in dict(told.get("running", {})).items()},
            first=None if told.get("first") is None else int(told["first"]),
            through=None if told.get("through") is None else int(told["through"]),
            review=(float(told.get("review_ng", 0.0)), float(told.get("review_ok", 0.0))),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise InputError(f"the head of the batch is damaged ({error}). Send it again") from error
    if not (head.instance and head.journal) or not 0 <= head.waiting < 2**53 or not 0 <= (head.through or 0) < 2**53:
        raise InputError("the head of the batch is damaged. Send it again")
    return head


def _entries(told: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    found = told.get("entries", [])
    if not isinstance(found, list) or len(found) > MAX_ENTRIES:
        raise InputError(f"entries: a list of at most {MAX_ENTRIES} is possible. Send less at once")
    entries, last = [], (told.get("first") or 0) - 1
    for one in found:
        if not (isinstance(one, list) and len(one) == 2 and isinstance(one[0], int) and isinstance(one[1], dict)):
            raise InputError(f"an entry is not a number with its content: {str(one)[:200]}")
        number, entry = one
        if not last < number <= (told.get("through") or 0):
            raise InputError(f"entry {number} is out of order. Send them in the order of the journal")
        if entry.get("kind") == "part" and not entry.keys() <= FIELDS:
            raise _differ(told)
        entries.append((number, entry))
        last = number
    return entries
