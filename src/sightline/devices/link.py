"""A link: something that can be lost and is opened again in the background, with growing pauses; and its health."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sightline.core.errors import CameraError, SinkError

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Backoff(BaseModel):
    """Pauses between attempts to open again: each is twice as long as the one before, up to a bound."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_ms: int = Field(200, ge=10, le=60_000, description="pause before the second attempt")
    longest_ms: int = Field(5_000, ge=10, le=600_000, description="no pause is longer than this")

    def pause_s(self, attempt: int) -> float:
        """Seconds to wait after the failed attempt number `attempt` (0, 1, ...)."""
        return float(min(self.first_ms * 2 ** min(attempt, 20), max(self.first_ms, self.longest_ms))) / 1e3


class Link(Generic[T]):
    """Holds what `opener` gives; after `lost`, a thread opens it again until it succeeds or the link is closed.

    The first attempt is made at once: settings that cannot work (SettingError, MissingExtraError) are raised, a device
    that is away (CameraError, SinkError, OSError) is tried again in the background.
    """

    def __init__(self, name: str, opener: Callable[[], T], closer: Callable[[T], None], backoff: Backoff) -> None:
        self._name, self._opener, self._closer, self._backoff = name, opener, closer, backoff
        self._changed = threading.Condition()
        self._held: T | None = None
        self._closed = False
        self.reconnects = 0
        self.error = ""
        if not self._try():
            self._start()

    @property
    def connected(self) -> bool:
        """Whether something is held now."""
        return self._held is not None

    def get(self, timeout_s: float) -> T | None:
        """What is held, or None where nothing could be opened in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._held is not None or self._closed, max(0.0, timeout_s))
            return self._held

    def lost(self, held: T, error: str) -> None:
        """Give up `held` and begin to open anew. Does nothing where it was given up already."""
        with self._changed:
            if self._held is not held or self._closed:
                return
            self._held, self.error = None, error
        _log.warning("%s: connection lost: %s", self._name, error)
        self._start(held)  # closing may take time that the caller does not have

    def close(self) -> None:
        """Close what is held and stop opening."""
        with self._changed:
            held, self._held, self._closed = self._held, None, True
            self._changed.notify_all()
        if held is not None:
            self._drop(held)

    def _start(self, old: T | None = None) -> None:
        threading.Thread(target=self._reopen, args=(old,), name=f"link {self._name}", daemon=True).start()

    def _reopen(self, old: T | None) -> None:
        if old is not None:
            self._drop(old)
        attempt = 0
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._closed, self._backoff.pause_s(attempt)):
                    return
            attempt += 1
            try:
                opened = self._try()
            except Exception as error:  # noqa: BLE001 (logged; this thread must go on)
                # What was right at the start may fail now, in any way: looking on is all that can help.
                _log.exception("%s: cannot be opened", self._name)
                opened, self.error = False, str(error)
            if opened:
                self.reconnects += 1
                _log.info("%s: connected again after %d attempts", self._name, attempt)
                return

    def _try(self) -> bool:
        try:
            held = self._opener()
        except (CameraError, SinkError, OSError) as error:
            self.error = str(error)
            return False
        with self._changed:
            if not self._closed:
                self._held, self.error = held, ""
                self._changed.notify_all()
                return True
        self._drop(held)
        return True

    def _drop(self, held: T) -> None:
        with contextlib.suppress(CameraError, SinkError, OSError):
            self._closer(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """`connected` now; `reconnects` since the start; `dropped` frames or messages that were lost for good.

    `other_parts` counts pictures that were sent for another part than the one under way; `waiting` messages are kept
    for later delivery; `failures` counts refused frames or failed deliveries; `error` is the last one in words, "" for
    none.
    """

    connected: bool
    reconnects: int = 0
    dropped: int = 0
    other_parts: int = 0
    waiting: int = 0
    failures: int = 0
    error: str = ""
