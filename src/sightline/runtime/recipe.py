"""The recipe file: an ONNX model with its card inside."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from sightline.core.card import METADATA_KEY, SCHEMA, Card
from sightline.core.errors import RecipeError
from sightline.runtime.alignment import Golden
from sightline.runtime.guard import check_graph


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
        raise RecipeError(f"{path}: cannot be written ({error.strerror}). Choose another place") from error


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

    Raises RecipeError.
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
        return card
    except (ValidationError, ValueError, AttributeError, RecursionError) as error:
        raise RecipeError(f"{name}: the recipe's card is damaged ({error}). Train or copy it again") from error
