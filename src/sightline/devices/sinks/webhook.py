"""A webhook: each signal by HTTP POST, signed, kept on disk until the other side has taken it."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import logging
import time
import urllib.parse
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from sightline.core.errors import SinkError
from sightline.core.signals import Signal
from sightline.devices.credentials import LOOPBACK, Secret, Tls
from sightline.devices.link import Health
from sightline.devices.outbox import Courier, Message, Outbox, Refused
from sightline.devices.sinks.port import OutboxSettings

REFUSING = frozenset((400, 409, 410, 413, 415, 422))  # the message is at fault: it will never be taken
_log = logging.getLogger(__name__)


class Settings(OutboxSettings):
    """Where signals are posted, and the key that signs them."""

    kind: Literal["webhook"] = "webhook"
    url: str = Field(description="address to post to: https, or http on this machine")
    key: Secret = Field(description="where the signing key is stored")
    tls: Tls = Field(Tls.model_validate({}), description="how the other side's certificate is checked")
    timeout_ms: float = Field(3000.0, ge=10, le=60_000, description="time for the other side to answer")

    @field_validator("url")
    @classmethod
    def _guarded(cls, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the address must begin with https://")
        if parts.username or parts.password:
            raise ValueError("leave user and password out of the address: the signature says who sends")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("plain http can be read and changed on the network: use https")
        return url


def sign(key: str, timestamp: str, sequence: str, body: bytes) -> str:
    """The signature of a message: HMAC-SHA256 (RFC 2104) over "timestamp.sequence.body", as hexadecimal."""
    return hmac.new(key.encode(), f"{timestamp}.{sequence}.".encode() + body, hashlib.sha256).hexdigest()


class WebhookSink:
    """A Sink over HTTP."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._key = settings, settings.key.read()
        self._url = urllib.parse.urlsplit(settings.url)
        self._context = settings.tls.context() if self._url.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self._outbox = Outbox(settings.outbox, settings.outbox_mb)
        self._courier = Courier(settings.name, self._outbox, self._deliver, settings.backoff)

    def send(self, signal: Signal) -> None:
        """Keep the signal on disk and have it delivered. Raises SinkError where the disk does not take it."""
        self._courier.send(signal)

    def health(self) -> Health:
        """Whether the last delivery succeeded, and how many messages wait."""
        return self._courier.health()

    def close(self) -> None:
        """End; what was not taken yet stays on disk."""
        self._courier.close(self._settings.timeout_ms / 1e3 + 1)
        self._hang_up()
        self._outbox.close()

    def _deliver(self, messages: Sequence[Message]) -> int:
        for message in messages:
            try:
                status = self._post(message)
            except (OSError, http.client.HTTPException) as error:
                self._hang_up()
                raise SinkError(
                    f"{self._url.hostname} cannot be reached ({error}). Check address and network"
                ) from error
            if status in REFUSING and message is messages[0]:
                raise Refused(f"status {status}")
            if not 200 <= status < 300:
                if message is not messages[0]:
                    # What went before has arrived; this one comes first next time.
                    return messages.index(message)
                raise SinkError(
                    f"{self._url.hostname} answers with status {status}. Check its log, the address and the key"
                )
        return len(messages)

    def _post(self, message: Message) -> int:
        timestamp, sequence = str(int(time.time())), str(message.id)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "sightline",
            "X-Sightline-Timestamp": timestamp,
            "X-Sightline-Signature": f"sha256={sign(self._key, timestamp, sequence, message.body)}",
            "X-Sightline-Sequence": sequence,
        }
        connection = self._connect()
        path = self._url.path or "/"
        connection.request("POST", f"{path}?{self._url.query}" if self._url.query else path, message.body, headers)
        response = connection.getresponse()
        # Redirects are not followed: a signed message goes where the settings say.
        response.read(1 << 20)
        if response.will_close or not response.isclosed():
            self._hang_up()
        return int(response.status)

    def _connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port, timeout = str(self._url.hostname), self._url.port, self._settings.timeout_ms / 1e3
            if self._context is None:
                self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
            else:
                self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def open_sink(settings: Settings) -> WebhookSink:
    """Begin to deliver. Raises SettingError where the key is missing."""
    return WebhookSink(settings)
