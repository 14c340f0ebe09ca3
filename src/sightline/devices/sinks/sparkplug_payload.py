"""Sparkplug B payloads by google.protobuf: the part of the message definition that the station speaks.

Field numbers and data types are those of the Eclipse Sparkplug 3.0 specification, section 6.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.core.errors import MissingExtraError

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
    made = message_factory.GetMessageClass(found)
    return made, made.Metric


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
        """Metrics by name, timestamp in ms, and sequence number. Raises ValueError for what is no payload."""
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
