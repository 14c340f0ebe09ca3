"""The station's HTTP port: metrics and health for monitoring, changeover for barcode readers and the MES, and the live
picture for the web app."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import re
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from sightline.core.signals import CommandKind, Status
from sightline.devices.http_server import HttpServer
from sightline.line.settings import StationSettings
from sightline.line.station import Station

MAX_BYTES = 4096  # of a request's body
MAX_AT_ONCE = 16  # requests; whoever opens more must not take the station's memory
TIMEOUT_S = 2.0  # of a request in all
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
NOT_YET = "the station is not at work yet"
LOG = logging.getLogger("sightline.line.port")


@dataclass(frozen=True)
class Answers:
    """What the port answers with: Prometheus text, (healthy, why), the status, and a request for a recipe.

    `request_recipe` returns whether such a recipe is there, and leaves none active where it is not; `token` must come
    with a request, as `Authorization: Bearer TOKEN`. Without one, requests are only taken on loopback. `live` gives the
    newest part after a number as a message (`line.live`) and needs the token, too: pictures of parts are not for all.
    `request_continuous` returns why part after part cannot be inspected, "" where it was asked for; `request_check` why
    there is nothing to check. `request_pilot` switches the pilot mode.
    """

    metrics: Callable[[], bytes]
    health: Callable[[], tuple[bool, str]]
    status: Callable[[], dict[str, Any]]
    request_recipe: Callable[[str], bool]
    token: str = ""
    loopback: bool = True
    live: Callable[[int], bytes | None] = lambda after: None
    request_continuous: Callable[[bool], str] = lambda wanted: NOT_YET
    request_pilot: Callable[[bool], str] = lambda wanted: NOT_YET
    request_check: Callable[[], str] = lambda: NOT_YET


class Port:
    """Listens from the start until it is closed."""

    def __init__(self, host: str, port: int, answers: Answers) -> None:
        self._handler: type[_Handler] = type("Handler", (_Handler,), {"answers": answers})
        self._server = HttpServer(host, port, self._handler, MAX_AT_ONCE, TIMEOUT_S)
        self.number = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="port", daemon=True)
        self._thread.start()
        LOG.info("metrics, health and changeover on http://%s:%d", host, self.number)

    def answer(self, answers: Answers) -> None:
        """Answer with these from now on."""
        self._handler.answers = answers

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    answers: Answers
    timeout = TIMEOUT_S
    server_version, sys_version = "sightline", ""

    def do_GET(self) -> None:
        """`/metrics`, `/healthz`, `/status` or `/live?after=NUMBER`."""
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        if path == "/metrics":
            self._send(HTTPStatus.OK, self.answers.metrics(), "text/plain; version=0.0.4; charset=utf-8")
        elif path == "/healthz":
            healthy, why = self.answers.health()
            code = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
            self._send_json(code, {"healthy": healthy, "why": why})
        elif path == "/status":
            self._send_json(HTTPStatus.OK, self.answers.status())
        elif path == "/live":
            if self._may_ask():
                after = re.fullmatch("after=([0-9]{1,15})", query)
                message = self.answers.live(int(after[1]) if after else 0)
                code = HTTPStatus.NO_CONTENT if message is None else HTTPStatus.OK
                self._send(code, message or b"", "application/octet-stream")
        else:
            self._send_json(HTTPStatus.NOT_FOUND, {"error": "Ask for /metrics, /healthz, /status or /live"})

    def do_POST(self) -> None:
        """`/recipe` with {"recipe": NAME, NUMBER or BARCODE}, `/continuous`, `/pilot` or `/check` with its own name and
        true or false."""
        path = urlsplit(self.path).path
        asked = {"/continuous": self.answers.request_continuous, "/pilot": self.answers.request_pilot}
        asked["/check"] = lambda wanted: self.answers.request_check() if wanted else "it ends by itself"
        if path != "/recipe" and path not in asked:
            return self._send_json(HTTPStatus.NOT_FOUND, {"error": "Post to /recipe, /continuous, /pilot or /check"})
        if not self._may_ask():
            return None
        # A page in a browser cannot send this type without asking first, so no site can change recipes by the way.
        if self.headers.get_content_type() != "application/json":
            return self._send_json(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"error": "Send application/json"})
        if path in asked:
            return self._request(path[1:], asked[path])
        requested = self._read("recipe")
        if not isinstance(requested, str | int) or isinstance(requested, bool) or not str(requested):
            return self._send_json(HTTPStatus.BAD_REQUEST, {"error": 'Send {"recipe": "name, number or barcode"}'})
        if not self.answers.request_recipe(str(requested)):
            return self._send_json(
                HTTPStatus.NOT_FOUND, {"error": f"no recipe {str(requested)!r} is loaded here: none is active now"}
            )
        return self._send_json(HTTPStatus.ACCEPTED, {"recipe": str(requested)})

    def _request(self, name: str, request: Callable[[bool], str]) -> None:
        wanted = self._read(name)
        if not isinstance(wanted, bool):
            return self._send_json(HTTPStatus.BAD_REQUEST, {"error": f'Send {{"{name}": true}} or false'})
        if why_not := request(wanted):
            return self._send_json(HTTPStatus.CONFLICT, {"error": why_not})
        return self._send_json(HTTPStatus.ACCEPTED, {name: wanted})

    def _may_ask(self) -> bool:
        """Whether the caller has the token, or is on this machine where there is none; else it is told."""
        given = self.headers.get("Authorization", "")
        if self.answers.token and not secrets.compare_digest(given.encode(), f"Bearer {self.answers.token}".encode()):
            self._send_json(HTTPStatus.UNAUTHORIZED, {"error": "Send the token: Authorization: Bearer TOKEN"})
            return False
        if not self.answers.token and not self._is_local():
            self._send_json(HTTPStatus.FORBIDDEN, {"error": "Set [health] token in the station's file"})
            return False
        return True

    def _is_local(self) -> bool:
        """Whether only this machine reaches the port, under its own name: a site's name may point here, too."""
        host = re.sub(r":\d+$", "", self.headers.get("Host", ""))
        return self.answers.loopback and host in LOOPBACK_NAMES

    def _read(self, name: str) -> Any:
        """The value of that name in the JSON object that was sent; None where there is none."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,4}", length) or not 0 < int(length) <= MAX_BYTES:
            return None
        try:
            return json.loads(self.rfile.read(int(length)))[name]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

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


def open_early(settings: StationSettings, why: Callable[[], str]) -> Port:
    """The port of a station that does not work yet: `why` says what it is doing, or what keeps it from starting."""

    def status() -> dict[str, Any]:
        return {**asdict(Status(reason=why())), "station": settings.name, "pid": os.getpid(), "sick": [why()]}

    def metrics() -> bytes:
        return f'# TYPE sightline_started gauge\nsightline_started{{station="{settings.name}"}} 0\n'.encode()

    answers = _answers(settings, metrics, lambda: (False, why()), status, lambda recipe: False)
    return Port(settings.health.host, settings.health.port, answers)


def open_port(station: Station, early: Port | None = None) -> Port:
    """The port of a station: the one that was opened early, or a new one."""
    devices, health = station.devices, station.settings.health

    def healthy() -> tuple[bool, str]:
        faults = devices.faults() + ([station.gate.reason] if station.gate.blocked else [])
        return not faults, "; ".join(faults)

    def status() -> dict[str, Any]:
        told = {**asdict(station.status()), "station": station.settings.name, "worker_pid": devices.worker.pid}
        told |= {"pid": os.getpid(), "check_parts": station.gate.parts}
        waiting = {} if devices.forwarder is None else {"site_waiting": devices.forwarder.waiting}
        return told | {"records_waiting": devices.recorder.waiting, **waiting, "sick": devices.faults()}

    def request_recipe(recipe: str) -> bool:
        # A request for a recipe that is not here counts, too: then none is active, whoever asked (decision 28).
        devices.controller.request_recipe(recipe)
        return station.recipes.find(recipe) is not None

    def request_continuous(wanted: bool) -> str:
        why_not = station.status().not_continuous if wanted else ""
        if why_not:
            return f"it cannot run continuously: {why_not}"
        devices.controller.request(CommandKind.CONTINUOUS if wanted else CommandKind.STOP)
        return ""

    def request_pilot(wanted: bool) -> str:
        devices.controller.request(CommandKind.PILOT if wanted else CommandKind.PRODUCTION)
        return ""

    def request_check() -> str:
        if not station.gate.parts:
            return "there is nothing to check: [interlock] in the station's file names no parts for this recipe"
        devices.controller.request(CommandKind.CHECK)
        return ""

    answers = replace(
        _answers(station.settings, devices.metrics.text, healthy, status, request_recipe),
        live=devices.live.message,
        request_continuous=request_continuous,
        request_pilot=request_pilot,
        request_check=request_check,
    )
    if early is None:
        return Port(health.host, health.port, answers)
    early.answer(answers)
    return early


def _answers(settings: StationSettings, metrics: Any, healthy: Any, status: Any, request_recipe: Any) -> Answers:
    """Answers with the token, and whether only this machine reaches them, as the settings have it."""
    health = settings.health
    loopback = health.host == "localhost"
    with suppress(ValueError):  # a name, of which nobody knows where it leads
        loopback = loopback or ipaddress.ip_address(health.host).is_loopback
    token = health.token.read() if health.token is not None else ""
    return Answers(metrics, healthy, status, request_recipe, token, loopback)
