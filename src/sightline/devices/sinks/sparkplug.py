"""MQTT Sparkplug B 3.0: the station as a device of an edge node, with births, data and deaths."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from sightline.core.errors import MissingExtraError, SinkError
from sightline.devices.outbox import Message
from sightline.devices.sinks.mqtt_client import BrokerSettings, BrokerSink, MqttClient

REBIRTH = "Node Control/Rebirth"
HISTORICAL_S = 2.0  # a message that waited longer than this tells of the past
_NAME = r"^[^#+/\x00]+$"
# Field numbers and data types of payloads, by the Eclipse Sparkplug 3.0 specification, section 6.4.
Value = bool | int | float | str | None
INT64, BOOLEAN, DOUBLE, STRING, DATE_TIME = 4, 11, 10, 12, 13
_FIELD_OF = {INT64: "long_value", BOOLEAN: "boolean_value", DOUBLE: "double_value", STRING: "string_value"}
_METRIC = {
    "name": (1, 9),
    "alias": (2, 4),
    "timestamp": (3, 4),
    "datatype": (4, 13),
    "is_historical": (5, 8),
    "is_null": (7, 8),
    "int_value": (10, 13),
    "long_value": (11, 4),
    "float_value": (12, 2),
    "double_value": (13, 1),
    "boolean_value": (14, 8),
    "string_value": (15, 9),
}
_PAYLOAD = {"timestamp": (1, 4), "seq": (3, 4)}
_LONG = 1 << 64
_log = logging.getLogger(__name__)


class Settings(BrokerSettings):
    """Names of group, edge node and device, and where messages wait."""

    kind: Literal["sparkplug"] = "sparkplug"
    group: str = Field(min_length=1, max_length=64, pattern=_NAME, description="Sparkplug group")
    node: str = Field(min_length=1, max_length=64, pattern=_NAME, description="edge node: one per connection")
    device: str = Field("inspection", min_length=1, max_length=64, pattern=_NAME, description="device: the station")


class Session:
    """One connection with its birth and death number (bdSeq) and its sequence numbers."""

    def __init__(
        self, settings: Settings, codec: Codec, bd_seq: int, latest: dict[str, Value], on_lost: Any, on_connected: Any
    ) -> None:
        self._settings, self._codec, self._bd_seq = settings, codec, bd_seq
        self._lock = threading.Lock()
        self._seq = 0
        self._latest = latest
        will = self._topic("NDEATH"), self._death(), False
        command = self._topic("NCMD")
        lost = lambda _client, why: on_lost(self, why)  # noqa: E731 (a closure over this session)
        self._client = MqttClient(settings, will, self._take, lost, [command])
        on_connected(bd_seq)  # an attempt that failed has used no number; one that is born has, whatever comes then
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
            _log.info("sink %s: its death was not published: %s", self._settings.name, error)
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


class SparkplugSink(BrokerSink[Session]):
    """A Sink. What happened while the broker was away comes later, marked as historical."""

    _settings: Settings

    def __init__(self, settings: Settings) -> None:
        self._codec = Codec()
        self._births = settings.outbox.with_name(settings.outbox.name + ".bdseq")
        self._latest = _metrics({})
        super().__init__(settings)

    def _connect(self) -> Session:
        return Session(self._settings, self._codec, self._next_birth(), self._latest, self._lost, self._keep_birth)

    def _next_birth(self) -> int:
        """The birth and death number: one more with each connection, also over restarts: no late death hits a birth."""
        try:
            return (int(self._births.read_text(encoding="ascii")) + 1) % 256
        except (OSError, ValueError):
            return 0

    def _keep_birth(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._births.write_text(str(number), encoding="ascii")

    def _publish(self, connection: Session, message: Message) -> Any:
        values = json.loads(message.body)
        decided_s = datetime.fromisoformat(values["decided"]).timestamp()
        self._latest = _metrics(values)
        historical = time.time() - message.at > HISTORICAL_S
        return connection.data(self._latest, round(decided_s * 1e3), historical)


def _metrics(values: dict[str, Any]) -> dict[str, Value]:
    """The device's metrics from a signal's JSON; the same names in birth and data."""
    found = values.get("defects") or [{}]
    first, box = found[0], found[0].get("box") or (None,) * 4
    return {
        "Result/Part Id": str(values.get("part_id", "")),
        # Hosts that know nothing of pilots must not act on one's verdicts.
        "Result/Verdict": "NONE" if values.get("pilot") else str(values.get("verdict") or "NONE"),
        "Result/Pilot": bool(values.get("pilot", False)),
        "Result/Pilot Verdict": str(values.get("verdict") or "NONE") if values.get("pilot") else "NONE",
        "Result/Valid": bool(values.get("valid", False)),
        "Result/Late": bool(values.get("late", False)),
        "Result/Error": int(values.get("error", 0)),
        "Result/Score": values.get("score"),
        "Result/Key": str(values.get("key", "")),
        "Result/Purpose": str(values.get("purpose", "production")),
        "Defect/Count": len(values.get("defects") or ()),
        "Defect/Type": str(first.get("type") or ""),
        "Defect/View": str(first.get("view") or ""),
        **{f"Defect/{name}": _float(side) for name, side in zip(("X", "Y", "Width", "Height"), box, strict=True)},
        "Defect/Area px": _float(first.get("area_px")),
        "Defect/Area mm2": _float(first.get("area_mm2")),
        "Recipe/Name": str(values.get("recipe", "")),
        "Recipe/Id": int(values.get("recipe_id", 0)),
    }


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _message_classes() -> tuple[Any, Any]:
    """Classes of Payload and its Metric, built once from the tables above."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ModuleNotFoundError as error:
        raise MissingExtraError("protobuf", "mqtt") from error
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sightline.sparkplug", syntax="proto2")
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    for message, fields in ((metric, _METRIC), (payload, _PAYLOAD)):
        for name, (number, kind) in fields.items():
            field = message.field.add(name=name, number=number, type=kind, label=1)
            if name.endswith("_value"):
                field.oneof_index = 0
    metrics = payload.field.add(name="metrics", number=2, type=11, label=3)
    metrics.type_name = ".sightline.sparkplug.Payload.Metric"
    pool.Add(file)
    found = pool.FindMessageTypeByName("sightline.sparkplug.Payload")
    message = message_factory.GetMessageClass(found)
    return message, message.Metric


