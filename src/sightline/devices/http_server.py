"""A small HTTP server that slow callers cannot block: where all threads are taken, the slowest one has to go."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 0.5  # so long a caller may take while others wait
GONE_S = 1.0  # by then the thread of a caller that was hung up on has ended
_log = logging.getLogger(__name__)


class HttpServer(ThreadingHTTPServer):
    """A thread for each request, at most `callers_max`; no request may take longer than `longest_s` in all."""

    daemon_threads = True
    block_on_close = False  # a slow caller must not hold up the end

    def __init__(
        self, host: str, port: int, handler: type[BaseHTTPRequestHandler], callers_max: int, longest_s: float
    ) -> None:
        self._free = threading.BoundedSemaphore(callers_max)
        self._longest_s = longest_s
        self._lock = threading.Lock()
        self._began: dict[Any, float] = {}
        # An address of either family, or a name.
        given = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = given[0][0]
        super().__init__((host, port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the request to a thread: a free one, or that of the caller who has kept it longest."""
        if not self._free.acquire(blocking=False) and not self._make_room():
            return self.shutdown_request(request)
        with self._lock:
            self._began[request] = time.monotonic()
        return super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The thread's whole life."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._began.pop(request, None)
            self._free.release()

    def service_actions(self) -> None:
        """Several times a second: hang up on callers whose request takes too long, however they dribble."""
        super().service_actions()
        until = time.monotonic() - self._longest_s
        with self._lock:
            slow = [request for request, began in self._began.items() if began < until]
        for request in slow:
            _hang_up(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that has gone is no fault of the server's; whatever else it was is logged."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.exception("a request could not be answered")

    def _make_room(self) -> bool:
        """Whether a thread became free: the oldest request has to go once it has had `PATIENCE_S`."""
        with self._lock:
            oldest = min(self._began, key=self._began.__getitem__, default=None)
            began = time.monotonic() if oldest is None else self._began[oldest]
        if self._free.acquire(timeout=max(0.0, began + PATIENCE_S - time.monotonic())):
            return True
        if oldest is not None:
            _hang_up(oldest)
        return self._free.acquire(timeout=GONE_S)


def _hang_up(request: Any) -> None:
    with suppress(OSError):
        socket.socket.shutdown(request, socket.SHUT_RDWR)  # beneath TLS, which its own thread may be reading
