"""The table of cameras, and how one is opened from settings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from sightline.devices.cameras.camera import Camera
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.choice import read_settings

# Each module has `Settings`, a CameraSettings, and `open_source(settings)`. It is imported when it is asked for.
CAMERAS: dict[str, str] = {
    "folder": "sightline.devices.cameras.folder",
    "video": "sightline.devices.cameras.video",
    "usb": "sightline.devices.cameras.usb",
    "push": "sightline.devices.cameras.push",
    "rtsp": "sightline.devices.cameras.rtsp",
    "genicam": "sightline.devices.cameras.genicam",
    "basler": "sightline.devices.cameras.basler",
    "aravis": "sightline.devices.cameras.aravis",
    "fake": "sightline.devices.cameras.fake",
}

OWN_FILES = ("taken", "token_file")


def read_camera(values: Mapping[str, Any]) -> CameraSettings:
    """Settings of the camera that `values["kind"]` names, checked. Raises SettingError."""
    return cast(CameraSettings, read_settings(values, CAMERAS, "camera"))


def own_files(values: Mapping[str, Any]) -> list[str]:
    """Settings that name a file which the camera of `values["kind"]` keeps for itself."""
    module = CAMERAS.get(str(values.get("kind", "")))
    fields = import_module(module).Settings.model_fields if module is not None else {}
    return [name for name in OWN_FILES if name in fields]


def open_camera(values: Mapping[str, Any] | CameraSettings) -> Camera:
    """The camera, open or being looked for in the background.

    Raises SettingError for settings that cannot work, MissingExtraError where its package is not installed.
    """
    settings = values if isinstance(values, CameraSettings) else read_camera(values)
    module = import_module(type(settings).__module__)
    return Camera(settings, lambda: module.open_source(settings))
