"""The line's record as a table: inspections as CSV, however many, with a batch of them in memory at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sightline.store.inspections import MAX, Filter, Record
from sightline.store.store import Store

COLUMNS = (
    *("id", "triggered", "station", "line", "product", "lot", "serial", "verdict", "score", "p_value", "types"),
    *("grade", "late", "error", "shadow", "recipe_hash", "image_hash", "captured", "inferred", "signalled", "key"),
)
FIRST, BATCH = (
    50,
    500,
)  # lines at once: who asks sees the first ones early, and others wait no longer than for one batch
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet begins to compute (OWASP, CSV injection)


def csv_lines(store: Store, wanted: Filter) -> Iterator[str]:
    """The header and the inspections that pass the filter, the newest first, some at a time. Raises StoreError."""
    yield _lines([COLUMNS])
    for records in batches(store, wanted, BATCH, FIRST):
        yield _lines([_row(record) for record in records])


def batches(store: Store, wanted: Filter, size: int, first: int | None = None) -> Iterator[Sequence[Record]]:
    """The inspections that pass the filter, the newest first, `size` at a time, of which there may be fewer in the
    first batch. Raises StoreError.
    """
    batch: list[Record] = []
    before, most = None, first or size
    while True:
        limit = min(most - len(batch), MAX)
        page = store.inspections.page(wanted, before, limit)
        batch += page
        ended = len(page) < limit
        if batch and (ended or len(batch) == most):
            yield batch
            batch, most = [], size
        if ended:
            return
        before = page[-1].cursor


def _row(record: Record) -> tuple[Any, ...]:
    return tuple(_cell(getattr(record, name)) for name in COLUMNS)


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False) if value else ""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"  # a serial number comes from a machine, which may send anything
    return value


def _lines(rows: list[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
