"""An event loop in a thread: asynchronous libraries under a station that is not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from sightline.core.errors import SinkError

T = TypeVar("T")
CLOSE_S = 5.0
ROUNDS = 4  # a connection accepted in the last moment begins its work after the others were cancelled
_log = logging.getLogger(__name__)


class Loop:
    """Runs coroutines in its own thread until it is closed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """The result of `work`. Raises what it raises, and SinkError after `timeout_s`."""
        if self._loop.is_closed():
            work.close()
            raise SinkError(f"{self._name} is closed. Open it again")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError as error:
            if future.done():  # the work itself ran into a time-out
                raise SinkError(f"{self._name}: the other side does not answer. Check address and network") from error
            future.cancel()
            raise SinkError(f"{self._name}: no answer within {timeout_s:g} s. Check address and network") from error

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have `work` done without waiting for it; works that are started one after the other begin in this order."""
        if self._loop.is_closed():
            work.close()
            return
        asyncio.run_coroutine_threadsafe(work, self._loop).add_done_callback(self._tell)

    def _tell(self, future: concurrent.futures.Future[Any]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.error("%s: %s", self._name, error)

    def close(self) -> None:
        """Cancel what still runs and end the thread."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _end(self) -> None:
        for _ in range(ROUNDS):
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            if others:
                await asyncio.wait([asyncio.gather(*others, return_exceptions=True)], timeout=CLOSE_S / 2 / ROUNDS)
            # A server that stops while somebody connects can leave that connection open: the loop is its last owner.
            transports = list(getattr(self._loop, "_transports", {}).values())
            for transport in transports:
                transport.abort()
            await asyncio.sleep(0)  # the turn in which what was aborted is closed
            if not others and not transports:
                break
        self._loop.stop()
