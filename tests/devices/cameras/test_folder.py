"""A folder as a camera: each new file once, in order, whole or not at all."""

from __future__ import annotations

import os
import struct
import threading
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from sightline.core.errors import CameraError, InputError, SettingError
from sightline.devices.cameras.table import open_camera
from sightline.imaging.image import read_image


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
    camera = opened(folder, existing=True)
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
    camera = opened(folder, order="time", existing=True)
    assert values(camera, 3) == [2, 3, 1]
    camera.close()


def test_a_file_renamed_into_place_arrives_at_once(folder):
    camera = opened(folder)

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
    camera = opened(tmp_path, settle_ms=0, existing=True)
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
    camera = opened(folder, after="delete", existing=True)
    values(camera, 3)
    assert not list(folder.glob("*.png"))
    (folder / "1.png").write_bytes(png(9))  # the same name is a new part
    assert values(camera, 1) == [9]
    camera.close()


def test_a_folder_that_is_away_is_looked_for(tmp_path):
    camera = opened(tmp_path / "later", existing=True)
    with pytest.raises(CameraError, match="not a folder"):
        camera.grab(10)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "1.png").write_bytes(png(5))
    assert values(camera, 1) == [5]
    camera.close()


def test_a_picture_too_large_to_decode_is_refused_before_it_is(tmp_path):
    (tmp_path / "1.png").write_bytes(png(1)[:16] + struct.pack(">II", 60_000, 60_000) + png(1)[24:])
    with pytest.raises(CameraError, match="too large to decode") as error:
        opened(tmp_path, existing=True).grab()
    assert error.value.reason == "size"


def nothing(camera, timeout_ms=60):
    with pytest.raises(CameraError) as caught:
        camera.grab(timeout_ms)
    return caught.value.reason in ("timeout", "stale")


def test_what_was_there_before_is_never_given(folder):
    camera = opened(folder)
    assert nothing(camera)
    (folder / "4.png").write_bytes(png(4))
    assert values(camera, 1) == [4]
    camera.close()


@pytest.mark.parametrize("trigger", ["software", "hardware", "free"])
def test_files_that_were_there_before_are_counted_with_the_remedy(folder, trigger):
    camera = opened(folder, trigger=trigger)
    with pytest.raises(
        CameraError, match=r"no new file in .* \(3 were there before the start; existing = true uses those, once"
    ):
        camera.grab(800)
    camera.close()


def test_a_picture_is_as_old_as_its_arrival_and_not_as_its_reading(tmp_path):
    camera = opened(tmp_path, max_age_ms=200)
    (tmp_path / "1.png").write_bytes(png(1))
    time.sleep(0.3)
    asked = time.monotonic()
    assert nothing(camera)
    (tmp_path / "2.png").write_bytes(png(2))
    frame = camera.grab(1000, after_s=asked)
    assert frame.image[0, 0, 0] == 2 and frame.monotonic_s >= asked
    camera.close()


def test_a_late_picture_is_thrown_away_for_the_next_parts(tmp_path):
    camera = opened(tmp_path)
    (tmp_path / "1.png").write_bytes(png(1))
    time.sleep(0.1)
    trigger = time.monotonic()
    time.sleep(0.02)  # a file's time of change is as coarse as the kernel's tick, and may lie before the trigger
    (tmp_path / "2.png").write_bytes(png(2))
    assert camera.grab(1000, after_s=trigger).image[0, 0, 0] == 2
    camera.close()


def test_a_file_with_an_old_time_of_change_is_an_old_picture(tmp_path):
    camera = opened(tmp_path)
    (tmp_path / "1.tmp").write_bytes(png(1))
    os.utime(tmp_path / "1.tmp", (time.time() - 60,) * 2)
    (tmp_path / "1.tmp").rename(tmp_path / "1.png")
    assert nothing(camera)
    camera.close()


def ahead(folder, name):
    """A file whose writer's clock is an hour ahead of this machine's."""
    (folder / f"{name}.tmp").write_bytes(png(int(name)))
    os.utime(folder / f"{name}.tmp", (time.time() + 3600,) * 2)
    (folder / f"{name}.tmp").rename(folder / f"{name}.png")


def test_a_file_from_the_future_is_no_newer_than_the_look_that_did_not_find_it(tmp_path):
    camera = opened(tmp_path)
    time.sleep(0.3)
    ahead(tmp_path, "1")  # the part before's: nobody has looked since
    with pytest.raises(CameraError):
        camera.grab(300, after_s=time.monotonic())
    late = threading.Timer(0.1, ahead, (tmp_path, "2"))
    late.start()
    assert int(camera.grab(2000, after_s=time.monotonic()).image[0, 0, 0]) == 2
    late.join()
    camera.close()


