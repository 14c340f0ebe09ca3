"""The camera: only a fresh, whole frame of the right size is given; every fault is an error with its reason."""

from __future__ import annotations

import queue
import time

import numpy as np
import pytest

from sightline.core.errors import CameraError, SettingError
from sightline.devices.cameras.camera import Camera, Queued
from sightline.devices.cameras.fake import fake_camera
from sightline.devices.cameras.settings import CameraSettings, LiveSettings, VisionSettings
from sightline.devices.cameras.source import RawImage
from sightline.devices.cameras.table import open_camera, read_camera

QUICK = {"backoff": {"first_ms": 20, "longest_ms": 40}}


class Given:
    """A source that gives pictures from a list and raises the errors in it."""

    def __init__(self, *items):
        self.items = list(items)

    def read(self, timeout_ms):
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self):
        pass


def picture(value=0, **options):
    return RawImage(pixels=np.full((8, 10, 3), value, np.uint8), **options)


def camera_of(*items, settings=None):
    source = Given(*items)
    return Camera(settings or CameraSettings.model_validate(QUICK), lambda: source)


def test_frames_are_numbered_and_carry_time_and_metadata():
    camera = camera_of(picture(metadata={"exposure_us": 100.0}, device_id=7), picture(device_id=8))
    before = time.time()
    frames = [camera.grab(), camera.grab()]
    assert [frame.id for frame in frames] == [1, 2]
    assert frames[0].image.shape == (8, 10, 3)
    assert frames[0].metadata == {"exposure_us": 100.0, "device_id": 7}
    assert abs(frames[0].captured - before) < 5 and frames[0].age_ms() < 5000


def test_region_turn_and_flip_are_applied_in_this_order():
    image = np.arange(8 * 10 * 3, dtype=np.uint8).reshape(8, 10, 3)
    roi = {"x_px": 2, "y_px": 1, "width_px": 5, "height_px": 4}
    settings = CameraSettings.model_validate({"roi": roi, "rotate_deg": 90, "flip": "horizontal"})
    frame = camera_of(RawImage(pixels=image), settings=settings).grab()
    assert np.array_equal(frame.image, np.rot90(image[1:5, 2:7], -1)[:, ::-1])


def test_a_region_outside_the_picture_is_refused():
    settings = CameraSettings.model_validate({"roi": {"x_px": 8, "width_px": 5, "height_px": 4}})
    with pytest.raises(CameraError, match="region of interest"):
        camera_of(picture(), settings=settings).grab()


def test_gaps_in_the_device_ids_are_counted_as_dropped():
    camera = camera_of(*(picture(device_id=i) for i in (65530, 65533, 2)))
    assert [camera.grab().dropped for _ in range(3)] == [0, 2, 1]
    assert camera.health().dropped == 3


def test_a_repeated_device_id_is_a_frozen_camera():
    camera = camera_of(picture(device_id=3), picture(1, device_id=3))
    camera.grab()
    with pytest.raises(CameraError) as caught:
        camera.grab()
    assert caught.value.reason == "frozen"


def test_an_identical_picture_is_a_frozen_camera():
    settings = LiveSettings.model_validate(QUICK)
    camera = camera_of(picture(5), picture(5), picture(6), settings=settings)
    camera.grab()
    with pytest.raises(CameraError) as caught:
        camera.grab()
    assert caught.value.reason == "frozen"
    assert camera.grab().image[0, 0, 0] == 6


def test_a_picture_that_is_too_old_is_thrown_away_for_the_next():
    old = picture(1, monotonic_s=time.monotonic() - 60)
    frame = camera_of(old, picture(2)).grab()
    assert frame.image[0, 0, 0] == 2 and frame.dropped == 1


def test_only_old_pictures_are_an_error():
    with pytest.raises(CameraError) as caught:
        camera_of(picture(1, monotonic_s=time.monotonic() - 60)).grab(timeout_ms=0.001)
    assert caught.value.reason in ("stale", "timeout")


def test_another_size_is_refused_and_may_be_allowed():
    small = RawImage(pixels=np.zeros((4, 4, 3), np.uint8))
    camera = camera_of(picture(), small)
    camera.grab()
    with pytest.raises(CameraError) as caught:
        camera.grab()
    assert caught.value.reason == "size"
    camera = camera_of(picture(), small, settings=CameraSettings(fixed_size=False))
    camera.grab()
    assert camera.grab().image.shape == (4, 4, 3)


def test_a_picture_of_an_earlier_part_is_thrown_away():
    early, late = picture(1, monotonic_s=time.monotonic() - 0.2), picture(2)
    frame = camera_of(early, late).grab(after_s=time.monotonic() - 0.1)
    assert frame.image[0, 0, 0] == 2 and frame.dropped == 1