class Codec:
    """Encodes and decodes payloads. Raises MissingExtraError without protobuf."""

    def __init__(self) -> None:
        self._payload, _ = _message_classes()

    def encode(
        self, metrics: Mapping[str, Value], at_ms: int, seq: int | None = None, historical: bool = False
    ) -> bytes:
        """Metrics by name; the data type follows from the value, None is a null of type Double."""
        payload = self._payload()
        payload.timestamp = at_ms
        if seq is not None:
            payload.seq = seq
        for name, value in metrics.items():
            metric = payload.metrics.add(name=name, timestamp=at_ms, datatype=_type_of(value))
            if historical:
                metric.is_historical = True
            if value is None:
                metric.is_null = True
            else:
                setattr(metric, _FIELD_OF[metric.datatype], value % _LONG if metric.datatype == INT64 else value)
        return bytes(payload.SerializeToString())

    def decode(self, data: bytes) -> tuple[dict[str, Value], int, int | None]:
        """Metrics by name, timestamp in ms, and sequence number. Raises ValueError for what is not a payload."""
        from google.protobuf.message import DecodeError

        payload = self._payload()
        try:
            payload.ParseFromString(data)
        except DecodeError as error:
            raise ValueError("not a Sparkplug B payload") from error
        metrics: dict[str, Value] = {}
        for metric in payload.metrics:
            field = metric.WhichOneof("value")
            value = None if field is None or metric.is_null else getattr(metric, field)
            if metric.datatype == INT64 and isinstance(value, int) and value >= _LONG // 2:
                value -= _LONG
            metrics[metric.name] = value
        return metrics, int(payload.timestamp), int(payload.seq) if payload.HasField("seq") else None


def _type_of(value: Value) -> int:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INT64
    return STRING if isinstance(value, str) else DOUBLE


def open_sink(settings: Settings) -> SparkplugSink:
    """Connect, in the background where the broker is away. Raises MissingExtraError without paho-mqtt or protobuf."""
    return SparkplugSink(settings)
