"""Basler by pypylon and its emulator: our own files come out of it bit-equal, and failed buffers are none."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from sightline.core.errors import CameraError, SettingError
from sightline.devices.cameras.table import open_camera

SERIAL = "0815-0000"


@pytest.fixture
def images(need_package, tmp_path):
    need_package("pypylon")
    images = [np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8) for seed in range(3)]
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image[..., ::-1])
    return images


@pytest.fixture
def camera(images, tmp_path):
    camera = opened(tmp_path)
    yield camera
    camera.close()


def opened(folder, **options):
    features = {"ImageFilename": str(folder), "ImageFileMode": "On", "TestImageSelector": "Off"}
    values = {"kind": "basler", "transport": "BaslerCamEmu", "serial": SERIAL, "features": features}
    values |= {"pixel_format": "BGR8Packed", "width_px": 64, "height_px": 48, "exposure_us": 500.0, "gain_db": 0.0}
    return open_camera({**values, "backoff": {"first_ms": 20, "longest_ms": 50}, **options})


def test_files_come_bit_equal_by_software_trigger(camera, images):
    for turn in range(5):
        start = time.monotonic()
        frame = camera.grab(2000)
        assert np.array_equal(frame.image, images[turn % 3])
        assert time.monotonic() - start < 1 and frame.dropped == 0
    assert frame.metadata["device_id"] == 4


def test_a_failed_buffer_is_no_picture_and_the_next_one_is_good(camera, images):
    camera.grab(2000)
    source = camera._link.get(0)
    source._put("ForceFailedBufferCount", 1)
    source._camera.GetNodeMap().GetNode("ForceFailedBuffer").Execute()
    with pytest.raises(CameraError) as caught:
        camera.grab(2000)
    assert caught.value.reason == "incomplete"
    good = camera.grab(2000)
    assert any(np.array_equal(good.image, image) for image in images)


def test_a_picture_that_came_too_late_is_not_the_next_parts(camera, images, until):
    camera.grab(2000)
    source = camera._link.get(0)
    # As if an earlier grab had run out of time. A camera that is not ready for a trigger ignores it.
    assert source._camera.WaitForFrameTriggerReady(5000, source._pylon.TimeoutHandling_Return)
    source._camera.ExecuteSoftwareTrigger()
    until(lambda: source._camera.NumReadyBuffers.Value)
    frame = camera.grab(2000)
    assert np.array_equal(frame.image, images[2]) and frame.dropped == 1


def test_a_free_camera_gives_what_came_after_the_question(images, tmp_path):
    camera = opened(tmp_path, trigger="free", repeats_max=0)
    for _ in range(3):
        asked = time.monotonic()
        assert camera.grab(2000).monotonic_s >= asked
    camera.close()


def test_a_hardware_trigger_that_never_comes_is_a_timeout_and_no_reconnection(images, tmp_path):
    camera = opened(tmp_path, trigger="hardware")
    for _ in range(4):
        with pytest.raises(CameraError) as caught:
            camera.grab(30)
        assert caught.value.reason == "timeout"
    assert camera.health().reconnects == 0 and camera.health().connected
    camera.close()


def test_what_cannot_be_is_named(images, tmp_path):
    for wrong, said in (({"serial": "9999"}, "9999"), ({"width_px": 99_999}, "Width"), ({"gain_db": 50.0}, "Gain")):
        camera = opened(tmp_path, **wrong)
        with pytest.raises(CameraError, match=said):
            camera.grab(10)
        camera.close()
    with pytest.raises(SettingError, match="name the camera"):
        open_camera({"kind": "basler"})