class Driver:
    """A driver that keeps pictures until they are fetched, as those of GenICam cameras do."""

    def __init__(self):
        self.buffers = queue.Queue()

    def read(self, timeout_ms):
        try:
            item = self.buffers.get(timeout=timeout_ms / 1e3)
        except queue.Empty:
            raise CameraError("nothing", "timeout") from None
        if isinstance(item, Exception):
            raise item
        return picture(item)  # its moment is that of being fetched: the driver does not know when it came

    def close(self):
        pass


def test_a_picture_that_waited_in_the_driver_is_as_old_as_it_is():
    driver = Driver()
    camera = Camera(VisionSettings.model_validate({"trigger": "hardware", "repeats_max": 0, **QUICK}), lambda: driver)
    with pytest.raises(CameraError):
        camera.grab(20)  # the part is NG; its picture comes too late
    driver.buffers.put(1)
    time.sleep(0.1)
    trigger = time.monotonic()
    driver.buffers.put(2)
    assert camera.grab(500, after_s=trigger).image[0, 0, 0] == 2
    driver.buffers.put(CameraError("packets lost", "incomplete"))
    driver.buffers.put(3)
    with pytest.raises(CameraError, match="packets lost"):
        camera.grab(500)
    assert camera.grab(500).image[0, 0, 0] == 3
    driver.buffers.put(CameraError("unplugged"))
    with pytest.raises(CameraError, match="unplugged"):
        camera.grab(500)
    camera.close()


@pytest.mark.parametrize("trigger", ["software", "hardware", "free"])
def test_a_driver_that_fails_in_an_unforeseen_way_is_opened_again(trigger):
    drivers = []

    def opener():
        drivers.append(Driver())
        if len(drivers) == 2:
            raise ZeroDivisionError("not foreseen either")
        drivers[-1].buffers.put(RuntimeError("a bug in the driver") if len(drivers) == 1 else 5)
        for number in range(6, 50):
            drivers[-1].buffers.put(number)
        return drivers[-1]

    camera = Camera(VisionSettings.model_validate({"trigger": trigger, "repeats_max": 0, **QUICK}), opener)
    with pytest.raises(CameraError, match="a bug in the driver") as caught:
        camera.grab(500)
    assert caught.value.reason == "disconnected"
    deadline = time.monotonic() + 5
    while trigger != "free":  # the free one has run through all pictures by the time it is asked
        try:
            camera.grab(500)
            break
        except CameraError:
            assert time.monotonic() < deadline
    camera.close()


def test_more_pictures_than_may_wait_drop_their_oldest():
    driver = Driver()
    waiting = Queued(driver)
    for number in range(12):
        driver.buffers.put(number)
    while not driver.buffers.empty():
        time.sleep(0.01)
    time.sleep(0.05)
    assert [waiting.read(100).pixels[0, 0, 0] for _ in range(8)] == list(range(4, 12))
    waiting.close()


def test_a_lost_camera_is_opened_again_in_the_background():
    opened = []

    def opener():
        opened.append(None)
        if len(opened) in (2, 3):
            raise CameraError("still away")
        return Given(CameraError("unplugged")) if len(opened) == 1 else Given(picture(9))

    camera = Camera(CameraSettings.model_validate(QUICK), opener)
    with pytest.raises(CameraError, match="unplugged"):
        camera.grab()
    with pytest.raises(CameraError) as caught:
        camera.grab(timeout_ms=1)
    assert caught.value.reason == "disconnected"
    assert camera.grab(timeout_ms=2000).image[0, 0, 0] == 9
    assert camera.health().reconnects == 1 and len(opened) == 4


def test_waiting_for_a_lost_camera_is_bounded():
    def away():
        raise CameraError("not there")

    camera = Camera(CameraSettings.model_validate(QUICK), away)
    start = time.monotonic()
    with pytest.raises(CameraError, match="not there"):
        camera.grab(timeout_ms=50)
    assert time.monotonic() - start < 1
    camera.close()
    with pytest.raises(CameraError) as caught:
        camera.grab(timeout_ms=50)
    assert caught.value.reason == "closed"


def test_several_timeouts_open_a_free_camera_anew_and_leave_a_triggered_one():
    late = [CameraError("nothing", "timeout")] * 3
    for trigger, connected in (("software", False), ("hardware", True)):
        settings = CameraSettings.model_validate({"trigger": trigger, "backoff": {"first_ms": 60_000}})
        camera = camera_of(*late, settings=settings)
        for _ in range(3):
            with pytest.raises(CameraError):
                camera.grab()
        assert camera.health().connected is connected
        assert camera.health().failures == 3
        camera.close()


