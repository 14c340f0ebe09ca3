"""The recipe file: an ONNX model with its card inside.

Its bytes are read and changed where no onnx package is: Protobuf's wire format is read by `guard.fields`; field numbers
are those of onnx.proto.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sightline.core.card import METADATA_KEY, SCHEMA, Card
from sightline.core.errors import RecipeError
from sightline.runtime.alignment import Golden
from sightline.runtime.appearance import Reference
from sightline.runtime.guard import BYTES, GRAPH_INITIALIZER, MODEL_GRAPH, check_graph, fields
from sightline.runtime.signature import unsigned
from sightline.runtime.trial import try_out

MAX_FAULTS = 3  # of a card, in one message
MODEL_METADATA, ENTRY_KEY, ENTRY_VALUE = 14, 1, 2
TENSOR_FLOATS, TENSOR_NAME, TENSOR_RAW = 4, 8, 9


@dataclass(frozen=True)
class Recipe:
    """Everything needed to judge one product: `data` is the file's bytes, `card` the validated metadata."""

    data: bytes = field(repr=False)
    card: Card

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read and check a recipe file. Raises RecipeError."""
        from sightline.runtime.session import OnnxSession

        data = read_recipe(path)
        session = OnnxSession(data, threads=1, optimise=False, name=str(path))
        return cls(data, parse_card(session.metadata, str(path)))

    def with_card(self, card: Card) -> Recipe:
        """The same graph with another card; a signature is left out, for it no longer holds."""
        return Recipe(with_metadata(self.data, METADATA_KEY, card.model_dump_json()), card)

    def _repr_html_(self) -> str:
        """What the recipe is and what its thresholds rest on, for notebooks."""
        card = self.card
        facts = {
            "product": card.product,
            "backbone": card.backbone,
            "input": f"{card.width} x {card.height} px",
            "OK up to, NG above": f"{card.band.low:.4g}, {card.band.high:.4g}",
            "defect types": ", ".join(card.types) or "none",
            "made": card.provenance.created,
            "hash": self.hash[:16],
        }
        rows = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in facts.items())
        promises = "".join(f"<li>{escape(promise)}</li>" for promise in card.promises)
        return f"<table>{rows}</table><ul>{promises}</ul>"

    @property
    def hash(self) -> str:
        """SHA-256 of the file's bytes, 64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write the file; under its final name it is whole or not there. Raises RecipeError."""
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, self.data)
        except OSError as error:
            raise RecipeError(
                f"{path}: the recipe could not be saved ({error.strerror}). "
                "Nothing was left under that name; free space or choose another folder"
            ) from error
        return path


def check_writable(path: Path) -> None:
    """Find out before hours of training, not after, that `path` cannot be written. Raises RecipeError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise RecipeError(f"{path}: cannot be written ({error.strerror}). Choose another folder") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary file beside `path`, flush it to disk and rename it. Raises OSError."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_recipe(path: str | Path, public_key: str | Path | None = None) -> bytes:
    """Bytes of a recipe file that holds nothing but what a recipe needs, signed by `public_key` where one is given.

    A file that is new to this machine is run once in a child process (`trial`). Raises RecipeError.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    if not data:
        raise RecipeError(f"{path}: the file is empty. Train or copy the recipe again")
    if public_key is not None:
        from sightline.runtime.signature import verify

        verify(data, Path(public_key), str(path))
    check_graph(data, str(path))
    try_out(data, str(path))
    return data


def parse_card(metadata: dict[str, str], name: str) -> Card:
    """The card inside a model's metadata. Raises RecipeError."""
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise RecipeError(f"{name}: an ONNX model, but not a Sightline recipe. Make one with: sightline train")
    try:
        version = json.loads(text).get("schema_version")
        if isinstance(version, int) and version > SCHEMA:
            raise RecipeError(
                f"{name}: written by a newer Sightline (card version {version}, this one reads up to {SCHEMA}). "
                "Upgrade with: pip install -U sightline"
            )
        card = Card.model_validate_json(text)
        if card.golden is not None:
            Golden.of(card.golden)
        if card.appearance is not None:
            Reference.of(card.appearance.picture)
        return card
    except (ValidationError, ValueError, AttributeError, RecursionError) as error:
        raise RecipeError(f"{name}: the recipe's card is damaged ({_faults(error)}). Train or copy it again") from error


def _faults(error: Exception) -> str:
    """An error of the card in one line: which fields, and why."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = [(".".join(str(step) for step in fault["loc"]), fault["msg"]) for fault in error.errors()]
    lines = [f"{field}: {why}" if field else why for field, why in found[:MAX_FAULTS]]
    return "; ".join(lines) + (f"; and {len(found) - MAX_FAULTS} more" if len(found) > MAX_FAULTS else "")


def read_floats(data: bytes, name: str) -> NDArray[np.float32] | None:
    """The float32 initializer of that name, flat (n,), or None where the graph has none."""
    view = memoryview(data)
    for number, kind, begin, end in fields(view, 0, len(view)):
        if number != MODEL_GRAPH or kind != BYTES:
            continue
        for inner, inner_kind, first, last in fields(view, begin, end):
            if inner == GRAPH_INITIALIZER and inner_kind == BYTES:
                parts = {n: view[a:b] for n, k, a, b in fields(view, first, last) if k == BYTES}
                if bytes(parts.get(TENSOR_NAME, b"")) == name.encode():
                    return np.frombuffer(parts.get(TENSOR_RAW, parts.get(TENSOR_FLOATS, b"")), "<f4").copy()
    return None


def with_metadata(data: bytes, key: str, text: str) -> bytes:
    """The model's bytes with one entry of its metadata replaced; a signature, which no longer holds, is left out."""
    bare = unsigned(data)
    view = memoryview(bare)
    pieces, position = [], 0
    for number, kind, begin, end in fields(view, 0, len(view)):
        if number == MODEL_METADATA and kind == BYTES and _key(view, begin, end) == key.encode():
            head = begin - len(_head(MODEL_METADATA, end - begin))
            pieces.append(bytes(view[position:head]))
            position = end
    pieces.append(bytes(view[position:]))
    entry = protobuf_field(ENTRY_KEY, key.encode()) + protobuf_field(ENTRY_VALUE, text.encode())
    return b"".join(pieces) + protobuf_field(MODEL_METADATA, entry)


def _key(view: memoryview, begin: int, end: int) -> bytes:
    return next((bytes(view[a:b]) for n, k, a, b in fields(view, begin, end) if n == ENTRY_KEY and k == BYTES), b"")


def protobuf_field(number: int, content: bytes) -> bytes:
    """One protobuf field of bytes, ready to be put into a message."""
    return _head(number, len(content)) + content


def _head(number: int, size: int) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(size)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
