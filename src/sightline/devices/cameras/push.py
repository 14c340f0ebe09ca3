"""Pictures sent over HTTP: each POST is one part."""

from __future__ import annotations

import hmac
import json
import logging
import queue
import ssl
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from sightline.core.errors import CameraError, SettingError
from sightline.devices.cameras.encoded import decode
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.source import Picture
from sightline.devices.secret import Secret

_log = logging.getLogger(__name__)
CALLERS_MAX = 16
_STATUS = {"incomplete": 422, "unreadable": 415, "size": 413}


class Settings(CameraSettings):
    """A small HTTP server that takes PNG or JPEG by POST."""

    kind: Literal["push"] = "push"
    host: str = Field("127.0.0.1", description="address to listen on; another one needs a token")
    port: int = Field(0, ge=0, le=65535, description="port to listen on; 0: any free one")
    token: Secret | None = Field(None, description="callers must send it: Authorization: Bearer <token>")
    certificate: Path | None = Field(
        None, description="PEM file of the server's certificate: then it speaks HTTPS only"
    )
    private_key: Path | None = Field(None, description="PEM file of the certificate's key")
    bytes_max: int = Field(32_000_000, ge=1000, le=1_000_000_000, description="larger requests are refused")
    pixels_max: int = Field(50_000_000, ge=64, le=1_000_000_000, description="larger pictures are refused")
    waiting_max: int = Field(16, ge=1, le=1000, description="pictures that may wait; more are refused with status 503")
    timeout_ms: int = Field(5000, ge=100, le=600_000, description="a caller who is slower is cut off")

    @model_validator(mode="after")
    def _guarded(self) -> Settings:
        if self.host not in ("127.0.0.1", "::1", "localhost") and self.token is None:
            raise ValueError("host is reachable from other machines: set a token, or listen on 127.0.0.1")
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key belong together: set both or none")
        return self


class PushSource:
    """The server and the pictures that wait. `port` is the one it listens on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = settings.token.read() if settings.token else ""
        self._waiting: queue.Queue[Picture] = queue.Queue(settings.waiting_max)
        try:
            self._server = _Server((settings.host, settings.port), _handler(self))
        except OSError as error:
            raise CameraError(
                f"camera {settings.name}: cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
                "Choose another port"
            ) from error
        if settings.certificate is not None:
            self._server.socket = _tls(settings).wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="push server", daemon=True).start()
        _log.info("camera %s listens on %s:%d", settings.name, settings.host, self.port)

    def read(self, timeout_ms: float) -> Picture:
        """The picture that has waited longest. Raises CameraError."""
        try:
            return self._waiting.get(timeout=max(0.0, timeout_ms / 1e3))
        except queue.Empty:
            raise CameraError(f"camera {self._settings.name}: no picture was sent", "timeout") from None

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, headers: Any, path: str, body: Any) -> tuple[int, str]:
        """Take one request: HTTP status and a sentence."""
        length = str(headers.get("Content-Length", ""))
        if self._token and not hmac.compare_digest(
            str(headers.get("Authorization", "")).encode(), f"Bearer {self._token}".encode()
        ):
            return 401, "send the header Authorization: Bearer <token>"
        if not length.isascii() or not length.isdigit():
            return 411, "send the header Content-Length"
        if int(length) > self._settings.bytes_max:
            return 413, f"at most {self._settings.bytes_max} bytes are taken"
        data = _read(body, int(length), time.monotonic() + self._settings.timeout_ms / 1e3)
        if len(data) < int(length):
            return 400, "the request ended early, or was too slow"
        try:
            image = decode(data, "the request", self._settings.pixels_max)
        except CameraError as error:
            return _STATUS.get(error.reason, 400), str(error)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        part = query.get("part", [""])[0][:64]
        try:
            self._waiting.put_nowait(Picture(pixels=image, layout="BGR8", metadata={"part_id": part} if part else {}))
        except queue.Full:
            return 503, "too many pictures wait. Send it again later"
        return 202, "taken"


def _read(body: Any, length: int, deadline: float) -> bytes:
    """Up to `length` bytes of the request that come before `deadline`, however small its pieces are."""
    data = bytearray()
    while len(data) < length and time.monotonic() < deadline:
        piece = body.read1(min(length - len(data), 1 << 16))
        if not piece:
            break
        data += piece
    return bytes(data)


class _Server(ThreadingHTTPServer):
    """Serves a bounded number of callers at once; others are hung up on."""

    daemon_threads = True
    block_on_close = False  # a slow caller must not hold up the end
    free = threading.BoundedSemaphore(CALLERS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()


def _handler(source: PushSource) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = source._settings.timeout_ms / 1e3
        server_version, sys_version = "sightline", ""

        def do_POST(self) -> None:
            status, text = source.answer(self.headers, self.path, self.rfile)
            data = json.dumps({"message": text}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            _log.debug("push: %s", format % args)

        def handle(self) -> None:
            try:
                super().handle()
            except OSError as error:
                _log.info("push: a caller was cut off: %s", error)

    return Handler


def _tls(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(str(settings.certificate), str(settings.private_key))
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"camera {settings.name}: the certificate or its key cannot be read. Check both") from error
    return context


def open_source(settings: Settings) -> PushSource:
    """Start to listen. Raises CameraError where the port is taken."""
    return PushSource(settings)
