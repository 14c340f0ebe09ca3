"""Pictures sent over HTTP: each POST is one part."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import hmac
import ipaddress
import json
import logging
import os
import queue
import secrets
import ssl
import threading
import time
import urllib.parse
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from sightline.core.errors import CameraError, SettingError
from sightline.devices.cameras.pixels import read_picture
from sightline.devices.cameras.settings import LiveSettings
from sightline.devices.cameras.source import RawImage
from sightline.devices.credentials import Secret
from sightline.devices.http_server import HttpServer

_log = logging.getLogger(__name__)
CALLERS_MAX, PART_MAX = 16, 64
MAX_REMEMBERED = 1000  # requests that are remembered, so that none is a part twice
# A page in a browser can send none of these to another site without asking first.
TYPES = ("image/png", "image/jpeg", "image/bmp", "image/tiff", "image/webp", "application/octet-stream")
_STATUS = {"incomplete": 422, "unreadable": 415, "size": 413}


class Settings(LiveSettings):
    """A small HTTP server that takes PNG or JPEG by POST, of callers with the token."""

    kind: Literal["push"] = "push"
    host: str = Field("127.0.0.1", description="address to listen on; another one needs token to be set")
    port: int = Field(0, ge=0, le=65535, description="port to listen on; 0: any free one")
    names: tuple[str, ...] = Field(
        (),
        description="names by which callers may address this machine, in addition to its address, host and localhost",
    )
    token: Secret | None = Field(
        None,
        description=(
            "token that callers must send: Authorization: Bearer <token>; if not set, one is created in token_file"
        ),
    )
    token_file: Path | None = Field(
        None,
        description="file of the token that is created if none is set; empty: in the station's or the user's folder",
    )
    certificate: Path | None = Field(
        None, description="PEM file of the server's certificate; enables HTTPS and disables HTTP"
    )
    private_key: Path | None = Field(None, description="PEM file of the certificate's key")
    bytes_max: int = Field(32_000_000, ge=1000, le=1_000_000_000, description="larger requests are refused")
    waiting_max: int = Field(16, ge=1, le=1000, description="pictures that may wait; more are refused with status 503")
    timeout_ms: int = Field(5000, ge=100, le=600_000, description="slower callers are disconnected")

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
        self._token = settings.token.read() if settings.token else _made_token(settings)
        self._remembered: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._waiting: queue.Queue[RawImage] = queue.Queue(settings.waiting_max)
        try:
            longest_s = settings.timeout_ms / 1e3
            self._server = HttpServer(settings.host, settings.port, _handler(self), CALLERS_MAX, longest_s)
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

    def read(self, timeout_ms: float) -> RawImage:
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
        came = time.monotonic()  # a caller may be slow: the picture is as old as the begin of its request
        refused = self._refusal(headers)
        if refused is not None:
            return refused
        length = int(headers["Content-Length"])
        data = _read(body, length, came + self._settings.timeout_ms / 1e3)
        complete = time.monotonic()
        if len(data) < length:
            return 400, "the request ended early, or was too slow"
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        part = query.get("part", [""])[0]
        if len(part) > PART_MAX:
            return 400, f"a part's id has at most {PART_MAX} characters"
        try:
            told = {"part_id": part} if part else {}
            captured = time.time() - (time.monotonic() - came)
            picture = read_picture(data, "the request", told)
            picture = replace(picture, captured=captured, monotonic_s=came, complete_s=complete)
        except CameraError as error:
            return _STATUS.get(error.reason, 400), str(error)
        return self._keep(picture, hashlib.sha256(data).hexdigest())

    def _refusal(self, headers: Any) -> tuple[int, str] | None:
        """Why a request is not read at all."""
        length = str(headers.get("Content-Length", ""))
        if not self._is_ours(str(headers.get("Host", ""))):
            return 403, "this machine does not have this name. Use its address, or add the name to names"
        if not hmac.compare_digest(str(headers.get("Authorization", "")).encode(), f"Bearer {self._token}".encode()):
            return 401, "send the header Authorization: Bearer <token>"
        if str(headers.get("Content-Type", "")).partition(";")[0].strip().lower() not in TYPES:
            return 415, f"send the header Content-Type, one of {', '.join(TYPES)}"
        if not length.isascii() or not length.isdigit():
            return 411, "send the header Content-Length"
        if int(length) > self._settings.bytes_max:
            return 413, f"at most {self._settings.bytes_max} bytes are accepted"
        return None

    def _keep(self, picture: RawImage, digest: str) -> tuple[int, str]:
        """Have a picture wait, unless its bytes were taken before."""
        with self._lock:
            if self._settings.repeats_max and digest in self._remembered:
                return 409, "the same bytes were accepted before. A new part needs a new picture"
            try:
                self._waiting.put_nowait(picture)
            except queue.Full:
                return 503, "too many pictures are waiting. Send it again later"
            self._remembered[digest] = None
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return 202, "taken"

    def _is_ours(self, host: str) -> bool:
        """Whether a request is addressed to this machine: a name of somebody else's may have been pointed at it."""
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        if name in ("localhost", self._settings.host.lower(), *map(str.lower, self._settings.names)):
            return True
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return False


def _made_token(settings: Settings) -> str:
    """The token of the file, made at the first start, for its owner's eyes only. Raises SettingError."""
    path = settings.token_file or _users_file(settings)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
            _log.info("camera %s: no token is set; callers need the one in %s", settings.name, path)
    except OSError as error:
        raise SettingError(
            f"camera {settings.name}: no token is set, and none can be kept in {path} ({error.strerror}). Set token"
        ) from error
    return Secret.model_validate({"file": path}).read()


def _users_file(settings: Settings) -> Path:
    """The token of a camera that belongs to no station: where programs keep their own things for this user."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    name = "".join(letter if letter.isalnum() else "_" for letter in settings.name)
    return folder / "sightline" / f"push-token-{name}"


def _read(body: Any, length: int, deadline: float) -> bytes:
    """Up to `length` bytes of the request that come before `deadline`, however small its pieces are."""
    data = bytearray()
    while len(data) < length and time.monotonic() < deadline:
        piece = body.read1(min(length - len(data), 1 << 16))
        if not piece:
            break
        data += piece
    return bytes(data)


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
                _log.info("push: a caller was disconnected: %s", error)

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
