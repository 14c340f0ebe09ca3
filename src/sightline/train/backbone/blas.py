"""The threads of numpy's matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrix products of numpy on one thread: OpenBLAS's waiting threads spin, and on a machine with other work a
    training took six times as long with two (docs/decisions/0061). Without threadpoolctl they stay as they are.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(1, "blas"):
        yield
