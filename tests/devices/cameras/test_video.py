"""Video files, and USB cameras' way through the same class (no camera is plugged in here)."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from sightline.core.errors import CameraError
from sightline.devices.cameras.table import open_camera

COUNT = 6


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for number in range(COUNT):
        writer.write(np.full((48, 64, 3), (10, 20, 40 * number), np.uint8))  # BGR
    writer.release()
    return path


def test_every_picture_of_a_video_comes_once(film):
    camera = open_camera({"kind": "video", "path": film})
    reds = [int(camera.grab().image[20, 20, 0]) for _ in range(COUNT)]
    assert np.abs(np.array(reds) - 40 * np.arange(COUNT)).max() <= 6
    with pytest.raises(CameraError) as caught:
        camera.grab()
    assert caught.value.reason == "end"
    camera.close()


def test_a_video_may_begin_again(film):
    camera = open_camera({"kind": "video", "path": film, "loop": True})
    reds = [int(camera.grab().image[20, 20, 0]) for _ in range(COUNT + 1)]
    assert abs(reds[0] - reds[-1]) <= 2
    camera.close()


def test_a_free_camera_gives_the_newest_picture_and_comes_back_after_its_end(film):
    camera = open_camera({"kind": "usb", "device": str(film), "repeats_max": 0, "backoff": {"first_ms": 20}})
    frames, lost = [], 0
    while len(frames) < 2 * COUNT:
        try:
            frames.append(camera.grab(500))
        except CameraError as error:
            assert error.reason == "disconnected"
            lost += 1
    assert lost >= 1 and camera.health().reconnects >= 1
    assert all(a.monotonic_s < b.monotonic_s for a, b in pairwise(frames))
    camera.close()


@pytest.mark.parametrize("kind", ["video", "usb"])
def test_what_is_missing_is_named(kind, tmp_path):
    where = {"path": tmp_path / "no.avi"} if kind == "video" else {"device": "/dev/video99"}
    camera = open_camera({"kind": kind, **where})
    with pytest.raises(CameraError, match=r"no\.avi|video99"):
        camera.grab(10)
    camera.close()
