"""Figures as JSON: a frozen dataclass whose JSON object has its fields, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figures:
    """Base of values that are stated, printed and stored; a subclass that says more extends `to_json`."""

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values; tuples become lists, and values within say for themselves what they are."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "to_json"):
        return value.to_json()
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)} if is_dataclass(value) else value
