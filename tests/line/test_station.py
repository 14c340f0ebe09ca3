"""The station: every part gets one answer, and never an OK that was not earned."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import StoreError
from sightline.core.result import Verdict
from sightline.core.signals import CommandKind, ErrorCode
from sightline.line import station as station_module
from sightline.line.pilot import Pilot

Start = Callable[..., Any]


def test_good_parts_pass_and_a_flawed_one_does_not(bench: Start) -> None:
    with bench() as one:
        signals = [one.inspect(f"part-{number}") for number in range(6)]
        verdicts = [said.verdict for said in signals]
        assert verdicts[4] is Verdict.NG and verdicts.count(Verdict.OK) >= 3
        assert all(said.valid and not said.late and not said.error and said.recipe_id == 7 for said in signals)
        records = one.records()
        assert [record.serial for record in records] == [f"part-{number}" for number in range(6)]
        assert [record.verdict for record in records] == verdicts
        assert all(record.triggered <= record.captured <= record.inferred <= record.signalled for record in records)
        assert records[4].details["views"][0]["defects"]
        one.until(lambda: any(record.image_hash for record in one.records()))  # the NG part's picture is kept
        assert [bool(record.image_hash) for record in one.records()][4]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("timeout", ErrorCode.CAMERA_TIMEOUT),
        ("disconnected", ErrorCode.CAMERA_LOST),
        ("incomplete", ErrorCode.CAMERA_BAD_FRAME),
        ("unreadable", ErrorCode.CAMERA_BAD_FRAME),
        ("frozen", ErrorCode.CAMERA_STALE),
        ("size", ErrorCode.CAMERA_BAD_FRAME),
        ("tiny", ErrorCode.CAMERA_BAD_FRAME),
    ],
)
def test_a_camera_that_fails_makes_the_part_ng_and_the_next_ones_are_judged(
    bench: Start, fault: str, code: ErrorCode
) -> None:
    with bench(faults={1: fault}, deadline_ms=2000) as one:
        assert one.inspect("before").valid
        said = one.inspect("during")
        assert said.verdict is Verdict.NG and not said.valid and said.error == code
        one.until(lambda: one.inspect("").valid, 5)
        during = next(record for record in one.records() if record.serial == "during")
        assert during.verdict is Verdict.NG and during.error.startswith(f"{int(code)}:") and during.score is None


def test_an_exception_in_the_model_makes_the_part_ng(bench: Start) -> None:
    views = [{"name": "v", "camera": {"kind": "fake", "faults": {1: "tiny"}, "fixed_size": False}}]
    with bench(views=views) as one:
        assert one.inspect("1").valid
        said = one.inspect("2")
        assert (said.verdict, said.valid, said.error) == (Verdict.NG, False, ErrorCode.INSPECTION_FAILED)
        assert one.inspect("3").valid


def test_a_worker_that_is_killed_is_replaced(bench: Start) -> None:
    with bench(deadline_ms=1000) as one:
        assert one.inspect("1").valid
        os.kill(one.devices.worker.pid, signal.SIGKILL)
        start = time.monotonic()
        said = one.inspect("2")
        assert said.verdict is Verdict.NG and not said.valid and said.error
        one.until(lambda: one.devices.worker.restarts == 1 and one.devices.worker.ready)
        assert one.inspect("3").valid and time.monotonic() - start < 10  # the goal is 5 s; the machine may be busy
        assert one.devices.worker.restarts == 1


def test_a_worker_that_hangs_is_late_and_replaced(bench: Start) -> None:
    with bench(deadline_ms=600, margin_ms=300) as one:
        assert one.inspect("1").valid
        os.kill(one.devices.worker.pid, signal.SIGSTOP)
        start = time.monotonic()
        said = one.inspect("2")
        assert time.monotonic() - start < 0.6
        assert said.verdict is Verdict.NG and said.late and said.error == ErrorCode.LATE
        assert one.inspect("3").error == ErrorCode.NOT_READY
        one.until(lambda: one.devices.worker.restarts == 1 and one.devices.worker.ready)
        assert one.inspect("4").valid
        assert [record.late for record in one.records()][:2] == [False, True]


def test_a_record_that_cannot_be_kept_costs_the_ok(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench() as one:
        assert one.inspect("1").valid

        def full(entry: object) -> None:
            raise StoreError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(one.devices.recorder.journal, "append", full)
            said = one.inspect("2")
        assert (said.verdict, said.valid, said.error) == (Verdict.NG, False, ErrorCode.RECORD_FAILED)
        assert one.inspect("3").valid
        # As soon as there is space again, the part is recorded as what the machine was told.
        kept = {record.serial: record for record in one.records()}
        assert kept["2"].verdict is Verdict.NG and kept["2"].error.startswith("50:") and len(kept) == 3


def test_a_sink_that_refuses_keeps_nobody_from_the_answer(bench: Start) -> None:
    with bench(sinks=[{"kind": "fake", "fails": True}]) as one:
        assert one.inspect("1").valid and one.inspect("2").valid


def test_changeover_by_number_name_and_barcode(bench: Start, recipe_file: Path) -> None:
    recipes = [
        {"name": "plates", "id": 7, "file": recipe_file, "barcodes": ["4006381"]},
        {"name": "lids", "id": 8, "file": recipe_file},
    ]
    with bench(recipes=recipes) as one:
        for requested, name in (("8", "lids"), ("4006381", "plates"), ("lids", "lids")):
            start = time.monotonic()
            one.ask(CommandKind.RECIPE, recipe=requested)
            said = one.inspect(f"after {requested}")
            assert said.recipe == name and said.valid and time.monotonic() - start < 0.5 + 0.5
        one.ask(CommandKind.RECIPE, recipe="99")
        said = one.inspect("nobody's")
        assert (said.verdict, said.valid, said.error) == (Verdict.NG, False, ErrorCode.UNKNOWN_RECIPE)
        assert one.machine.statuses[-1].error == ErrorCode.UNKNOWN_RECIPE
        one.ask(CommandKind.RECIPE, recipe="plates")
        assert one.inspect("again").valid
        assert [record.product for record in one.records()] == ["lids", "plates", "lids", None, "plates"]


def test_check_parts_block_until_they_have_passed(bench: Start) -> None:
    parts = [{"part_id": "golden", "verdict": "OK"}, {"part_id": "scratched", "verdict": "NG"}]
    with bench(interlock={"parts": parts}) as one:
        said = one.inspect("1")  # takes no picture
        assert (said.verdict, said.valid, said.error) == (Verdict.NG, False, ErrorCode.BLOCKED)
        assert one.inspect("golden").verdict is Verdict.OK
        for number in range(3):  # good parts under the challenge part's name
            assert one.inspect("scratched").verdict is Verdict.OK
            assert one.inspect(f"x{number}").error == ErrorCode.BLOCKED
        assert one.inspect("scratched").verdict is Verdict.NG
        assert one.inspect("golden").verdict is Verdict.OK
        assert one.inspect("2").valid


def test_views_make_one_verdict_and_a_missing_one_makes_it_ng(bench: Start) -> None:
    with bench(cameras=2, faults={5: "incomplete"}) as one:
        signals = [one.inspect(str(number)) for number in range(6)]
        assert signals[4].verdict is Verdict.NG and signals[4].valid
        assert not signals[5].valid and signals[5].verdict is Verdict.NG
        assert [len(record.details["views"]) for record in one.records()] == [2, 2, 2, 2, 2, 0]


def test_a_shadow_judges_the_same_parts_and_signals_nothing(bench: Start, recipe_file: Path) -> None:
    recipes = [{"name": "plates", "id": 7, "file": recipe_file, "shadow": recipe_file}]
    with bench(recipes=recipes) as one:
        for number in range(5):
            one.inspect(str(number))
            one.until(lambda n=number: sum(one.devices.shadow.agreement.values()) > n, 5)
        assert len(one.machine.signals) == 5
        assert not one.devices.shadow.differences
        assert b'sightline_events_total{kind="shadow_agrees",station="desk"} 5.0' in one.devices.metrics.text()
        shadows = one.records(shadow=True)
        assert [record.serial for record in shadows] == ["0", "1", "2", "3", "4"]
        assert [record.verdict for record in shadows] == [record.verdict for record in one.records()]


def test_pilot_mode_says_so(bench: Start) -> None:
    with bench(mode="pilot") as one:
        assert one.inspect("1").valid
        assert one.machine.statuses[-1].pilot
        assert one.records()[0].details["mode"] == "pilot"


def test_the_pilot_is_switched_between_parts_and_outlives_a_restart(bench: Start) -> None:
    with bench() as one:
        assert one.inspect("1").verdict is Verdict.OK
        one.devices.controller.request(CommandKind.PILOT)
        one.until(lambda: one.machine.statuses[-1].pilot)
        signal = one.inspect("2")
        assert (signal.verdict, signal.pilot, signal.valid) == (None, True, True)
        assert [record.details["mode"] for record in one.records()] == ["production", "pilot"]
    with bench() as one:
        assert one.inspect("3").pilot, "no restart has a machine act on verdicts"
        one.devices.controller.request(CommandKind.PRODUCTION)
        one.until(lambda: not one.machine.statuses[-1].pilot)
        assert one.inspect("4").verdict is Verdict.OK
    with bench() as one:
        assert not one.inspect("5").pilot
        text = one.devices.metrics.text()
        assert b'sightline_parts_total{mode="production",station="desk",verdict="OK"} 1.0' in text
    with bench(mode="pilot") as one:
        one.devices.controller.request(CommandKind.PRODUCTION)
        one.until(lambda: any(not status.pilot for status in one.machine.statuses[-1:]))  # the first may be on its way
    with bench(mode="pilot") as one:
        assert one.inspect("6").pilot, "a start goes by the station's file"


def test_a_pilot_whose_file_cannot_go_stays_on(bench: Start) -> None:
    with bench() as one:
        (one.settings.folder / "pilot").mkdir()  # no file: it cannot be removed like one
        pilot = Pilot(one.settings)
        assert pilot.on and "stays on" in pilot.switch(False)
        assert pilot.on


def test_check_parts_are_due_when_a_person_asks(bench: Start) -> None:
    parts = [{"part_id": "golden", "verdict": "OK"}]
    with bench(interlock={"parts": parts, "at_start": False}) as one:
        assert one.inspect("1").verdict is Verdict.OK
        one.devices.controller.request(CommandKind.CHECK)
        one.until(lambda: one.station.gate.blocked)
        assert one.inspect("2").error == ErrorCode.BLOCKED
        assert one.inspect("golden").verdict is Verdict.OK
        assert one.inspect("3").verdict is Verdict.OK


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_makes_nothing_late(bench: Start, monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    with bench(deadline_ms=1000) as one:
        assert one.inspect("1").valid
        real = time.time
        monkeypatch.setattr(station_module.time, "time", lambda: real() + step_s)
        said = one.inspect("2")
        assert said.valid and not said.late
        assert len(one.records()) == 2


def test_every_code_of_a_camera_error_is_known() -> None:
    assert {"timeout", "disconnected", "stale", "frozen"} <= set(station_module.CAMERA_CODES)


def test_pictures_of_16_bits_reach_the_recipe_as_they_are(bench, pictures):
    with bench() as one:
        eight = [one.inspect(f"P{number}") for number in range(5)]
    pictures[:] = [picture.astype(np.uint16) * 257 for picture in pictures]
    with bench() as one:
        deep = [one.inspect(f"D{number}") for number in range(5)]
    assert [signal.verdict for signal in deep] == [signal.verdict for signal in eight]
    assert [signal.score for signal in deep] == pytest.approx([signal.score for signal in eight], abs=1e-4)


def test_what_a_station_keeps_is_its_owners_alone(bench: Start, tmp_path: Path) -> None:
    with bench(sinks=[{"kind": "mqtt", "port": 1, "outbox": str(tmp_path / "station/outbox-1.db")}]) as one:
        one.inspect("1")
        kept = sorted((tmp_path / "station").glob("*.db*"))
        assert {path.name for path in kept} >= {"held.db", "journal.db", "parts.db", "outbox-1.db"}
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in kept} == {path.name: "0o0" for path in kept}
