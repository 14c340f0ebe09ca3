"""The answer: one per part and in time, whatever is slow, full or broken; and everything else goes by what was said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from sightline.core.errors import SinkError, StoreError
from sightline.core.result import Verdict
from sightline.core.signals import CommandKind, ErrorCode

Start = Callable[..., Any]


def slow_down(owner: Any, name: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a method take longer, and do its work all the same."""
    real = getattr(owner, name)

    def slowly(*args: Any, **more: Any) -> Any:
        done = real(*args, **more)
        time.sleep(seconds)
        return done

    monkeypatch.setattr(owner, name, slowly)


def test_a_check_part_whose_answer_was_late_has_not_passed(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(interlock={"parts": [{"part_id": "golden", "verdict": "OK"}]}, deadline_ms=400) as one:
        with monkeypatch.context() as patch:
            slow_down(one.devices.worker, "inspect", 0.6, patch)
            said = one.inspect("golden")
            assert said.verdict is Verdict.NG and said.late
            assert one.inspect("blocked").error == ErrorCode.BLOCKED
        assert one.inspect("golden").verdict is Verdict.OK
        assert one.inspect("next").valid


def test_a_slow_disk_costs_the_ok_and_not_the_deadline(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(deadline_ms=400) as one:
        assert one.inspect("1").valid
        with monkeypatch.context() as patch:
            slow_down(one.devices.recorder.journal, "append", 0.7, patch)
            start = time.monotonic()
            said = one.inspect("2")
            assert time.monotonic() - start < 0.5
        assert (said.verdict, said.valid, said.late, said.error) == (Verdict.NG, False, True, ErrorCode.LATE)
        one.until(lambda: one.inspect("").valid)
        kept = {record.serial: record for record in one.records()}
        assert kept["2"].verdict is Verdict.NG and kept["2"].late and kept["2"].error.startswith("10:")
        assert [said.part_id for said in one.machine.signals].count("2") == 1


def test_the_deadline_answers_before_it_records(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(deadline_ms=400) as one:
        assert one.inspect("1").valid
        with monkeypatch.context() as patch:
            slow_down(one.devices.worker, "inspect", 0.8, patch)
            slow_down(one.devices.recorder.journal, "append", 0.6, patch)
            start = time.monotonic()
            said = one.inspect("2")
            assert said.late and time.monotonic() - start < 0.5
        one.until(lambda: one.inspect("").valid)
        assert next(record for record in one.records() if record.serial == "2").late


def test_a_sink_that_breaks_stops_neither_the_station_nor_its_deadline(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(signal: object) -> None:
        raise RuntimeError("a sink's own mistake")

    with bench(sinks=[{"kind": "fake"}], deadline_ms=400) as one:
        monkeypatch.setattr(one.devices.sinks[1], "send", breaks)
        assert one.inspect("1").valid
        with monkeypatch.context() as patch:
            slow_down(one.devices.worker, "inspect", 0.6, patch)
            assert one.inspect("2").late
            one.until(lambda: one.inspect("").late)
        one.until(lambda: one.inspect("").valid)


def test_an_answer_that_the_machine_did_not_take_is_not_recorded_as_given(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(signal: Any) -> None:
        raise SinkError("8 results are waiting for the PLC's acknowledgement")

    with bench(sinks=[{"kind": "fake"}], deadline_ms=600) as one:
        with monkeypatch.context() as patch:
            patch.setattr(one.machine, "send", full)
            one.ask(part_id="1")
            one.until(lambda: len(one.devices.sinks[1].signals) == 1)
            slow_down(one.devices.worker, "inspect", 0.8, patch)
            one.ask(part_id="2")
            one.until(lambda: len(one.devices.sinks[1].signals) == 2)
        one.until(lambda: one.inspect("").valid)
        kept = {record.serial: record for record in one.records()}
        assert [kept[part].verdict for part in "12"] == [Verdict.NG] * 2
        assert (
            kept["1"].error
            == "51: the machine was not informed of OK: 8 results are waiting for the PLC's acknowledgement"
        )
        assert kept["2"].error.startswith("51: the machine was not informed of NG (no verdict before the deadline)")


def test_a_shadow_on_a_full_disk_stops_nothing(bench: Start, recipe_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("no space left")

    recipes = [{"name": "plates", "id": 7, "file": recipe_file, "shadow": recipe_file}]
    with bench(recipes=recipes) as one:
        with monkeypatch.context() as patch:
            patch.setattr(one.devices.recorder, "record_shadow", full)
            one.inspect("1")
            one.until(lambda: sum(one.devices.shadow.agreement.values()) > 0, 5)
            time.sleep(0.1)
        assert one.inspect("2").valid


def test_every_view_has_its_shadow(bench: Start, recipe_file: Any) -> None:
    recipes = [{"name": "plates", "id": 7, "file": recipe_file, "shadow": recipe_file}]
    with bench(recipes=recipes, cameras=2) as one:
        for number in range(3):
            one.inspect(str(number))
            one.until(lambda n=number: sum(one.devices.shadow.agreement.values()) == 2 * n + 2, 5)
        assert sum(one.devices.shadow.agreement.values()) == 6


def test_in_pilot_mode_no_machine_is_told_a_verdict(bench: Start) -> None:
    with bench(mode="pilot", sinks=[{"kind": "fake"}]) as one:
        assert one.inspect("1").verdict is None
        assert [said.verdict for said in one.devices.sinks[1].signals] == [None]
        assert one.records()[0].verdict is Verdict.OK
        machine = one.machine
    assert machine.statuses[-1].pilot and not machine.statuses[-1].ready


def test_a_picture_that_came_before_the_part_before_was_answered_is_not_this_parts(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a short takt the time that a picture may lead its trigger by reaches back to the part before."""
    asked: list[float] = []
    views = [{"name": "v", "camera": {"kind": "fake", "trigger": "hardware"}}]
    with bench(views=views, picture_lead_ms=5000) as one:
        real = one.devices.cameras[0].grab

        def grab(timeout_ms: float, after_s: float, lead_s: float, part_id: str) -> Any:
            asked.append(after_s - lead_s)
            return real(timeout_ms, after_s, lead_s, part_id)

        monkeypatch.setattr(one.devices.cameras[0], "grab", grab)
        one.inspect("1")
        answered = time.monotonic() - 0.05  # the test looks a moment later than it was
        one.inspect("2")
    assert len(asked) == 2 and asked[1] >= answered


def test_a_changeover_asks_for_the_check_parts_of_the_other_recipe(bench: Start, recipe_file: Any) -> None:
    recipes = [{"name": name, "id": number, "file": recipe_file} for number, name in enumerate(("plates", "lids"), 7)]
    parts = [{"part_id": f"golden {name}", "verdict": "OK", "recipe": name} for name in ("plates", "lids")]
    with bench(recipes=recipes, interlock={"parts": parts}) as one:
        assert one.inspect("golden plates").verdict is Verdict.OK
        assert one.inspect("1").valid
        one.ask(CommandKind.RECIPE, recipe="lids")
        assert one.inspect("2").error == ErrorCode.BLOCKED
        assert one.inspect("golden plates").error == ErrorCode.BLOCKED
        assert one.inspect("golden lids").verdict is Verdict.OK
        assert one.inspect("3").valid
