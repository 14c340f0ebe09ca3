"""What every camera of the table keeps to: its settings, a lost device, closing, a missing package."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module

import pytest

from sightline.core.errors import CameraError, SettingError
from sightline.core.sample import Frame
from sightline.devices.cameras.camera import Camera
from sightline.devices.cameras.settings import CameraSettings
from sightline.devices.cameras.table import CAMERAS, open_camera, read_camera

# The least that each needs, for a device that is not there.
AWAY = {
    "folder": {"path": "/no/such/folder"},
    "video": {"path": "/no/such.avi"},
    "usb": {"device": "/dev/video99"},
    "push": {"host": "203.0.113.1", "token": {"env": "CAMERA_TOKEN"}},
    "rtsp": {"url": "rtsp://127.0.0.1:9/live", "open_ms": 500},
    "genicam": {"cti": "/no/such.cti"},
    "basler": {"transport": "BaslerCamEmu", "serial": "none"},
    "aravis": {"ip": "127.0.0.9"},
    "fake": {"faults": dict.fromkeys(range(100), "disconnected")},
}
EXTRAS = {"rtsp": "av", "genicam": "harvesters", "basler": "pypylon", "aravis": "gi"}


def test_every_camera_is_here():
    assert set(AWAY) == set(CAMERAS)


@pytest.mark.parametrize("kind", CAMERAS)
def test_settings_say_what_they_are(kind):
    settings = read_camera({"kind": kind, **AWAY[kind]})
    assert isinstance(settings, CameraSettings) and settings.kind == kind
    for name, field in type(settings).model_fields.items():
        assert field.description or name == "kind", f"{kind}.{name} has no description"
    with pytest.raises(SettingError, match="nonsense: the only ones are"):
        read_camera({"kind": kind, **AWAY[kind], "nonsense": 1})


@pytest.mark.parametrize("kind", CAMERAS)
def test_a_device_that_is_away_is_an_error_in_time_and_closing_is_final(kind, monkeypatch, need_package):
    if kind == "aravis":
        pytest.skip(
            "its bindings are the system's: tests/devices/cameras/test_aravis.py opens it in a process of its own"
        )
    if kind in EXTRAS:
        need_package(EXTRAS[kind])
    monkeypatch.setenv("CAMERA_TOKEN", "token")
    camera = open_camera({"kind": kind, **AWAY[kind], "backoff": {"first_ms": 10_000, "longest_ms": 10_000}})
    assert isinstance(camera, Camera)
    start = time.monotonic()
    with pytest.raises(CameraError) as caught:
        camera.grab(50)
    assert time.monotonic() - start < 2
    assert caught.value.reason == "disconnected" and camera.settings.name in str(caught.value)
    assert not camera.health().connected
    camera.close()
    camera.close()
    with pytest.raises(CameraError) as caught:
        camera.grab(50)
    assert caught.value.reason == "closed"


def test_every_module_has_its_door():
    for module in CAMERAS.values():
        assert callable(import_module(module).open_source)


@pytest.mark.parametrize(("kind", "package"), EXTRAS.items())
def test_a_missing_package_names_its_extra(kind, package):
    code = f"""
import sys
sys.modules[{package!r}] = None
from sightline.core.errors import MissingExtraError
from sightline.devices.cameras.table import open_camera
values = {AWAY[kind] | ({"cti": sys.executable} if kind == "genicam" else {})!r}
try:
    open_camera(dict(kind={kind!r}, **values))
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"sightline[{kind}]" in done.stdout, done.stdout + done.stderr


def test_the_fake_gives_frames():
    frame = open_camera({"kind": "fake"}).grab()
    assert isinstance(frame, Frame) and frame.image.shape[2] == 3 and frame.image.dtype == "uint8"
