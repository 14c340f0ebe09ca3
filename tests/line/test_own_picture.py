"""The promises of the station: a part is judged by its own picture, by its own recipe, once, or it is NG."""

from __future__ import annotations

import csv
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from sightline.core.errors import SettingError
from sightline.core.result import Verdict
from sightline.core.signals import CommandKind, ErrorCode, Signal
from sightline.devices.sinks.sparkplug import _metrics
from sightline.line.part import Part
from sightline.line.port import open_port
from sightline.line.processes import shared_memory
from sightline.line.register import Register

Start = Callable[..., Any]
Pictures = Sequence[NDArray[np.uint8]]


def png(image: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())


NO_PICTURE = (ErrorCode.CAMERA_TIMEOUT, ErrorCode.LATE)  # on a busy machine the deadline may be the first to say it


def refused(said: Any, *codes: ErrorCode) -> bool:
    return not said.valid and said.verdict is Verdict.NG and said.error in codes


@pytest.fixture
def drop(tmp_path: Path, pictures: Pictures) -> Callable[..., None]:
    """Write picture `number` into the camera's folder, `later_s` from now."""
    (tmp_path / "in").mkdir()

    def write(name: str, number: int = 0, later_s: float = 0.0) -> None:
        time.sleep(later_s)
        (tmp_path / f"in/{name}.tmp").write_bytes(png(pictures[number]))
        (tmp_path / f"in/{name}.tmp").rename(tmp_path / f"in/{name}.png")

    return write


@pytest.fixture
def watched(bench: Start, tmp_path: Path) -> Callable[..., Any]:
    """A station whose camera is a folder, with its default settings."""

    def start(camera: dict[str, Any] | None = None, **more: Any) -> Any:
        values = {"kind": "folder", "name": "v", "path": str(tmp_path / "in"), **(camera or {})}
        return bench(views=[{"name": "v", "camera": values}], **{"deadline_ms": 400, "margin_ms": 50, **more})

    return start


def broken(path: Path) -> None:
    path.with_suffix(".tmp").write_bytes(png(np.zeros((96, 128, 3), np.uint8))[:-20])
    path.with_suffix(".tmp").rename(path)


def with_picture(one: Any, part_id: str, write: Callable[[], None]) -> Any:
    """Trigger a part, write its picture, and wait for the answer."""
    before = len(one.machine.signals)
    one.ask(part_id=part_id)
    time.sleep(0.015)  # as a camera exposes; the system's clock for files lags by up to 10 ms
    write()
    one.until(lambda: len(one.machine.signals) > before, 10)
    return one.machine.signals[-1]


def test_a_late_picture_is_nobodys(watched: Start, drop: Callable[..., None]) -> None:
    with watched() as one:
        assert with_picture(one, "P0", lambda: drop("000")).valid
        assert refused(one.inspect("P1"), *NO_PICTURE)
        drop("001", 4, later_s=0.1)
        time.sleep(0.3)
        assert refused(one.inspect("P2"), *NO_PICTURE)
        said = with_picture(one, "P3", lambda: drop("003"))
        assert said.valid and said.verdict is Verdict.OK
        assert [record.details["source"] for record in one.records()][-1] == "003.png"


def test_pictures_of_yesterday_are_nobodys(watched: Start, drop: Callable[..., None]) -> None:
    with watched() as one:
        assert with_picture(one, "P0", lambda: drop("000")).valid
        drop("001", later_s=0.5)  # nobody asks for it
    drop("002")  # the station is down
    with watched() as one:
        for number in range(3):
            assert refused(one.inspect(f"Q{number}"), *NO_PICTURE)
        assert with_picture(one, "Q3", lambda: drop("003")).valid


def test_a_camera_that_was_opened_again_gives_no_old_picture(
    watched: Start, drop: Callable[..., None], tmp_path: Path
) -> None:
    with watched({"settle_ms": 0, "backoff": {"first_ms": 20, "longest_ms": 20}}) as one:
        for number in range(3):
            assert with_picture(one, f"P{number}", lambda n=number: drop(f"00{n}")).valid
        for number in range(3):
            cut_off = tmp_path / f"in/1{number}.png"
            assert not with_picture(one, f"B{number}", lambda path=cut_off: broken(path)).valid
        one.until(lambda: one.devices.cameras[0].health().reconnects == 1)
        assert not one.inspect("P4").valid
        assert with_picture(one, "P5", lambda: drop("205")).valid


