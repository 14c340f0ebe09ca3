"""MQTT 5 by paho-mqtt: one connection that publishes with acknowledgement, and what the sinks of a broker share."""

from __future__ import annotations

import json
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from pydantic import Field, model_validator

from sightline.core.errors import MissingExtraError, SinkError
from sightline.core.signals import Signal
from sightline.devices.credentials import LOOPBACK, Secret, Tls
from sightline.devices.link import Health, Link
from sightline.devices.outbox import Courier, Message, Outbox
from sightline.devices.sinks.port import OutboxSettings

_log = logging.getLogger(__name__)


class BrokerSettings(OutboxSettings):
    """How a broker is reached."""

    host: str = Field("127.0.0.1", min_length=1, description="the broker's address")
    port: int = Field(1883, ge=1, le=65535, description="the broker's port; with TLS usually 8883")
    client_id: str = Field(
        "", max_length=64, description="client id at the broker, one per connection; empty: generated"
    )
    user: str = Field("", description="user name at the broker")
    password: Secret | None = Field(None, description="where the user's password is stored")
    tls: Tls | None = Field(None, description="set it, even empty, to use TLS")
    keepalive_s: int = Field(10, ge=1, le=600, description="a broker that is silent for longer counts as disconnected")
    timeout_ms: float = Field(3000.0, ge=10, le=60_000, description="time for the broker to connect or to acknowledge")

    @model_validator(mode="after")
    def _guarded(self) -> BrokerSettings:
        if self.password is not None and self.tls is None and self.host not in LOOPBACK:
            raise ValueError("a password without TLS can be read on the network: set tls")
        return self