def test_what_is_no_file_is_no_picture_and_holds_up_nobody(tmp_path):
    camera = opened(tmp_path)
    os.mkfifo(tmp_path / "1.png")
    (tmp_path / "2.png").mkdir()
    (tmp_path / "3.png").symlink_to(tmp_path / "1.png")
    (tmp_path / "4.png").symlink_to(tmp_path / "4.png")
    start = time.monotonic()
    nothing(camera, 300)
    assert time.monotonic() - start < 2
    (tmp_path / "5.png").write_bytes(png(5))
    assert values(camera, 1) == [5]
    camera.close()


def test_a_folder_that_is_opened_again_gives_nothing_twice_and_nothing_that_came_meanwhile(tmp_path, until):
    (tmp_path / "1.png").write_bytes(png(1))
    camera = opened(tmp_path, existing=True)
    assert values(camera, 1) == [1]
    source = camera._link.get(1)
    camera._link.lost(source, "as if its share had gone")
    (tmp_path / "2.png").write_bytes(png(2))
    until(lambda: camera.health().reconnects == 1)
    assert nothing(camera)
    camera.close()


def test_the_name_taken_last_survives_a_restart(folder, tmp_path_factory):
    taken = tmp_path_factory.mktemp("own") / "taken.json"
    camera = opened(folder, existing=True, taken=taken)
    assert values(camera, 2) == [1, 2]
    camera.close()
    camera = opened(folder, existing=True, taken=taken)
    assert values(camera, 1) == [3]
    camera.close()
    camera = opened(folder, existing=True, taken=taken)
    assert nothing(camera)
    camera.close()


def test_the_name_of_a_file_can_say_whose_picture_it_is(tmp_path):
    camera = opened(tmp_path, part_id="(?P<part>[^_]+)_.*")
    (tmp_path / "A1_top.png").write_bytes(png(1))
    (tmp_path / "A2_top.png").write_bytes(png(2))
    assert camera.grab(1000, part_id="A2").image[0, 0, 0] == 2
    (tmp_path / "unnamed.png").write_bytes(png(3))
    with pytest.raises(CameraError) as caught:
        camera.grab(300, part_id="A3")
    assert caught.value.reason == "other_part" and camera.health().other_parts == 2
    camera.close()
    with pytest.raises(SettingError, match="names no group part"):
        opened(tmp_path, part_id="A.*")


TURNED = Image.Exif()
TURNED[0x112] = 6
RAMP = np.mgrid[:40, :60].sum(0).astype(np.uint8)
COLOURS = Image.fromarray(np.stack([RAMP, RAMP + 50, 255 - RAMP], 2))
GREY = Image.fromarray(RAMP)
FILES = {  # what Pillow is to save, or the bytes
    "turned.jpg": (COLOURS, {"exif": TURNED.tobytes(), "quality": 95}),
    "turned.webp": (COLOURS, {"exif": TURNED.tobytes(), "lossless": True}),
    "progressive.jfif": (COLOURS, {"format": "JPEG", "progressive": True}),
    "cmyk.tif": (COLOURS.convert("CMYK"), {}),
    "float.tif": (Image.fromarray(RAMP.astype(np.float32) / 255), {}),
    "palette.png": (COLOURS.quantize(16), {}),
    "grey.bmp": (GREY, {}),
    "grey.pgm": (GREY, {}),
    "12 bits.pgm": b"P5\n60 40\n4095\n" + (RAMP.astype(np.uint16) * 16).astype(">u2").tobytes(),
    "pages.tif": (COLOURS, {"save_all": True, "append_images": [GREY]}),
    "grey.gif": (GREY, {}),
    "deep.jp2": (COLOURS, {}),
    "cut off.png": png(7)[:-30],
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_means_the_same_to_the_camera_as_in_the_lab(tmp_path, name):
    """A recipe is learned from files and judges files: both are decoded alike, or refused alike."""
    what, path = FILES[name], tmp_path / name
    if isinstance(what, bytes):
        path.write_bytes(what)
    else:
        what[0].save(path, **what[1])
    camera = opened(tmp_path, existing=True, settle_ms=100)
    try:
        picture, _ = read_image(path)
    except InputError:
        with pytest.raises(CameraError) as refused:
            camera.grab(2000)
        assert refused.value.reason in ("unreadable", "incomplete") and name in str(refused.value)
        assert name in ("pages.tif", "grey.gif", "deep.jp2", "cut off.png")
    else:
        assert np.array_equal(camera.grab(2000).image, picture)
    camera.close()
