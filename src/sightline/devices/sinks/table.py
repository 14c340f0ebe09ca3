"""The table of sinks, and how one is opened from settings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from sightline.devices.choice import read_settings
from sightline.devices.sinks.port import Sink
from sightline.devices.sinks.settings import SinkSettings

# Each module has `Settings`, a SinkSettings, and `open_sink(settings)`. It is imported when it is asked for.
SINKS: dict[str, str] = {
    "modbus": "sightline.devices.sinks.modbus",
    "opcua": "sightline.devices.sinks.opcua",
    "s7": "sightline.devices.sinks.s7",
    "mqtt": "sightline.devices.sinks.mqtt",
    "sparkplug": "sightline.devices.sinks.sparkplug",
    "webhook": "sightline.devices.sinks.webhook",
    "csv": "sightline.devices.sinks.csv",
    "fake": "sightline.devices.sinks.fake",
}


def read_sink(values: Mapping[str, Any]) -> SinkSettings:
    """Settings of the sink that `values["kind"]` names, checked. Raises SettingError."""
    return cast(SinkSettings, read_settings(values, SINKS, "sink"))


def keeps_messages(values: Mapping[str, Any]) -> bool:
    """Whether the sink that `values["kind"]` names keeps what waits in a file, its setting `outbox`."""
    module = SINKS.get(str(values.get("kind", "")))
    return module is not None and "outbox" in import_module(module).Settings.model_fields


def open_sink(values: Mapping[str, Any] | SinkSettings) -> Sink:
    """The sink, connected or connecting in the background; where it takes commands, it is a Controller, too.

    Raises SettingError for settings that cannot work, MissingExtraError where its package is not installed.
    """
    settings = values if isinstance(values, SinkSettings) else read_sink(values)
    return cast(Sink, import_module(type(settings).__module__).open_sink(settings))
