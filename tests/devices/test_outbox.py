"""The outbox: order kept, bounded with its oldest dropped, and a kill loses nothing that `put` has returned for."""

from __future__ import annotations

import signal as os_signal
import subprocess
import sys
import time

import pytest

from sightline.core.errors import SettingError, SinkError
from sightline.devices.link import Backoff
from sightline.devices.outbox import Courier, MemoryBox, Outbox, Refused

QUICK = Backoff(first_ms=10, longest_ms=20)


def bodies(box):
    return [message.body for message in box.peek(1000)]


def test_messages_come_in_order_and_stay_over_a_restart(tmp_path):
    box = Outbox(tmp_path / "a" / "box.db")
    for number in range(5):
        box.put(b"%d" % number)
    box.remove(box.peek(1)[0])
    box.close()
    box = Outbox(tmp_path / "a" / "box.db")
    assert bodies(box) == [b"1", b"2", b"3", b"4"] and len(box) == 4
    box.close()


def test_a_full_box_drops_its_oldest_and_counts_them(tmp_path):
    box = Outbox(tmp_path / "box.db", megabytes_max=0.01)
    for number in range(20):
        box.put(bytes([number]) * 936)
    assert len(box) == 10 and box.dropped == 10
    assert [body[0] for body in bodies(box)] == list(range(10, 20))
    box.close()


def test_the_file_stays_bounded_when_it_is_full(tmp_path):
    box = Outbox(tmp_path / "box.db", megabytes_max=0.1)
    for _ in range(600):
        box.put(b"x" * 936)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 6_000_000
    box.close()


def test_a_kill_loses_nothing_that_was_put(tmp_path):
    code = f"""
import sys
from pathlib import Path
from sightline.devices.outbox import Outbox
box = Outbox(Path({str(tmp_path / "box.db")!r}))
for number in range(10**6):
    box.put(b"%d" % number)
    print(number, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for _ in range(40):
        last = process.stdout.readline()
    process.send_signal(os_signal.SIGKILL)
    told = last + process.stdout.read()
    process.wait()
    process.stdout.close()
    count = int(told.split()[-1]) + 1
    box = Outbox(tmp_path / "box.db")
    kept = bodies(box)
    assert kept[:count] == [b"%d" % number for number in range(count)] and len(kept) <= count + 1
    box.close()


def test_two_sinks_cannot_share_a_box(tmp_path):
    box = Outbox(tmp_path / "box.db")
    with pytest.raises(SettingError, match="its own outbox"):
        Outbox(tmp_path / "box.db")
    box.close()


def test_a_damaged_file_is_set_aside(tmp_path):
    (tmp_path / "box.db").write_bytes(b"no database at all " * 100)
    box = Outbox(tmp_path / "box.db")
    box.put(b"new")
    assert bodies(box) == [b"new"] and len(list(tmp_path.glob("box.db.damaged-*"))) == 1
    box.close()


def test_a_folder_that_cannot_be_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError):
        Outbox(tmp_path / "file" / "box.db")


def test_a_closed_box_takes_nothing(tmp_path):
    box = Outbox(tmp_path / "box.db")
    box.close()
    with pytest.raises(SinkError, match="could not be kept"):
        box.put(b"late")


def full(box, is_full=True):
    """The disk takes nothing: SQLite refuses every write."""
    box._db.execute(f"PRAGMA query_only = {'ON' if is_full else 'OFF'}")


def test_a_full_disk_keeps_no_message_from_its_way_and_none_goes_twice(tmp_path, until, monkeypatch):
    monkeypatch.setattr("sightline.devices.outbox.SPARE_MAX", 3)
    box, other = Outbox(tmp_path / "box.db"), Other()
    box.put(b"0")
    full(box)
    for number in range(1, 4):
        box.put(b"%d" % number)
    with pytest.raises(SinkError, match="could not be kept"):
        box.put(b"one too many")
    assert bodies(box) == [b"0", b"1", b"2", b"3"] and len(box) == 4
    courier = Courier("x", box, other, QUICK)
    until(lambda: len(other.taken) == 4 and len(box) == 0)
    box.put(b"4")
    courier.wake()
    until(lambda: len(other.taken) == 5 and len(box) == 0)
    full(box, False)
    box.put(b"5")
    courier.wake()
    until(lambda: len(other.taken) == 6 and len(box) == 0)
    time.sleep(0.1)
    assert other.taken == [b"%d" % number for number in range(6)] and courier.failures == 0
    courier.close()
    box.close()
    box = Outbox(tmp_path / "box.db")
    assert bodies(box) == [] and len(box) == 0
    box.close()


def test_what_waits_in_memory_goes_to_the_disk_once_it_can(tmp_path):
    box = Outbox(tmp_path / "box.db")
    full(box)
    box.put(b"1")
    box.put(b"2")
    full(box, False)
    box.put(b"3")
    full(box)
    box.put(b"4")
    assert bodies(box) == [b"1", b"2", b"3", b"4"]
    full(box, False)
    box.close()
    box = Outbox(tmp_path / "box.db")
    assert bodies(box) == [b"1", b"2", b"3", b"4"] and [message.id for message in box.peek(9)] == [1, 2, 3, 4]
    box.close()


class Other:
    """The other side: takes messages, or fails as its script says."""

    def __init__(self, *faults):
        self.taken, self.faults = [], list(faults)

    def __call__(self, messages):
        fault = self.faults.pop(0) if self.faults else len(messages)
        if isinstance(fault, Exception):
            raise fault
        self.taken += [message.body for message in messages[:fault]]
        return min(fault, len(messages))


def test_a_courier_delivers_in_order_over_every_failure(tmp_path, until):
    box, other = Outbox(tmp_path / "box.db"), Other(SinkError("away"), OSError("gone"), 2, 0, Refused("no"))
    for number in range(6):
        box.put(b"%d" % number)
    courier = Courier("c", box, other, QUICK)
    until(lambda: len(box) == 0)
    assert other.taken == [b"0", b"1", b"3", b"4", b"5"]
    assert [(message.body, why) for message, why in box.refused()] == [(b"2", "no")]
    box.put(b"6")
    courier.wake()
    until(lambda: len(box) == 0)
    until(lambda: courier.error == "")
    assert other.taken[-1] == b"6" and courier.failures == 2 and courier.refused == 1
    courier.close()
    box.close()


def test_a_message_that_nobody_foresaw_does_not_stop_the_others(tmp_path, until):
    taken = []

    def deliver(messages):
        for message in messages:
            taken.append(int(message.body))
        return len(messages)

    box = Outbox(tmp_path / "box.db")
    for body in (b"poison", b"1", b"2"):
        box.put(body)
    courier = Courier("c", box, deliver, QUICK)
    until(lambda: len(box) == 0)
    assert taken == [1, 2] and [message.body for message, _ in box.refused()] == [b"poison"]
    courier.close()
    box.close()


def test_memory_is_bounded_too():
    box = MemoryBox(2)
    box.put(b"a")
    box.put(b"b")
    with pytest.raises(SinkError, match="2 messages are already waiting"):
        box.put(b"c")
    box.remove(box.peek(1)[0])
    box.put(b"c")
    assert bodies(box) == [b"b", b"c"] and len(box) == 2


def test_putting_is_quick(tmp_path):
    box = Outbox(tmp_path / "box.db")
    start = time.monotonic()
    for _ in range(50):
        box.put(b"x" * 400)
    assert time.monotonic() - start < 5
    box.close()
