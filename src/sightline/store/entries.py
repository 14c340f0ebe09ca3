"""Entries of a station's journal, as they are kept in a store: in its own, and in that of the site."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy.orm import Session

from sightline.core.errors import InputError
from sightline.core.result import Verdict
from sightline.store.audit import note
from sightline.store.recording import Record
from sightline.store.retention import Origin

Entry = Mapping[str, Any]
FORMAT = 1  # of what a station sends to its site; a server takes its own and older ones
TIMES = ("triggered", "captured", "inferred", "signalled")
EMBEDDED = ("key", "view", "image_hash", "recipe_hash")
ORIGIN = ("station", "line", "lot", "serial", "recipe_hash", "exposure_us", "gain_db", "reason", "verdict")
FIELDS = frozenset(field.name for field in fields(Record)) | {"kind"}


def record_of(entry: Entry) -> Record:
    """The record that an entry of the kind "part" holds. Raises InputError."""
    try:
        values = {name: value for name, value in entry.items() if name != "kind"}
        moments = {name: moment_of(values.get(name)) for name in TIMES}
        return Record(**{**values, **moments, "verdict": Verdict(values["verdict"])})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"a record is damaged ({error}): {str(entry)[:200]}") from error


def corrected(entry: Entry) -> tuple[str, Verdict, str]:
    """Key, verdict and error of an entry of the kind "correction". Raises InputError."""
    try:
        return str(entry["key"]), Verdict(entry["verdict"]), str(entry["error"])
    except (KeyError, ValueError) as error:
        raise InputError(f"a correction is damaged ({error}): {str(entry)[:200]}") from error


def embedding_of(entry: Entry) -> tuple[str, str, str, str, bytes] | None:
    """What `Embeddings.keep` takes of an entry of the kind "picture", None where it has no embedding."""
    try:
        if not (vector := entry.get("embedding")):
            return None
        part, view, picture, recipe = (str(entry[name]) for name in EMBEDDED)
        return part, view, picture, recipe, base64.b64decode(vector, validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise InputError(f"the entry of a picture is damaged ({error})") from error


def origin_of(told: Mapping[str, Any], view: str) -> Origin:
    """Where a picture was taken, from what the recorder knows of its part. Raises InputError."""
    try:
        return Origin(
            product=told["product"] or "unknown",
            name=f"{told['station']}/{told['key']}-{view}.png",
            triggered=moment_of(told["triggered"]),
            details={"view": view, "part": told["key"]},
            **cast(dict[str, Any], {name: told.get(name) for name in ORIGIN}),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the origin of a picture is damaged ({error}): {str(told)[:200]}") from error


def note_events(session: Session, station: str, entries: Sequence[Entry]) -> None:
    """Note what happened beside parts: entries of the kind "event"."""
    for entry in entries:
        if entry.get("kind") == "event":
            name = f"station {station}"
            note(session, name, str(entry["event"]), name, text=entry["text"], at=entry["time"])


def moment_of(seconds: float | None) -> datetime | None:
    """A moment of seconds since 1970."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
