"""A folder as a camera: each new file once, in order, whole or not at all."""

from __future__ import annotations

import os
import threading
import time

import cv2
import numpy as np
import pytest

from sightline.core.errors import CameraError
from sightline.devices.cameras.table import open_camera


def png(value):
    return cv2.imencode(".png", np.full((20, 30, 3), value, np.uint8))[1].tobytes()


def opened(folder, **options):
    return open_camera({"kind": "folder", "path": folder, "backoff": {"first_ms": 20, "longest_ms": 50}, **options})


@pytest.fixture
def folder(tmp_path):
    for number in (2, 1, 3):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    return tmp_path


def values(camera, count):
    return [int(camera.grab(2000).image[0, 0, 0]) for _ in range(count)]


def test_files_come_in_the_order_of_their_names_bit_equal(folder):
    camera = opened(folder)
    frame = camera.grab()
    assert frame.metadata["file"] == "1.png" and np.array_equal(frame.image, np.full((20, 30, 3), 1, np.uint8))
    assert values(camera, 2) == [2, 3]
    with pytest.raises(CameraError) as caught:
        camera.grab(50)
    assert caught.value.reason == "timeout"
    camera.close()


def test_or_of_their_times(folder):
    for age, name in enumerate(("2.png", "3.png", "1.png")):
        os.utime(folder / name, (1_700_000_000 + age,) * 2)
    camera = opened(folder, order="time")
    assert values(camera, 3) == [2, 3, 1]
    camera.close()


def test_a_file_renamed_into_place_arrives_at_once(folder):
    camera = opened(folder, existing=False)

    def write():
        time.sleep(0.2)
        (folder / "4.tmp").write_bytes(png(4))
        (folder / "4.tmp").rename(folder / "4.png")

    threading.Thread(target=write).start()
    start = time.monotonic()
    assert values(camera, 1) == [4]
    assert time.monotonic() - start < 1.5
    camera.close()


def test_a_file_that_is_still_written_is_waited_for(tmp_path):
    camera, data = opened(tmp_path), png(7)

    def write():
        with (tmp_path / "slow.png").open("wb") as file:
            for at in range(0, len(data), 20):
                file.write(data[at : at + 20])
                file.flush()
                time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    assert values(camera, 1) == [7]
    writer.join()
    camera.close()


def test_a_file_that_stays_cut_off_is_incomplete_and_the_next_one_is_given(tmp_path):
    (tmp_path / "1.png").write_bytes(png(1)[:-20])
    (tmp_path / "2.png").write_bytes(png(2))
    (tmp_path / "3.png").write_bytes(b"hello")
    (tmp_path / "4.png").write_bytes(png(4))
    camera = opened(tmp_path, settle_ms=0)
    reasons = []
    for _ in range(2):
        with pytest.raises(CameraError) as caught:
            camera.grab()
        reasons.append(caught.value.reason)
        values(camera, 1)
    assert reasons == ["incomplete", "unreadable"]
    camera.close()


def test_a_loop_begins_again_and_read_files_can_be_deleted(folder):
    camera = opened(folder, loop=True)
    assert values(camera, 4) == [1, 2, 3, 1]
    camera.close()
    camera = opened(folder, after="delete")
    values(camera, 3)
    assert not list(folder.glob("*.png"))
    (folder / "1.png").write_bytes(png(9))  # the same name is a new part
    assert values(camera, 1) == [9]
    camera.close()


def test_a_folder_that_is_away_is_looked_for(tmp_path):
    camera = opened(tmp_path / "later")
    with pytest.raises(CameraError, match="no folder"):
        camera.grab(10)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "1.png").write_bytes(png(5))
    assert values(camera, 1) == [5]
    camera.close()


def test_a_picture_too_large_to_decode_is_refused_before_it_is(tmp_path):
    (tmp_path / "1.png").write_bytes(png(1))
    with pytest.raises(CameraError, match="more than the 100 allowed"):
        opened(tmp_path, pixels_max=100).grab()