def test_the_name_of_the_file_says_whose_picture_it_is(watched: Start, drop: Callable[..., None]) -> None:
    with watched({"part_id": "(?P<part>.*)"}) as one:
        assert with_picture(one, "P1", lambda: drop("P1")).valid
        assert refused(with_picture(one, "P2", lambda: drop("P9")), ErrorCode.CAMERA_OTHER_PART, ErrorCode.LATE)


def test_a_trigger_during_work_is_refused_and_its_picture_is_nobodys(watched: Start, drop: Callable[..., None]) -> None:
    with watched() as one:
        one.ask(part_id="P1")
        one.until(lambda: any(status.busy for status in one.machine.statuses))
        one.ask(part_id="P2")
        drop("001", 4)
        one.until(lambda: len(one.machine.signals) == 2)
        first, second = one.machine.signals
        assert first.part_id == "P1" and refused(first, ErrorCode.CAMERA_OTHER_PART)
        assert second.part_id == "P2" and refused(second, ErrorCode.TRIGGER_OVERRUN)
        drop("002")
        assert refused(one.inspect("P3"), *NO_PICTURE)
        assert with_picture(one, "P4", lambda: drop("004")).verdict is Verdict.OK
        assert [record.serial for record in one.records()] == ["P1", "P2", "P3", "P4"]


def test_the_picture_of_a_blocked_part_is_not_the_golden_parts(watched: Start, drop: Callable[..., None]) -> None:
    with watched(interlock={"parts": [{"part_id": "golden", "verdict": "OK"}]}, picture_lead_ms=1000) as one:
        assert refused(one.inspect("P1"), ErrorCode.BLOCKED)
        drop("001", later_s=0.05)  # comes after the refusal, and within the lead of the golden part's trigger
        time.sleep(0.1)
        assert refused(one.inspect("golden"), *NO_PICTURE)
        assert one.station.gate.blocked
        assert with_picture(one, "golden", lambda: drop("002")).verdict is Verdict.OK
        one.until(lambda: not one.station.gate.blocked)


def test_a_view_that_was_not_grabbed_keeps_its_picture_from_the_next_part(
    bench: Start, drop: Callable[..., None], tmp_path: Path
) -> None:
    views = [
        {"name": "a", "camera": {"kind": "fake", "name": "a", "faults": {0: "incomplete"}, "repeats_max": 0}},
        {"name": "b", "camera": {"kind": "folder", "name": "b", "path": str(tmp_path / "in")}},
    ]
    with bench(views=views, deadline_ms=400, margin_ms=50, picture_lead_ms=1000) as one:
        assert refused(one.inspect("P1"), ErrorCode.CAMERA_BAD_FRAME)
        drop("001", later_s=0.05)
        assert refused(one.inspect("P2"), *NO_PICTURE)


