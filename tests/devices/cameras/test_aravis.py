"""GigE Vision by Aravis against its fake camera, which speaks the real protocol on loopback.

The camera's control port is 3956, as the standard says; the bindings are the system's, so each case runs in a process
of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BINDINGS = Path("/usr/lib/python3/dist-packages/gi")
# On a busy machine loopback loses a packet now and then: that is an error with its reason, and the next grab is good.
HEAD = """
import time
from sightline.core.errors import CameraError
from sightline.devices.cameras.table import open_camera
def grab(camera):
    for _ in range(5):
        try:
            return camera.grab(2000)
        except CameraError as error:
            assert error.reason in ("incomplete", "timeout"), error
    raise AssertionError(camera.health())
def opened(**options):
    values = dict(kind="aravis", ip="127.0.0.1", width_px=256, height_px=128, exposure_us=10000.0)
    return open_camera({**values, "backoff": {"first_ms": 50, "longest_ms": 100}, **options})
"""


@pytest.fixture
def play(need_component, tmp_path):
    (tmp_path / "gi").symlink_to(BINDINGS)
    paths = os.pathsep.join([*sys.path[1:], str(tmp_path)])
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parents[3] / 'src'}{os.pathsep}{paths}"}
    probe = 'import gi; gi.require_version("Aravis", "0.8"); from gi.repository import Aravis'
    found = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, check=False)
    need_component("Aravis 0.8 with its Python bindings", BINDINGS.exists() and found.returncode == 0)

    running = []

    def run(code):
        command, pipe = [sys.executable, "-c", HEAD + code], subprocess.PIPE
        running.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def fake(need_program):
    running = []

    def start(*options):
        program = need_program("arv-fake-gv-camera-0.8")
        command = [program, "-i", "127.0.0.1", "-s", "FAKE01", *options]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(0.3)
        assert running[-1].poll() is None, "the fake camera did not start: is its port taken?"
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def finish(process):
    said, _ = process.communicate(timeout=40)
    assert process.returncode == 0, said
    return said


def test_pictures_come_by_trigger_and_freely(play, fake):
    fake()
    said = finish(
        play("""
for trigger in ("software", "free"):
    camera = opened(trigger=trigger)
    for _ in range(3):
        asked = time.monotonic()
        frame = grab(camera)
        assert frame.monotonic_s >= asked
    assert frame.image.shape == (128, 256, 3), frame.image.shape
    assert (frame.image[..., 0] == frame.image[..., 1]).all() and frame.image.std() > 0
    camera.close()
camera = opened(pixel_format="BayerRG8", roi=dict(x_px=8, y_px=8, width_px=32, height_px=16))
assert grab(camera).image.shape == (16, 32, 3)
camera.close()
print("done")
""")
    )
    assert said.endswith("done\n")


def test_lost_packets_are_incomplete_pictures_and_never_given(play, fake):
    fake("-r", "300")
    said = finish(
        play("""
camera = opened()
reasons = set()
for _ in range(8):
    try:
        camera.grab(400)
        reasons.add("given")
    except CameraError as error:
        reasons.add(error.reason)
assert "given" not in reasons and reasons & {"incomplete", "timeout"}, reasons
camera.close()
print(sorted(reasons))
""")
    )
    assert "incomplete" in said or "timeout" in said


def test_a_camera_that_is_unplugged_is_found_again(play, fake):
    first = fake()
    process = play("""
camera = opened()
grab(camera)
print("ready", flush=True)
lost, end = 0, time.monotonic() + 30
while True:
    assert time.monotonic() < end, camera.health()
    try:
        frame = camera.grab(300)
        if lost:
            break
    except CameraError as error:
        lost += 1
assert camera.health().reconnects >= 1
camera.close()
print("back")
""")
    assert process.stdout.readline() == "ready\n"
    first.kill()
    first.wait()
    time.sleep(1.0)
    fake()
    assert finish(process).endswith("back\n")


def test_a_camera_that_is_away_is_named(play):
    said = finish(
        play("""
camera = opened(ip="127.0.0.2")
try:
    camera.grab(10)
except CameraError as error:
    print(error)
camera.close()
""")
    )
    assert "127.0.0.2" in said and "Check its cable" in said
