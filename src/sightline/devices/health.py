"""Health: what a camera or sink tells about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`connected` now; `reconnects` since the start; `dropped` frames or messages that were lost for good.

    `waiting` messages are kept for later delivery; `failures` counts refused frames or failed deliveries; `error` is
    the last one in words, "" for none.
    """

    connected: bool
    reconnects: int = 0
    dropped: int = 0
    waiting: int = 0
    failures: int = 0
    error: str = ""