def test_a_picture_that_was_pushed_for_another_part_is_refused_and_counted(
    bench: Start, pictures: Pictures, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUSH_TOKEN", "token")
    port = free_port()
    camera = {"kind": "push", "name": "v", "port": port, "token": {"env": "PUSH_TOKEN"}}

    def push(part_id: str, number: int) -> None:
        time.sleep(0.05)
        caller = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        headers = {"Authorization": "Bearer token", "Content-Type": "image/png"}
        caller.request("POST", f"/?part={part_id}", png(pictures[number]), headers)
        answer = caller.getresponse()
        assert answer.status == 202, json.loads(answer.read())
        caller.close()

    with bench(views=[{"name": "v", "camera": camera}], deadline_ms=500, margin_ms=50) as one:
        assert with_picture(one, "P8", lambda: push("P8", 0)).verdict is Verdict.OK
        assert refused(with_picture(one, "P9", lambda: push("P8", 1)), ErrorCode.CAMERA_OTHER_PART, ErrorCode.LATE)
        assert one.devices.cameras[0].health().other_parts == 1
        one.until(lambda: b'camera_other_parts{camera="v",station="desk"} 1.0' in one.devices.metrics.text())
        assert with_picture(one, "P10", lambda: push("P10", 2)).verdict is Verdict.OK


def test_a_trigger_that_asks_for_another_recipe_is_never_judged_by_the_active_one(
    bench: Start, recipe_file: Path
) -> None:
    recipes = [
        {"name": "plates", "id": 7, "file": recipe_file, "barcodes": ["4006381"]},
        {"name": "lids", "id": 8, "file": recipe_file},
    ]
    with bench(recipes=recipes) as one:
        for requested, right in (
            ("8", False),
            ("7", True),
            ("lids", False),
            ("4006381", True),
            ("99", False),
            ("", True),
        ):
            before = len(one.machine.signals)
            one.ask(part_id=f"P{before}", recipe=requested)
            one.until(lambda n=before: len(one.machine.signals) > n)
            said = one.machine.signals[-1]
            assert said.valid if right else refused(said, ErrorCode.OTHER_RECIPE)
        one.ask(CommandKind.RECIPE, recipe="8")
        one.ask(part_id="P9", recipe="8")
        one.until(lambda: one.machine.signals[-1].part_id == "P9")
        assert one.machine.signals[-1].valid and one.machine.signals[-1].recipe == "lids"


def test_a_request_over_http_for_a_recipe_that_is_not_here_leaves_none_active(bench: Start) -> None:
    with bench() as one:
        port = open_port(one.station)
        try:
            assert one.inspect("P1").valid
            caller = http.client.HTTPConnection("127.0.0.1", port.number, timeout=5)
            caller.request("POST", "/recipe", json.dumps({"recipe": "nobody"}), {"Content-Type": "application/json"})
            answer = caller.getresponse()
            assert answer.status == 404 and "none is active now" in json.loads(answer.read())["error"]
            assert refused(one.inspect("P2"), ErrorCode.UNKNOWN_RECIPE)
        finally:
            port.close()


def test_a_verdict_of_the_pilot_is_marked_wherever_it_goes(bench: Start, tmp_path: Path) -> None:
    with bench(mode="pilot", sinks=[{"kind": "csv", "folder": str(tmp_path / "csv")}, {"kind": "fake"}]) as one:
        for number in range(2):
            assert one.inspect(f"P{number}").verdict is None
    (path,) = (tmp_path / "csv").iterdir()
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pilot"] for row in rows] == ["True", "True"] and rows[0]["verdict"] == "OK"
    said = Signal(part_id="P1", verdict=Verdict.OK, valid=True, pilot=True).to_json()
    metrics = _metrics(said)
    assert metrics["Result/Verdict"] == "NONE" and metrics["Result/Pilot"] is True
    assert metrics["Result/Pilot Verdict"] == "OK"
    assert set(metrics) == set(_metrics({}))


def test_a_part_id_gets_one_answer_also_over_a_restart(bench: Start) -> None:
    with bench() as one:
        assert one.inspect("P1").verdict is Verdict.OK
        again = one.inspect("P1")
        assert (again.verdict, again.valid, again.error) == (None, False, ErrorCode.REPEATED_PART)
        assert one.inspect("").valid and one.inspect("").valid  # numbered by the station: always another part
    with bench() as one:
        assert one.inspect("P1").error == ErrorCode.REPEATED_PART
        assert one.inspect("P2").valid
        assert [record.serial for record in one.records()] == ["P1", "3", "4", "P2"]
    with bench(repeat_s=0) as one:
        assert one.inspect("P1").valid


def test_a_part_that_is_triggered_again_while_it_is_under_way_keeps_its_one_answer(
    watched: Start, drop: Callable[..., None]
) -> None:
    with watched() as one:
        one.ask(part_id="P1")
        one.ask(part_id="P1")  # a broker may deliver twice
        time.sleep(0.015)
        drop("001")
        one.until(lambda: len(one.machine.signals) == 2)
        assert [said.verdict for said in one.machine.signals] == [Verdict.OK, None]


def test_a_part_whose_station_died_is_answered_by_its_successor_and_never_ok(bench: Start, tmp_path: Path) -> None:
    with bench() as one:
        assert one.inspect("P1").valid
    register = Register(tmp_path / "station/parts.db", 3600)
    now = time.monotonic()
    assert register.take(Part("desk-dead-1", "P2", "plates", 7, time.time(), now, now), True)
    register.close()  # as if it had been killed here
    with bench() as one:
        (said,) = one.machine.signals
        assert said.part_id == "P2" and said.late and refused(said, ErrorCode.LATE)
        assert one.inspect("P2").error == ErrorCode.REPEATED_PART
        assert one.inspect("P3").valid
        assert [(record.serial, record.verdict) for record in one.records()][1] == ("P2", Verdict.NG)
    with bench() as one:
        assert not one.machine.signals


def test_what_runs_is_what_was_loaded_and_another_file_is_a_changeover(
    bench: Start, recipe_file: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(recipe_file.read_bytes())
    station = {"recipes": [{"name": "plates", "id": 7, "file": mine}]}
    gate = {"interlock": {"at_start": False, "parts": [{"part_id": "golden", "verdict": "OK"}]}}
    with bench(**station, **gate) as one:
        assert one.inspect("P1").valid
        before = dict(one.devices.worker.hashes)
        model = onnx.load(str(mine))
        model.doc_string = "another file"
        onnx.save(model, str(mine))
        os.kill(one.devices.worker.pid, signal.SIGKILL)
        one.until(lambda: one.devices.worker.restarts == 1 and one.devices.worker.ready)
        assert one.inspect("P2").valid and one.devices.worker.hashes == before
    with bench(**station, **gate) as one:
        assert one.devices.worker.hashes != before
        assert refused(one.inspect("P3"), ErrorCode.BLOCKED)
        assert one.inspect("golden").verdict is Verdict.OK
        assert one.inspect("P4").valid
        one.records()
        with closing(sqlite3.connect(one.settings.folder / "sightline.db")) as database:
            told = database.execute("SELECT details FROM audit WHERE action = 'changeover'").fetchall()
        assert ["its file was replaced" in text for (text,) in told] == [True]
    with bench(**station, **gate) as one:
        assert one.inspect("P5").valid


def test_a_copy_that_was_changed_is_not_judged_by(bench: Start, tmp_path: Path, recipe_file: Path) -> None:
    with bench() as one:
        assert one.inspect("P1").valid
        (copy,) = (tmp_path / "station/recipes").glob("*.onnx")
        model = onnx.load(str(copy))
        model.doc_string = "another file"
        onnx.save(model, str(copy))
        os.kill(one.devices.worker.pid, signal.SIGKILL)
        one.until(lambda: "copies of its recipes were changed" in one.devices.worker.fault)
        assert not one.inspect("P2").valid


def test_shared_memory_is_reserved_before_anything_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = shared_memory(8 * 2**20)
    arena = memory._state[0][0]  # type: ignore[attr-defined]
    assert os.fstat(arena.fd).st_blocks * 512 >= arena.size

    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SettingError, match="shm-size"):
        shared_memory(8 * 2**20)


@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs mosquitto")
def test_triggers_over_mqtt_do_not_queue(
    watched: Start, drop: Callable[..., None], free_port: Callable[[], int], tmp_path: Path
) -> None:
    """P2 is triggered while P1 is under way: no later picture may make either of them OK."""
    mqtt = pytest.importorskip("paho.mqtt.client")
    port, told = free_port(), list[dict[str, Any]]()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    with subprocess.Popen(["mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as broker:
        machine = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        machine.on_connect = lambda client, *_: client.subscribe("st/result", qos=1)
        machine.on_message = lambda *found: told.append(json.loads(found[2].payload))
        controller = {"kind": "mqtt", "port": port, "topic": "st", "commands": True, "outbox": str(tmp_path / "box.db")}
        controller |= {"backoff": {"first_ms": 20, "longest_ms": 100}}
        with watched(controller=controller) as one:
            one.until(lambda: one.devices.controller.machine.health().connected)
            machine.connect("127.0.0.1", port)
            machine.loop_start()
            one.until(machine.is_connected)
            time.sleep(0.2)
            for part in ("P1", "P2"):
                machine.publish("st/command", json.dumps({"command": "trigger", "part_id": part}), qos=1)
            time.sleep(0.05)
            drop("001")
            one.until(lambda: len(told) == 2)
            drop("002", later_s=0.1)
            drop("003", later_s=0.1)
            time.sleep(0.5)
        machine.disconnect()
        machine.loop_stop()
        broker.kill()
    answers = {one["part_id"]: (one["verdict"], one["error"]) for one in told}
    codes = {"P1": ErrorCode.CAMERA_OTHER_PART, "P2": ErrorCode.TRIGGER_OVERRUN}
    assert answers == {part: ("NG", int(code)) for part, code in codes.items()} and len(told) == 2


def test_a_damaged_stray_file_does_not_leave_a_parts_picture_to_the_next(
    watched: Start, drop: Callable[..., None], tmp_path: Path
) -> None:
    with watched({"settle_ms": 0}, picture_lead_ms=100) as one:
        assert with_picture(one, "P0", lambda: drop("000")).valid
        assert not with_picture(one, "P1", lambda: broken(tmp_path / "in/001.png")).valid
        drop("002", later_s=0.1)  # the picture of P1
        time.sleep(0.03)
        assert refused(one.inspect("P2"), *NO_PICTURE)
        assert with_picture(one, "P3", lambda: drop("003")).verdict is Verdict.OK
