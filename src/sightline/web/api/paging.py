"""Lists, page by page: each page ends with a cursor, after which the next one goes on."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from sightline.core.errors import InputError

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=500, description="maximum number of items")]
After = Annotated[str | None, Query(max_length=500, description="`next` of the page before")]


class Listed(BaseModel, Generic[T]):
    """One page of a list. `next` is the cursor of the next one, null on the last."""

    items: list[T]
    next: str | None = Field(description="give it as `after` to get the next page")


def listed(items: Sequence[T], limit: int, key: Callable[[T], Any]) -> Listed[T]:
    """A page; `key` gives the place of an item in the order of the list, as plain JSON."""
    more = len(items) == limit
    return Listed[T](items=list(items), next=_encode(key(items[-1])) if more else None)


def place(after: str | None, *kinds: type) -> Any:
    """What a cursor says: one value, or a list where several `kinds` are given; None without one.

    Raises InputError for a cursor that this server did not make.
    """
    if after is None:
        return None
    try:
        value = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        value = None
    values = value if len(kinds) > 1 else [value]
    right = isinstance(values, list) and len(values) == len(kinds)
    if not right or any(type(one) is not kind for one, kind in zip(values, kinds, strict=True)):
        raise InputError("after: is not a cursor of this list. Take `next` of the page before")
    if any(isinstance(one, int) and not -(2**63) <= one < 2**63 for one in values):
        raise InputError("after: is not a cursor of this list. Take `next` of the page before")
    return value


def _encode(key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")
