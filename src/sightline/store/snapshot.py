"""A dataset version as values: what a snapshot holds, and what has changed between two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sightline.core.figures import Figures
from sightline.store.annotations import UNKNOWN
from sightline.store.tables.labels import VersionRow


@dataclass(frozen=True, slots=True)
class Version:
    """A snapshot of a product's samples; `name` is what commands call it. `hash` is over its content alone."""

    id: int
    product: str
    number: int
    hash: str
    samples: int
    frozen: bool
    parent: int | None
    note: str
    author: str
    created: datetime

    @property
    def name(self) -> str:
        """For instance cookies@3."""
        return f"{self.product}@{self.number}"

    def to_json(self) -> dict[str, Any]:
        """The version as plain JSON values."""
        return {
            "version": self.name,
            "hash": self.hash,
            "samples": self.samples,
            "frozen": self.frozen,
            "note": self.note,
            "author": self.author,
            "created": self.created.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Diff(Figures):
    """Names of samples that were added, removed, relabelled, moved to another split, or put into another group or lot.

    A sample that was both relabelled and moved is in both; `changed` are those that differ in something else (their
    name or their image). `frozen` has the versions whose test part is frozen, where that is one of the two.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[str, ...]
    moved: tuple[str, ...]
    regrouped: tuple[str, ...]
    changed: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()


def version_of(row: VersionRow) -> Version:
    """A row as a value."""
    return Version(
        row.id,
        row.product,
        row.number,
        row.hash,
        row.samples,
        row.frozen,
        row.parent_id,
        row.note,
        row.author,
        row.created,
    )


def label_content(row: Any) -> dict[str, Any] | None:
    """What an annotation says, without who said it and when; `row` has its columns, all None where there is none.

    Nobody has said anything: None, as a bare "unknown".
    """
    if row is None or row.label is None:
        return None
    if row.label == UNKNOWN and not (row.types or row.regions or row.mask_hash) and row.grade is None:
        return None
    return {
        "label": row.label,
        "types": row.types,
        "regions": row.regions,
        "mask": row.mask_hash,
        "grade": row.grade,
    }


def entry_digest(row: Any) -> str:
    """SHA-256 over a sample's content, name, place in the split and label, as canonical JSON; `row` has the columns."""
    return _sha256(
        {
            "image": row.hash,
            "name": row.name,
            "split": row.split,
            "group": row.group,
            "lot": row.lot,
            "label": label_content(row),
        }
    )


def version_hash(product: str, frozen: bool, digests: Iterable[str]) -> str:
    """SHA-256 over all entries, in whatever order they come."""
    return _sha256({"product": product, "frozen": frozen, "entries": sorted(digests)})


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
