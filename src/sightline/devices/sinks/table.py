"""The table of sinks, and how one is opened from settings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from sightline.devices.choice import read_settings
from sightline.devices.sinks.port import Sink, SinkSettings

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


def in_role(values: Mapping[str, Any], controller: bool) -> dict[str, Any]:
    """A sink's values with `commands` as its place in a station wants it: only the controller is obeyed.

    Raises ValueError with the remedy where commands would be dropped, or none could come.
    """
    kind = str(values.get("kind", ""))
    if kind not in SINKS:
        return dict(values)  # `read_sink` says it
    settings: type[SinkSettings] = import_module(SINKS[kind]).Settings
    if controller and settings.role == "sink":
        able = [name for name, module in SINKS.items() if import_module(module).Settings.role != "sink"]
        raise ValueError(f"{kind} takes no triggers. Choose one of {', '.join(able)}, and put {kind} into [[sinks]]")
    if not controller and settings.role == "controller":
        raise ValueError(
            f"triggers over {kind} would be lost here: only the controller may command. Write its settings below "
            "[controller]"
        )
    if "commands" not in settings.model_fields:
        return dict(values)
    told = {"commands": controller, **values}
    if bool(told["commands"]) is not controller:
        remedy = "Set commands = true" if controller else "Leave commands out, or make it the [controller]"
        why = "without commands, no trigger can come" if controller else "commands would be ignored here"
        raise ValueError(f"{kind}: {why}. {remedy}")
    return told


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
