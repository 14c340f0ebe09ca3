"""The line's record as a Parquet file: the columns of the CSV with their types, however many rows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from sightline.core.errors import MissingExtraError
from sightline.operations.records import COLUMNS, batches
from sightline.store.inspections import Filter, Record
from sightline.store.store import Store

ROWS = 10_000  # of a row group: so many are in memory at a time


def parquet_chunks(store: Store, wanted: Filter) -> Iterator[bytes]:
    """The file's bytes in order, a row group at a time, the newest inspections first.

    Moments are UTC in microseconds, `types` is JSON as in the CSV; what is not known is null. The last chunk holds the
    directory: a file that was cut off cannot be read, so that none is taken for whole. Raises MissingExtraError at
    once where the extra [parquet] is not installed, StoreError while it is read.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    kinds: dict[str, Any] = {name: pa.string() for name in COLUMNS}
    kinds |= dict.fromkeys(("id", "grade"), pa.int64()) | dict.fromkeys(("score", "p_value"), pa.float64())
    kinds |= dict.fromkeys(("triggered", "captured", "inferred", "signalled"), pa.timestamp("us", "UTC"))
    kinds |= dict.fromkeys(("late", "shadow"), pa.bool_())
    schema = pa.schema([pa.field(name, kind) for name, kind in kinds.items()])

    def chunks() -> Iterator[bytes]:
        target = _Chunks()
        with pq.ParquetWriter(pa.PythonFile(target, mode="w"), schema) as writer:
            yield target.taken()  # how every such file begins: whoever waits knows that it comes
            for records in batches(store, wanted, ROWS):
                rows = [{name: _value(record, name) for name in COLUMNS} for record in records]
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))
                yield target.taken()
        yield target.taken()

    return chunks()


def _value(record: Record, name: str) -> Any:
    value = getattr(record, name)
    if name == "types":
        return json.dumps(value, ensure_ascii=False) if value else None
    return str(value) if name == "verdict" else value


class _Chunks(io.RawIOBase):
    """A file that keeps nothing but what was written since somebody took it."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        waiting, self._waiting = b"".join(self._waiting), []
        return waiting