@pytest.mark.parametrize("fault", ["timeout", "disconnected", "incomplete", "unreadable", "frozen", "size"])
def test_a_fake_camera_fails_as_told_and_recovers(fault):
    camera = open_camera({"kind": "fake", "faults": {1: fault}, **QUICK})
    first = camera.grab(100)
    with pytest.raises(CameraError) as caught:
        camera.grab(100)
    assert caught.value.reason == fault
    assert camera.grab(1000).id == first.id + 1
    camera.close()


def test_a_fake_camera_gives_the_pictures_of_its_caller():
    images = [np.full((6, 6, 3), value, np.uint8) for value in (1, 2)]
    camera = fake_camera(images)
    assert [camera.grab().image[0, 0, 0] for _ in range(3)] == [1, 2, 1]


def test_unknown_kinds_and_settings_are_named():
    with pytest.raises(SettingError, match="Choose one of: folder, video"):
        read_camera({"kind": "polaroid"})
    with pytest.raises(SettingError, match=r"max_age_ms: .*greater than 0"):
        read_camera({"kind": "fake", "max_age_ms": 0})
    with pytest.raises(SettingError, match="brightness: the only ones are"):
        read_camera({"kind": "fake", "brightness": 3})


def refused_for(camera, after_s):
    with pytest.raises(CameraError) as caught:
        camera.grab(1000, after_s=after_s, lead_s=0.05)
    return caught.value.reason


def test_after_two_late_pictures_in_a_row_the_third_part_gets_none_of_them():
    zero, none = time.monotonic() - 0.5, CameraError("nothing", "timeout")
    first, second = picture(1, monotonic_s=zero + 0.1), picture(2, monotonic_s=zero + 0.215)
    camera = camera_of(none, first, none, second, none, picture(4, monotonic_s=zero + 0.41))
    assert [refused_for(camera, zero + at) for at in (0.0, 0.12, 0.24)] == ["timeout"] * 3
    assert camera.grab(1000, after_s=zero + 0.4, lead_s=0.05).image[0, 0, 0] == 4


def test_two_pictures_under_way_are_both_thrown_away():
    zero, none = time.monotonic() - 0.5, CameraError("nothing", "timeout")
    camera = camera_of(none, picture(1, monotonic_s=zero + 0.1), picture(2, monotonic_s=zero + 0.17), none)
    assert refused_for(camera, zero) == "timeout"
    camera.skip(zero + 0.05)  # a trigger that was refused while the first part was under way
    assert refused_for(camera, zero + 0.2) == "timeout"


@pytest.mark.parametrize("reason", ["unreadable", "incomplete", "size", "frozen", "end"])
def test_after_a_broken_picture_the_parts_own_may_still_come_and_is_not_the_next_parts(reason):
    zero = time.monotonic() - 0.5
    own = picture(1, monotonic_s=zero + 0.17)
    camera = camera_of(CameraError("broken", reason), own, CameraError("nothing", "timeout"))
    assert refused_for(camera, zero) == reason
    assert refused_for(camera, zero + 0.2) == "timeout"


def test_a_broken_picture_from_before_the_trigger_is_thrown_away_for_the_parts_own():
    zero = time.monotonic() - 0.5
    camera = camera_of(CameraError("broken", "unreadable", zero - 0.1), picture(1, monotonic_s=zero + 0.01))
    frame = camera.grab(1000, after_s=zero, lead_s=0.05)
    assert frame.image[0, 0, 0] == 1 and frame.dropped == 1


@pytest.mark.parametrize("numbered", [False, True])
def test_pictures_that_a_full_queue_drops_are_counted_as_lost(numbered):
    class Numbered(Driver):
        def read(self, timeout_ms):
            value = int(super().read(timeout_ms).pixels[0, 0, 0])
            return picture(value, device_id=value if numbered else None)

    driver = Numbered()
    settings = VisionSettings.model_validate({"trigger": "hardware", "repeats_max": 0, **QUICK})
    camera = Camera(settings, lambda: driver)
    driver.buffers.put(1)
    camera.grab(500)
    for number in range(2, 14):
        driver.buffers.put(number)
    while not driver.buffers.empty():
        time.sleep(0.01)
    time.sleep(0.05)
    frame = camera.grab(500)
    assert (frame.image[0, 0, 0], frame.dropped) == (6, 4)
    assert camera.grab(500).dropped == 0 and camera.health().dropped == 4
    camera.close()
