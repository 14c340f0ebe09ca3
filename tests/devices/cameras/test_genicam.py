"""GenICam by Harvester with the emulated camera of the genicam package: no vendor's hardware, the vendor's way in."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from sightline.core.errors import CameraError
from sightline.devices.cameras.table import open_camera

QUICK = {"trigger": "free", "repeats_max": 0, "backoff": {"first_ms": 20, "longest_ms": 50}}


@pytest.fixture
def cti(need_package):
    need_package("harvesters")
    need_package("genicam")
    import genicam

    return Path(genicam.__file__).with_name("viky.cti")


def opened(cti, **options):
    return open_camera({"kind": "genicam", "cti": cti, "device": "VikyTL_DEV_red", **QUICK, **options})


def test_pictures_are_live_and_numbered(cti):
    camera = opened(cti)
    frames = []
    for _ in range(3):
        asked = time.monotonic()
        frames.append(camera.grab(3000))
        assert frames[-1].monotonic_s >= asked
    assert frames[0].image.shape == (400, 400, 3)
    assert [frame.id for frame in frames] == [1, 2, 3]
    numbers = [frame.metadata["device_id"] for frame in frames]
    assert numbers == sorted(set(numbers))
    assert any((a.image != b.image).any() for a, b in pairwise(frames))
    camera.close()


def test_every_picture_comes_in_turn_where_each_is_a_part(cti):
    camera = opened(cti, trigger="hardware", trigger_line="Line1")
    with pytest.raises(CameraError, match="TriggerSelector"):  # this camera has no trigger
        camera.grab(100)
    camera.close()


def test_one_camera_can_be_opened_after_another(cti):
    for device in ("VikyTL_DEV_green", "2"):
        camera = opened(cti, device=device)
        assert camera.grab(3000).image.size
        camera.close()


def test_two_cameras_of_one_maker_run_side_by_side(cti):
    cameras = [opened(cti, device=device) for device in ("VikyTL_DEV_red", "VikyTL_DEV_blue")]
    for _ in range(3):
        red, blue = (camera.grab(3000).image for camera in cameras)
    assert (red != blue).any()
    cameras[0].close()
    cameras[1].grab(3000)
    cameras[1].close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"device": "nobody"}, "0 cameras fit 'nobody'"),
        ({"device": ""}, "3 cameras fit ''"),
        ({"exposure_us": 100.0}, "ExposureTime cannot be set"),
        ({"pixel_format": "Nonsense8"}, "PixelFormat cannot be set to 'Nonsense8'"),
        ({"cti": Path("/no/such.cti")}, "Install the manufacturer's GenTL producer"),
    ],
)
def test_what_cannot_be_is_named(cti, wrong, said):
    camera = opened(**{"cti": cti, **wrong})
    with pytest.raises(CameraError) as caught:
        camera.grab(10)
    assert said in str(caught.value)
    camera.close()
