"""The station's HTTP port: metrics and health for monitoring, and changeover for barcode readers and the MES."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from sightline.line.station import Station

MOST_BYTES = 4096  # of a request's body
MOST_AT_ONCE = 16  # requests; whoever opens more must not take the station's memory
TIMEOUT_S = 5.0
HERE = ("localhost", "127.0.0.1", "[::1]")
LOG = logging.getLogger("sightline.line.port")


@dataclass(frozen=True)
class Answers:
    """What the port answers with: Prometheus text, (healthy, why), the status, and a wish for a recipe.

    `wish` returns whether such a recipe is there; `token` must come with a wish, as `Authorization: Bearer TOKEN`.
    Without one, wishes are only taken on loopback.
    """

    metrics: Callable[[], bytes]
    health: Callable[[], tuple[bool, str]]
    status: Callable[[], dict[str, Any]]
    wish: Callable[[str], bool]
    token: str = ""
    loopback: bool = True


class Port:
    """Listens from the start until it is closed."""

    def __init__(self, host: str, port: int, answers: Answers) -> None:
        handler = type("Handler", (_Handler,), {"answers": answers})
        self._server = _Server(host, port, handler)
        self.number = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="port", daemon=True)
        self._thread.start()
        LOG.info("metrics, health and changeover on http://%s:%d", host, self.number)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """A thread for each request, as many as `MOST_AT_ONCE`; one more is closed unheard, and its monitor asks again."""

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[_Handler]) -> None:
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        # An address of either family, or a name.
        given = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = given[0][0]
        super().__init__((host, port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the request to a thread, if one is left."""
        if not self._free.acquire(blocking=False):
            return self.shutdown_request(request)
        return super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The thread's whole life."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    answers: Answers
    timeout = TIMEOUT_S
    server_version, sys_version = "sightline", ""

    def do_GET(self) -> None:
        """`/metrics`, `/healthz` or `/status`."""
        path = urlsplit(self.path).path
        if path == "/metrics":
            self._send(HTTPStatus.OK, self.answers.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        elif path == "/healthz":
            healthy, why = self.answers.health()
            code = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
            self._send_json(code, {"healthy": healthy, "why": why})
        elif path == "/status":
            self._send_json(HTTPStatus.OK, self.answers.status())
        else:
            self._send_json(HTTPStatus.NOT_FOUND, {"error": "Ask for /metrics, /healthz or /status"})

    def do_POST(self) -> None:
        """`/recipe` with {"recipe": NAME, NUMBER or BARCODE}."""
        if urlsplit(self.path).path != "/recipe":
            return self._send_json(HTTPStatus.NOT_FOUND, {"error": "Post to /recipe"})
        given = self.headers.get("Authorization", "")
        if self.answers.token and not secrets.compare_digest(given.encode(), f"Bearer {self.answers.token}".encode()):
            return self._send_json(HTTPStatus.UNAUTHORIZED, {"error": "Send the token: Authorization: Bearer TOKEN"})
        if not self.answers.token and not self._from_here():
            return self._send_json(HTTPStatus.FORBIDDEN, {"error": "Set [health] token in the station's file"})
        # A page in a browser cannot send this type without asking first, so no site can change recipes by the way.
        if self.headers.get_content_type() != "application/json":
            return self._send_json(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": "Send application/json"})
        wish = self._wish()
        if wish is None:
            return self._send_json(HTTPStatus.BAD_REQUEST, {"error": 'Send {"recipe": "name, number or barcode"}'})
        if not self.answers.wish(wish):
            return self._send_json(HTTPStatus.NOT_FOUND, {"error": f"no recipe {wish!r} is loaded here"})
        return self._send_json(HTTPStatus.ACCEPTED, {"recipe": wish})

    def _from_here(self) -> bool:
        """Whether only this machine reaches the port, under its own name: a site's name may point here, too."""
        host = re.sub(r":\d+$", "", self.headers.get("Host", ""))
        return self.answers.loopback and host in HERE

    def _wish(self) -> str | None:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,4}", length) or not 0 < int(length) <= MOST_BYTES:
            return None
        try:
            wish = json.loads(self.rfile.read(int(length)))["recipe"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return str(wish) if isinstance(wish, str | int) and not isinstance(wish, bool) and str(wish) else None

    def _send_json(self, code: HTTPStatus, value: dict[str, Any]) -> None:
        self._send(code, json.dumps(value).encode(), "application/json")

    def _send(self, code: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: a monitor asks every few seconds."""


def open_port(station: Station) -> Port:
    """The port of a station."""
    gear, health = station.gear, station.settings.health

    def healthy() -> tuple[bool, str]:
        sick = gear.sick() + ([station.gate.reason] if station.gate.blocked else [])
        return not sick, "; ".join(sick)

    def status() -> dict[str, Any]:
        told = {**asdict(station.status()), "station": station.settings.name, "judge_pid": gear.judge.pid}
        return told | {"pid": os.getpid(), "records_waiting": gear.recorder.waiting, "sick": gear.sick()}

    def wish(recipe: str) -> bool:
        found = station.recipes.find(recipe)
        if found is not None:
            gear.controller.wish(found.name)
        return found is not None

    token = health.token.read() if health.token is not None else ""
    loopback = health.host == "localhost"
    with suppress(ValueError):  # a name, of which nobody knows where it leads
        loopback = loopback or ipaddress.ip_address(health.host).is_loopback
    answers = Answers(gear.metrics.text, healthy, status, wish, token, loopback)
    return Port(health.host, health.port, answers)
