"""MQTT 5: each signal as JSON, kept on disk until the broker has it."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import asdict
from typing import Any, ClassVar, Literal

from pydantic import Field

from sightline.core.errors import SinkError
from sightline.core.signals import Status
from sightline.devices.outbox import Message
from sightline.devices.sinks.mqtt_client import BrokerSettings, BrokerSink, MqttClient, parse_json
from sightline.devices.sinks.port import Inbox, read_command

JSON = "application/json"
_log = logging.getLogger(__name__)


class Settings(BrokerSettings):
    """Topics below `topic`: /result, /status (retained), and /command where commands are taken."""

    role: ClassVar[Literal["sink", "either", "controller"]] = "either"
    kind: Literal["mqtt"] = "mqtt"
    topic: str = Field(
        "sightline/station", pattern=r"^[\w ./-]*[\w.-]$", max_length=200, description="base of the topics"
    )
    commands: bool = Field(
        False, description="accept commands from /command: everyone who may publish there controls the station"
    )


class MqttSink(BrokerSink[MqttClient]):
    """A Sink and, where commands are taken, a Controller; without them `wait` gives none."""

    _settings: Settings

    def __init__(self, settings: Settings) -> None:
        self._inbox = Inbox()
        self.wait, self.on_abort = self._inbox.wait, self._inbox.on_abort
        self._lock = threading.Lock()
        self._status = Status()
        super().__init__(settings)

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

    def close(self) -> None:
        """Publish that the station is off; what the broker does not have yet stays on disk."""
        self._courier.close()
        client = self._link.get(0)
        if client is not None:
            try:
                client.arrived([client.publish(self._topic("status"), _offline(), retain=True, kind=JSON)])
            except SinkError as error:
                _log.info("sink %s: the last status was not published: %s", self._settings.name, error)
        super().close()

    def _topic(self, leaf: str) -> str:
        return f"{self._settings.topic}/{leaf}"

    def _connect(self) -> MqttClient:
        will = self._topic("status"), _offline(), True
        topics = [self._topic("command")] if self._settings.commands else []
        client = MqttClient(self._settings, will, self._take, self._lost, topics)
        self._publish_status(client)
        return client

    def _publish_status(self, client: MqttClient) -> None:
        body = json.dumps({"online": True, **asdict(self._status)}).encode()
        client.publish(self._topic("status"), body, retain=True, kind=JSON)

    def _publish(self, connection: MqttClient, message: Message) -> Any:
        return connection.publish(self._topic("result"), message.body, kind=JSON)

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        # A retained command is an old one: it comes with every connection.
        command = None if retained else read_command(parse_json(payload))
        if command is None:
            _log.warning("sink %s: a message on %s was not a command", self._settings.name, topic)
        else:
            self._inbox.put(command)


def _offline() -> bytes:
    return json.dumps({"online": False, "ready": False}).encode()


def open_sink(settings: Settings) -> MqttSink:
    """Connect, in the background where the broker is away. Raises MissingExtraError without paho-mqtt."""
    return MqttSink(settings)
