"""MQTT Sparkplug B 3.0: the station as a device of an edge node, with births, data and deaths."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sightline.core.errors import SinkError
from sightline.core.signal import Signal
from sightline.devices.courier import Courier
from sightline.devices.health import Health
from sightline.devices.link import Link
from sightline.devices.outbox import Message, Outbox
from sightline.devices.sinks.mqtt_client import BrokerSettings, MqttClient
from sightline.devices.sinks.sparkplug_payload import Codec, Value

REBIRTH = "Node Control/Rebirth"
HISTORICAL_S = 2.0  # a message that waited longer than this tells of the past
_NAME = r"^[^#+/\x00]+$"
_log = logging.getLogger(__name__)


class Settings(BrokerSettings):
    """Names of group, edge node and device, and where messages wait."""

    kind: Literal["sparkplug"] = "sparkplug"
    group: str = Field(min_length=1, max_length=64, pattern=_NAME, description="Sparkplug group")
    node: str = Field(min_length=1, max_length=64, pattern=_NAME, description="edge node: one per connection")
    device: str = Field("inspection", min_length=1, max_length=64, pattern=_NAME, description="device: the station")
    outbox: Path = Field(description="file in which messages wait for the broker")
    outbox_mb: float = Field(256.0, gt=0, le=100_000, description="its greatest size; beyond it the oldest messages go")


class Session:
    """One connection with its birth and death number (bdSeq) and its sequence numbers."""

    def __init__(self, settings: Settings, codec: Codec, bd_seq: int, latest: dict[str, Value], on_lost: Any) -> None:
        self._settings, self._codec, self._bd_seq = settings, codec, bd_seq
        self._lock = threading.Lock()
        self._seq = 0
        self._latest = latest
        will = self._topic("NDEATH"), self._death(), False
        command = self._topic("NCMD")
        lost = lambda _client, why: on_lost(self, why)  # noqa: E731 (a closure over this session)
        self._client = MqttClient(settings, will, self._take, lost, [command])
        self._client.arrived(self._birth())

    def data(self, values: dict[str, Value], at_ms: int, historical: bool) -> Any:
        """Publish one DDATA; gives what `arrived` takes. Raises SinkError where the broker is gone."""
        with self._lock:
            if not historical:
                self._latest = values
            # Sparkplug wants QoS 0 for data; QoS 1 is what lets nothing be lost, and every host takes it.
            return self._publish("DDATA", values, at_ms, historical, qos=1, device=True)

    def arrived(self, tickets: Sequence[Any]) -> int:
        """How many messages the broker has acknowledged."""
        return self._client.arrived(tickets)

    def close(self) -> None:
        """Publish the death, as the specification asks before a wanted disconnect, and leave."""
        try:
            self._client.arrived([self._client.publish(self._topic("NDEATH"), self._death(), qos=1)])
        except SinkError as error:
            _log.info("sink %s: no farewell: %s", self._settings.name, error)
        self._client.close()

    def _birth(self) -> list[Any]:
        with self._lock:
            self._seq = 0
            now = int(time.time() * 1e3)
            node = self._publish("NBIRTH", {"bdSeq": self._bd_seq, REBIRTH: False}, now)
            return [node, self._publish("DBIRTH", self._latest, now, device=True)]

    def _death(self) -> bytes:
        return self._codec.encode({"bdSeq": self._bd_seq}, int(time.time() * 1e3))

    def _publish(
        self,
        kind: str,
        values: dict[str, Value],
        at_ms: int,
        historical: bool = False,
        qos: int = 0,
        device: bool = False,
    ) -> Any:
        seq, self._seq = self._seq, (self._seq + 1) % 256
        payload = self._codec.encode(values, at_ms, seq, historical)
        return self._client.publish(self._topic(kind, device), payload, qos)

    def _topic(self, kind: str, device: bool = False) -> str:
        s = self._settings
        return f"spBv1.0/{s.group}/{kind}/{s.node}" + (f"/{s.device}" if device else "")

    def _take(self, _topic: str, payload: bytes, retained: bool) -> None:
        try:
            wanted = not retained and self._codec.decode(payload)[0].get(REBIRTH) is True
        except ValueError:
            wanted = False
        if wanted:
            try:
                self._birth()
            except SinkError as error:
                _log.warning("sink %s: no rebirth: %s", self._settings.name, error)


class SparkplugSink:
    """A Sink. What happened while the broker was away comes later, marked as historical."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._codec = settings, Codec()
        self._births = settings.outbox.with_name(settings.outbox.name + ".bdseq")
        self._latest = _metrics({})
        self._outbox = Outbox(settings.outbox, settings.outbox_mb)
        try:
            self._link = Link(f"sink {settings.name}", self._connect, Session.close, settings.backoff)
        except Exception:  # whatever it was goes on; the file must not stay held
            self._outbox.close()
            raise
        self._courier = Courier(settings.name, self._outbox, self._deliver, settings.backoff)

    def send(self, signal: Signal) -> None:
        """Keep the signal on disk and have it delivered. Raises SinkError where the disk does not take it."""
        self._courier.send(signal)

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
        """Publish the death; what the broker does not have yet stays on disk."""
        self._courier.close()
        self._link.close()
        self._outbox.close()

    def _connect(self) -> Session:
        return Session(self._settings, self._codec, self._next_birth(), self._latest, self._lost)

    def _next_birth(self) -> int:
        """The birth and death number: one more with each connection, also over restarts: no late death hits a birth."""
        try:
            number = (int(self._births.read_text(encoding="ascii")) + 1) % 256
        except (OSError, ValueError):
            number = 0
        with contextlib.suppress(OSError):
            self._births.write_text(str(number), encoding="ascii")
        return number

    def _lost(self, session: Session, why: str) -> None:
        link: Link[Session] | None = getattr(self, "_link", None)  # not yet there during the first attempt
        if link is not None:
            link.lost(session, why)

    def _deliver(self, messages: Sequence[Message]) -> int:
        session = self._link.get(1.0)
        if session is None:
            raise SinkError(f"the broker is away: {self._link.error}")
        count, tickets = 0, []
        try:
            for message in messages:
                values = json.loads(message.body)
                decided_s = datetime.fromisoformat(values["decided"]).timestamp()
                self._latest = _metrics(values)
                historical = time.time() - message.at > HISTORICAL_S
                tickets.append(session.data(self._latest, round(decided_s * 1e3), historical))
            count = session.arrived(tickets)
        finally:
            if count < len(messages):
                self._link.lost(session, "the broker does not acknowledge")
        return count


def _metrics(values: dict[str, Any]) -> dict[str, Value]:
    """The device's metrics from a signal's JSON; the same names in birth and data."""
    return {
        "Result/Part Id": str(values.get("part_id", "")),
        "Result/Verdict": str(values.get("verdict") or "NONE"),
        "Result/Valid": bool(values.get("valid", False)),
        "Result/Late": bool(values.get("late", False)),
        "Result/Error": int(values.get("error", 0)),
        "Result/Score": values.get("score"),
        "Result/Key": str(values.get("key", "")),
        "Recipe/Name": str(values.get("recipe", "")),
        "Recipe/Id": int(values.get("recipe_id", 0)),
    }


def open_sink(settings: Settings) -> SparkplugSink:
    """Connect, in the background where the broker is away. Raises MissingExtraError without paho-mqtt or protobuf."""
    return SparkplugSink(settings)