class MqttClient:
    """An open connection. `on_message(topic, payload, retained)` is called in its thread, `on_lost(reason)` once."""

    def __init__(
        self,
        settings: BrokerSettings,
        will: tuple[str, bytes, bool],
        on_message: Callable[[str, bytes, bool], None],
        on_lost: Callable[[MqttClient, str], None],
        subscribe: Sequence[str] = (),
    ) -> None:
        self._mqtt, self._properties, self._types = _paho("client"), _paho("properties"), _paho("packettypes")
        self._settings, self._on_lost = settings, on_lost
        self._answered = threading.Event()
        self._refused = ""
        self._ended = False
        self._client = self._make(will, on_message)
        try:
            self._client.connect(settings.host, settings.port, settings.keepalive_s)
        except (OSError, ValueError) as error:
            raise SinkError(
                f"no broker at {settings.host}:{settings.port} ({error}). Check address and network"
            ) from error
        self._client.loop_start()
        if not self._answered.wait(settings.timeout_ms / 1e3) or self._refused:
            reason = self._refused or "no answer in time"
            self.close()
            raise SinkError(f"the broker at {settings.host}:{settings.port} refuses: {reason}. Check user and password")
        if subscribe:
            self._subscribe(subscribe)

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False, kind: str = "") -> Any:
        """Hand one message to the connection; gives what `arrived` takes. Raises SinkError where it is gone."""
        properties = self._properties.Properties(self._types.PacketTypes.PUBLISH)
        if kind:
            properties.ContentType = kind
        ticket = self._client.publish(topic, payload, qos, retain, properties)
        if ticket.rc != 0:
            raise SinkError(f"the broker accepts nothing: {self._mqtt.error_string(ticket.rc)}. Check the network")
        return ticket

    def arrived(self, tickets: Sequence[Any]) -> int:
        """How many messages, from the first on, the broker has acknowledged within the time-out."""
        end = time.monotonic() + self._settings.timeout_ms / 1e3
        for count, ticket in enumerate(tickets):
            try:
                ticket.wait_for_publish(max(0.0, end - time.monotonic()))
            except (RuntimeError, ValueError):
                return count
            if not ticket.is_published():
                return count
        return len(tickets)

    def close(self) -> None:
        """Take leave of the broker, so that it does not publish the will, and end."""
        self._ended = True
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, topics: Sequence[str]) -> None:
        done = threading.Event()
        self._client.on_subscribe = lambda *_: done.set()
        self._client.subscribe([(topic, 1) for topic in topics])
        if not done.wait(self._settings.timeout_ms / 1e3):
            self.close()
            raise SinkError(f"the broker does not answer to a subscription to {', '.join(topics)}. Check its log")

    def _make(self, will: tuple[str, bytes, bool], on_message: Callable[[str, bytes, bool], None]) -> Any:
        s, mqtt = self._settings, self._mqtt
        # Each connection has a client of its own: one that reconnects by itself would repeat the old will.
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=s.client_id, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        client.connect_timeout = s.timeout_ms / 1e3
        if s.user:
            client.username_pw_set(s.user, s.password.read() if s.password else None)
        if s.tls is not None:
            client.tls_set_context(s.tls.context())
        client.will_set(will[0], will[1], qos=1, retain=will[2])
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = lambda _client, _data, message: on_message(message.topic, message.payload, message.retain)
        return client

    def _connected(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self._refused = str(code) if code.is_failure else ""
        self._answered.set()

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if not self._answered.is_set():
            self._refused = str(code)
            self._answered.set()
        elif not self._ended:
            self._ended = True
            # Closing waits for this very thread: another one has to do it.
            threading.Thread(target=self._on_lost, args=(self, str(code)), name="mqtt lost", daemon=True).start()


class Connection(Protocol):
    """An open connection to a broker, as a sink uses it: an MqttClient, or one that speaks for it."""

    def arrived(self, tickets: Sequence[Any]) -> int:
        """How many messages, from the first on, the broker has acknowledged within the time-out."""

    def close(self) -> None:
        """End it."""


C = TypeVar("C", bound=Connection)


class BrokerSink(ABC, Generic[C]):
    """A Sink whose messages wait in an outbox until the broker has acknowledged them.

    A subclass says how to connect and how to publish one message.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._outbox = Outbox(settings.outbox, settings.outbox_mb)
        try:
            self._link = Link(f"sink {settings.name}", self._connect, lambda held: held.close(), settings.backoff)
        except Exception:  # whatever it was goes on; the file must not stay held
            self._outbox.close()
            raise
        self._courier = Courier(settings.name, self._outbox, self._deliver, settings.backoff)

    def send(self, signal: Signal) -> None:
        """Keep the signal on disk and have it delivered. Raises SinkError where the disk does not take it."""
        self._courier.send(signal)

    def health(self) -> Health:
        """Whether the broker is there, and how many messages wait for it."""
        return self._courier.health(self._link)

    def close(self) -> None:
        """Disconnect; what the broker does not have yet stays on disk."""
        self._courier.close()
        self._link.close()
        self._outbox.close()

    @abstractmethod
    def _connect(self) -> C:
        """Open a connection. Raises SinkError."""

    @abstractmethod
    def _publish(self, connection: C, message: Message) -> Any:
        """Hand one message over; gives what `arrived` takes."""

    def _deliver(self, messages: Sequence[Message]) -> int:
        connection = self._link.get(1.0)
        if connection is None:
            raise SinkError(f"the broker is away: {self._link.error}")
        count = 0
        try:
            count = connection.arrived([self._publish(connection, message) for message in messages])
        finally:
            if count < len(messages):
                self._link.lost(connection, "the broker does not acknowledge")
        return count

    def _lost(self, connection: C, why: str) -> None:
        link: Link[C] | None = getattr(self, "_link", None)  # not yet there during the first attempt
        if link is not None:
            link.lost(connection, why)


def parse_json(payload: bytes) -> dict[str, Any]:
    """A JSON object of at most 4 kB, or an empty one where it is none; strangers may send anything."""
    try:
        value = json.loads(payload) if len(payload) <= 4096 else None
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


def _paho(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"paho.mqtt.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtraError("paho-mqtt", "mqtt") from error
