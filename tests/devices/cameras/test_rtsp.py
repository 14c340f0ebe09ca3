"""RTSP against GStreamer's server: live pictures, a server that dies and comes back, and no old picture ever."""

from __future__ import annotations

import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from sightline.core.errors import CameraError, SettingError
from sightline.devices.cameras.table import open_camera, read_camera

SCRIPT = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"
QUICK = {"backoff": {"first_ms": 50, "longest_ms": 200}, "silent_ms": 600, "open_ms": 5000}


def serve(port):
    process = subprocess.Popen([PYTHON, str(SCRIPT), str(port)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def port(need_package, need_component, free_port):
    need_package("av")
    code = 'import gi; gi.require_version("GstRtspServer", "1.0")'
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, check=False)
    need_component("GStreamer's RTSP server for the system's Python", done.returncode == 0)
    return free_port()


def test_pictures_are_live_and_a_restart_of_the_server_is_survived(port):
    server = serve(port)
    camera = open_camera({"kind": "rtsp", "url": f"rtsp://127.0.0.1:{port}/live", **QUICK})
    frames = []
    for _ in range(5):
        asked = time.monotonic()
        frames.append(camera.grab(5000))
        assert frames[-1].monotonic_s >= asked
    assert frames[0].image.shape == (120, 160, 3)
    assert all(a.metadata["stream_s"] < b.metadata["stream_s"] for a, b in pairwise(frames))
    assert any((a.image != b.image).any() for a, b in pairwise(frames))
    end(server)
    killed = time.monotonic()
    with pytest.raises(CameraError) as caught:
        while time.monotonic() < killed + 5:
            assert camera.grab(300).monotonic_s < killed + 1  # what was under way, and nothing from a buffer
    assert caught.value.reason in ("timeout", "disconnected")
    with pytest.raises(CameraError):
        camera.grab(100)
    server = serve(port)
    start = time.monotonic()
    frame = camera.grab(10_000)
    assert frame.monotonic_s >= start and frame.id > frames[-1].id and camera.health().reconnects >= 1
    camera.close()
    end(server)


def test_a_server_that_is_away_is_named_without_secrets(need_package, free_port, monkeypatch):
    need_package("av")
    monkeypatch.setenv("CAMERA_PASSWORD", "hunter2")
    login = {"user": "viewer", "password": {"env": "CAMERA_PASSWORD"}}
    camera = open_camera({"kind": "rtsp", "url": f"rtsp://127.0.0.1:{free_port()}/live", **login, **QUICK})
    with pytest.raises(CameraError, match="no stream from rtsp://127") as caught:
        camera.grab(10)
    assert "hunter2" not in str(caught.value) and "hunter2" not in camera.health().error
    camera.close()


@pytest.mark.parametrize("wrong", [{"url": "http://x/"}, {"url": "rtsp://me:pw@x/"}, {"trigger": "hardware"}])
def test_settings_are_checked(wrong):
    with pytest.raises(SettingError) as caught:
        read_camera({"kind": "rtsp", "url": "rtsp://x/live", **wrong})
    assert "pw" not in str(caught.value)
