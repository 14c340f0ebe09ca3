"""Signed recipes: an Ed25519 signature (RFC 8032) at the end of the file, which stays a valid ONNX model.

A protobuf message goes on where another ends, so the signature is one more entry of the model's metadata, appended. It
covers every byte before it. It says who released a file, and nothing of where the file belongs: one that was released
for another product, or for last year, is as well signed as the right one. That is what `Release` checks.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from sightline.core.card import Card
from sightline.core.errors import InputError, RecipeError

NAME = b"sightline.signature"
SIGNATURE_CHARACTERS = 88  # 64 bytes in base64
_VALUE = len("ed25519:") + SIGNATURE_CHARACTERS
# Fields of onnx.proto: ModelProto.metadata_props is 14, StringStringEntryProto.key 1 and .value 2.
_ENTRY = b"\x0a" + bytes([len(NAME)]) + NAME + b"\x12" + bytes([_VALUE]) + b"ed25519:"
_HEAD = b"\x72" + bytes(
    [0x80 | ((len(_ENTRY) + SIGNATURE_CHARACTERS) & 0x7F), (len(_ENTRY) + SIGNATURE_CHARACTERS) >> 7]
)
LENGTH = len(_HEAD) + len(_ENTRY) + SIGNATURE_CHARACTERS
VERSION = re.compile(r"@\d+$")  # of the dataset that a recipe was trained from: cookies@3


def make_keys(private: Path, public: Path) -> str:
    """Write a new pair of keys as PEM files, the private one readable by its owner alone; returns the fingerprint.

    Raises InputError where one is there already: a key that is overwritten is lost.
    """
    key = Ed25519PrivateKey.generate()
    for path, data, mode in (
        (private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600),
        (public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644),
    ):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
        except FileExistsError as error:
            raise InputError(
                f"{path}: is there already. Name another file; a key that is overwritten is lost"
            ) from error
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}). Choose another folder") from error
    return fingerprint(key.public_key())


def sign(data: bytes, private: Path) -> bytes:
    """The recipe's bytes with a signature of the key in a PEM file; one that was there is replaced."""
    bare = unsigned(data)
    return bare + _HEAD + _ENTRY + sign_text(bare, private)


def sign_text(text: bytes, private: Path) -> bytes:
    """A signature beside a text, such as a manifest: 64 bytes in base64. Raises InputError."""
    key = _read_key(private, "private", Ed25519PrivateKey, partial(load_pem_private_key, password=None))
    return base64.b64encode(key.sign(text))


def verify_text(text: bytes, signature: bytes, public: Path, name: str) -> str:
    """The fingerprint of the key that signed the text. Raises RecipeError where it is not signed by that key."""
    key = _read_key(public, "public", Ed25519PublicKey, load_pem_public_key)
    try:
        key.verify(base64.b64decode(signature, validate=True), text)
    except (InvalidSignature, ValueError) as error:
        raise RecipeError(
            f"{name}: the signature is not of the key {fingerprint(key)}, or the file was changed. Export it again"
        ) from error
    return fingerprint(key)


def verify(data: bytes, public: Path, name: str = "recipe") -> str:
    """The fingerprint of the key that signed the recipe. Raises RecipeError where it is not signed by that key."""
    key = _read_key(public, "public", Ed25519PublicKey, load_pem_public_key)
    bare = unsigned(data)
    if len(bare) == len(data):
        raise RecipeError(f"{name}: is not signed, but this station requires it. Sign it with: sightline sign")
    text = data[-SIGNATURE_CHARACTERS:]
    try:
        signature = base64.b64decode(text, validate=True)
        if base64.b64encode(signature) != text:
            raise ValueError("not the one way to write these bytes")
        key.verify(signature, bare)
    except (InvalidSignature, ValueError) as error:
        raise RecipeError(
            f"{name}: the signature is not of the key {fingerprint(key)}, or the file was changed after it was signed. "
            "Copy it again from where it was made, or sign it with: sightline sign"
        ) from error
    return fingerprint(key)


def unsigned(data: bytes) -> bytes:
    """The bytes that a signature covers: all of them where there is none."""
    begin = len(data) - LENGTH
    signed = begin > 0 and data[begin : begin + len(_HEAD) + len(_ENTRY)] == _HEAD + _ENTRY
    return data[:begin] if signed else data


def fingerprint(key: Ed25519PublicKey) -> str:
    """First 16 hex digits of the SHA-256 of the key, to compare by eye."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _read_key(path: Path, which: str, kind: Any, load: Callable[[bytes], object]) -> Any:
    try:
        key = load(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: no {which} key can be read. Make a pair with: sightline keys") from error
    if not isinstance(key, kind):
        raise InputError(f"{path}: is not an Ed25519 key. Make a pair with: sightline keys")
    return key


@dataclass(frozen=True, slots=True)
class Release:
    """`product` that the card must name, whatever version of its dataset; `created_since` the earliest time at which it
    may have been made (a naive one is UTC); `withdrawn` the first digits of refused hashes, as of `Recipe.hash`.
    """

    product: str | None = None
    created_since: datetime | None = None
    withdrawn: tuple[str, ...] = ()

    def check(self, card: Card, data: bytes, name: str) -> None:
        """Raises RecipeError for a recipe that must not be used here."""
        if self.product is not None and VERSION.sub("", card.product) != VERSION.sub("", self.product):
            raise RecipeError(
                f"{name}: is a recipe of {card.product}, and {self.product} is required here. "
                "Copy the right file, or name its product in the settings"
            )
        if self.created_since is not None and _time(card.provenance.created, name) < _aware(self.created_since):
            raise RecipeError(
                f"{name}: was made at {card.provenance.created}, and only recipes from "
                f"{self.created_since.isoformat()} on are used here. Copy a newer one"
            )
        for digest in (hashlib.sha256(data).hexdigest(), hashlib.sha256(unsigned(data)).hexdigest()):
            found = next((start for start in self.withdrawn if digest.startswith(start.lower())), None)
            if found is not None:
                raise RecipeError(f"{name}: was withdrawn ({found}). Copy the recipe that took its place")


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _time(text: str, name: str) -> datetime:
    try:
        return _aware(datetime.fromisoformat(text))
    except ValueError as error:
        raise RecipeError(f"{name}: its card does not say when it was made. Train it again") from error
