"""MQTT 5: each signal as JSON, kept on disk until the broker has it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import Field

from sightline.core.command import Command
from sightline.core.errors import SinkError
from sightline.core.signal import Signal
from sightline.core.status import Status
from sightline.devices.courier import Courier
from sightline.devices.health import Health
from sightline.devices.link import Link
from sightline.devices.outbox import Message, Outbox
from sightline.devices.sinks.inbox import Inbox, read_command
from sightline.devices.sinks.mqtt_client import BrokerSettings, MqttClient, parse_json

JSON = "application/json"
_log = logging.getLogger(__name__)


class Settings(BrokerSettings):
    """Topics below `topic`: /result, /status (retained), and /command where commands are taken."""

    kind: Literal["mqtt"] = "mqtt"
    topic: str = Field(
        "sightline/station", pattern=r"^[\w ./-]*[\w.-]$", max_length=200, description="base of the topics"
    )
    commands: bool = Field(
        False, description="take commands from /command: whoever may publish there moves the station"
    )
    outbox: Path = Field(description="file in which messages wait for the broker")
    outbox_mb: float = Field(256.0, gt=0, le=100_000, description="its greatest size; beyond it the oldest messages go")


class MqttSink:
    """A Sink and, where commands are taken, a Controller; without them `wait` gives none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inbox = Inbox()
        self._lock = threading.Lock()
        self._status = Status()
        self._outbox = Outbox(settings.outbox, settings.outbox_mb)
        try:
            self._link = Link(f"sink {settings.name}", self._connect, MqttClient.close, settings.backoff)
        except Exception:  # whatever it was goes on; the file must not stay held
            self._outbox.close()
            raise
        self._courier = Courier(settings.name, self._outbox, self._deliver, settings.backoff)

    def send(self, signal: Signal) -> None:
        """Keep the signal on disk and have it delivered. Raises SinkError where the disk does not take it."""
        self._courier.send(signal)

    def wait(self, timeout_ms: float) -> Command | None:
        """The next command from /command."""
        return self._inbox.wait(timeout_ms)

    def show(self, status: Status) -> None:
        """Publish the status, retained; where the broker is away, the latest one once it is back."""
        with self._lock:
            if status == self._status:
                return
            self._status = status
        client = self._link.get(0)
        if client is not None:
            try:
                self._publish_status(client)
            except SinkError as error:
                self._link.lost(client, str(error))

    def health(self) -> Health:
        """Whether the broker is there, and how many messages wait for it."""
        return Health(
            connected=self._link.connected,
            reconnects=self._link.reconnects,
            dropped=self._outbox.dropped,
            waiting=len(self._outbox),
            failures=self._courier.failures,
            error=self._link.error or self._courier.error,
        )

    def close(self) -> None:
        """Say goodbye; what the broker does not have yet stays on disk."""
        self._courier.close()
        client = self._link.get(0)
        if client is not None:
            try:
                client.arrived([client.publish(self._topic("status"), _offline(), retain=True, kind=JSON)])
            except SinkError as error:
                _log.info("sink %s: no goodbye: %s", self._settings.name, error)
        self._link.close()
        self._outbox.close()

    def _topic(self, leaf: str) -> str:
        return f"{self._settings.topic}/{leaf}"

    def _connect(self) -> MqttClient:
        will = self._topic("status"), _offline(), True
        topics = [self._topic("command")] if self._settings.commands else []
        client = MqttClient(self._settings, will, self._take, self._lost, topics)
        self._publish_status(client)
        return client

    def _lost(self, client: MqttClient, why: str) -> None:
        link: Link[MqttClient] | None = getattr(self, "_link", None)  # not yet there during the first attempt
        if link is not None:
            link.lost(client, why)

    def _publish_status(self, client: MqttClient) -> None:
        body = json.dumps({"online": True, **asdict(self._status)}).encode()
        client.publish(self._topic("status"), body, retain=True, kind=JSON)

    def _deliver(self, messages: Sequence[Message]) -> int:
        client = self._link.get(1.0)
        if client is None:
            raise SinkError(f"the broker is away: {self._link.error}")
        count = 0
        try:
            count = client.arrived([client.publish(self._topic("result"), m.body, kind=JSON) for m in messages])
        finally:
            if count < len(messages):
                self._link.lost(client, "the broker does not acknowledge")
        return count

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        # A retained command is an old one: it comes with every connection.
        command = None if retained else read_command(parse_json(payload))
        if command is None:
            _log.warning("sink %s: a message on %s was no command", self._settings.name, topic)
        else:
            self._inbox.put(command)


def _offline() -> bytes:
    return json.dumps({"online": False, "ready": False}).encode()


def open_sink(settings: Settings) -> MqttSink:
    """Connect, in the background where the broker is away. Raises MissingExtraError without paho-mqtt."""
    return MqttSink(settings)
