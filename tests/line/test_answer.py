"""The answer: one per part and in time, whatever is slow, full or broken; and everything else goes by what was said."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from sightline.core.band import Verdict
from sightline.core.command import Command, CommandKind
from sightline.core.errors import StoreError
from sightline.core.fault import ErrorCode
from sightline.devices.sinks.fake import FakeSink
from sightline.devices.sinks.fake import Settings as FakeSettings
from sightline.line.gear import Desk

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
            slow_down(one.gear.judge, "ask", 0.6, patch)
            said = one.judge("golden")
            assert said.verdict is Verdict.NG and said.late
            assert one.judge("next").error == ErrorCode.BLOCKED
        assert one.judge("golden").verdict is Verdict.OK
        assert one.judge("next").valid


def test_a_slow_disk_costs_the_ok_and_not_the_deadline(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(deadline_ms=400) as one:
        assert one.judge("1").valid
        with monkeypatch.context() as patch:
            slow_down(one.gear.recorder._journal, "append", 0.7, patch)
            start = time.monotonic()
            said = one.judge("2")
            assert time.monotonic() - start < 0.5
        assert (said.verdict, said.valid, said.late, said.error) == (Verdict.NG, False, True, ErrorCode.LATE)
        one.until(lambda: one.judge("after").valid)
        kept = {record.serial: record for record in one.records()}
        assert kept["2"].verdict is Verdict.NG and kept["2"].late and kept["2"].error.startswith("10:")
        assert [said.part_id for said in one.machine.signals].count("2") == 1


def test_the_deadline_answers_before_it_records(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(deadline_ms=400) as one:
        assert one.judge("1").valid
        with monkeypatch.context() as patch:
            slow_down(one.gear.judge, "ask", 0.8, patch)
            slow_down(one.gear.recorder._journal, "append", 0.6, patch)
            start = time.monotonic()
            said = one.judge("2")
            assert said.late and time.monotonic() - start < 0.5
        one.until(lambda: one.judge("after").valid)
        assert next(record for record in one.records() if record.serial == "2").late


def test_a_sink_that_breaks_stops_neither_the_station_nor_its_deadline(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(signal: object) -> None:
        raise RuntimeError("a sink's own mistake")

    with bench(sinks=[{"kind": "fake"}], deadline_ms=400) as one:
        monkeypatch.setattr(one.gear.sinks[1], "send", breaks)
        assert one.judge("1").valid
        with monkeypatch.context() as patch:
            slow_down(one.gear.judge, "ask", 0.6, patch)
            assert one.judge("2").late
            one.until(lambda: one.judge("3").late)
        one.until(lambda: one.judge("4").valid)


def test_a_shadow_on_a_full_disk_stops_nothing(bench: Start, recipe_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("no space left")

    recipes = [{"name": "plates", "id": 7, "file": recipe_file, "shadow": recipe_file}]
    with bench(recipes=recipes) as one:
        with monkeypatch.context() as patch:
            patch.setattr(one.gear.recorder, "record_shadow", full)
            one.judge("1")
            one.until(lambda: sum(one.gear.shadow.agreement.values()) > 0, 5)
            time.sleep(0.1)
        assert one.judge("2").valid


def test_every_view_has_its_shadow(bench: Start, recipe_file: Any) -> None:
    recipes = [{"name": "plates", "id": 7, "file": recipe_file, "shadow": recipe_file}]
    with bench(recipes=recipes, cameras=2) as one:
        for number in range(3):
            one.judge(str(number))
            one.until(lambda n=number: sum(one.gear.shadow.agreement.values()) == 2 * n + 2, 5)
        assert sum(one.gear.shadow.agreement.values()) == 6


def test_in_pilot_mode_no_machine_is_told_a_verdict(bench: Start) -> None:
    with bench(mode="pilot", sinks=[{"kind": "fake"}]) as one:
        assert one.judge("1").verdict is None
        assert [said.verdict for said in one.gear.sinks[1].signals] == [None]
        assert one.records()[0].verdict is Verdict.OK
        machine = one.machine
    assert machine.statuses[-1].pilot and not machine.statuses[-1].ready


def test_commands_count_in_the_order_of_their_moments() -> None:
    """A wish over the port and a trigger come by two ways; the part goes by what was wished before it came."""
    machine = FakeSink(FakeSettings())
    desk = Desk(machine)
    machine.ask(Command(kind=CommandKind.TRIGGER, part_id="old"))
    desk.wish("lids")
    machine.ask(Command(kind=CommandKind.TRIGGER, part_id="new"))
    found = [desk.wait(10) for _ in range(4)]
    told = [None if one is None else one.part_id or one.recipe for one in found]
    assert told == ["old", "lids", "new", None]


def test_a_trigger_that_comes_while_waiting_does_not_overtake_a_wish() -> None:
    machine = FakeSink(FakeSettings())
    desk = Desk(machine)

    def later() -> None:
        time.sleep(0.1)
        desk.wish("lids")
        machine.ask(Command(kind=CommandKind.TRIGGER, part_id="new"))

    other = threading.Thread(target=later)
    other.start()
    found = [desk.wait(1000), desk.wait(1000)]
    other.join()
    assert [one and one.kind for one in found] == [CommandKind.RECIPE, CommandKind.TRIGGER]


def test_a_picture_that_came_before_the_part_before_was_answered_is_not_this_parts(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a short takt the time that a picture may lead its trigger by reaches back to the part before."""
    asked: list[float] = []
    views = [{"name": "v", "camera": {"kind": "fake", "trigger": "hardware"}}]
    with bench(views=views, picture_lead_ms=5000) as one:
        real = one.gear.cameras[0].grab

        def grab(timeout_ms: float, after_s: float | None = None) -> Any:
            asked.append(after_s or 0.0)
            return real(timeout_ms, after_s)

        monkeypatch.setattr(one.gear.cameras[0], "grab", grab)
        one.judge("1")
        answered = time.monotonic() - 0.05  # the test looks a moment later than it was
        one.judge("2")
    assert len(asked) == 2 and asked[1] >= answered


def test_a_changeover_asks_for_the_check_parts_of_the_other_recipe(bench: Start, recipe_file: Any) -> None:
    recipes = [{"name": name, "id": number, "file": recipe_file} for number, name in enumerate(("plates", "lids"), 7)]
    parts = [{"part_id": f"golden {name}", "verdict": "OK", "recipe": name} for name in ("plates", "lids")]
    with bench(recipes=recipes, interlock={"parts": parts}) as one:
        assert one.judge("golden plates").verdict is Verdict.OK
        assert one.judge("1").valid
        one.ask(CommandKind.RECIPE, recipe="lids")
        assert one.judge("2").error == ErrorCode.BLOCKED
        assert one.judge("golden plates").error == ErrorCode.BLOCKED
        assert one.judge("golden lids").verdict is Verdict.OK
        assert one.judge("3").valid
