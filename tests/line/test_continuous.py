"""Continuous execution, Stop and Abort: parts without triggers, and parts that are given up, never as OK."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from sightline.core.errors import StoreError
from sightline.core.result import Verdict
from sightline.core.signals import Command, CommandKind, ErrorCode
from sightline.line.part import Deadline, Part

Start = Callable[..., Any]
VIEWS = [{"name": "view0", "camera": {"kind": "fake", "name": "view0", "trigger": "software"}}]


def running(one: Any, count: int = 3) -> None:
    one.ask(CommandKind.CONTINUOUS, part_id="J", recipe="plates")
    one.until(lambda: len(one.machine.signals) >= count)


def ended(one: Any) -> None:
    """The run has ended, and no part follows."""
    one.until(lambda: one.machine.statuses[-1].ready)
    before = len(one.machine.signals)
    time.sleep(0.3)
    assert len(one.machine.signals) == before and not one.machine.statuses[-1].continuous


def test_parts_follow_each_other_until_stop(bench: Start) -> None:
    with bench(views=VIEWS) as one:
        running(one, 6)
        told = one.machine.statuses[-1]
        assert told.continuous and told.job == "J" and not told.ready
        one.ask(CommandKind.STOP)
        ended(one)
        signals = list(one.machine.signals)
        assert [said.part_id for said in signals] == [f"J-{n + 1}" for n in range(len(signals))]
        assert all(said.job == "J" and said.valid for said in signals)
        assert signals[4].verdict is Verdict.NG and [said.verdict for said in signals[:4]].count(Verdict.OK) >= 3
        assert one.inspect("P1").job == ""
        assert [record.serial for record in one.records()] == [said.part_id for said in one.machine.signals]


def test_the_stations_clock_gives_the_pace(bench: Start) -> None:
    with bench(views=VIEWS, continuous_ms=150) as one:
        running(one, 4)
        times = [said.triggered for said in one.machine.signals]
        assert 0.4 < times[3] - times[0] < 5


def test_pictures_are_told_of_between_trigger_and_result(bench: Start) -> None:
    with bench(views=VIEWS) as one:
        one.inspect("P1")
        one.until(lambda: one.machine.statuses[-1].ready)
        steps = [(told.busy, told.acquired) for told in one.machine.statuses if told.part_id == "P1"]
        assert steps == [(True, False), (True, True)]


def test_a_hardware_trigger_cannot_run_continuously_and_it_is_said_why(bench: Start) -> None:
    with bench() as one:
        one.ask(CommandKind.CONTINUOUS, part_id="J")
        one.until(lambda: 'kind="continuous"' in one.devices.metrics.text().decode())
        assert one.inspect("P1").valid and len(one.machine.signals) == 1
        assert "view0 is triggered by hardware" in one.machine.statuses[-1].not_continuous
        assert one.machine.statuses[-1].not_begun == "J"


def test_a_trigger_amid_a_run_is_refused_and_another_recipe_ends_it(bench: Start, recipe_file: Any) -> None:
    recipes = [{"name": name, "id": n, "file": recipe_file} for n, name in enumerate(("plates", "lids"), 1)]
    with bench(views=VIEWS, recipes=recipes, continuous_ms=50) as one:
        running(one)
        one.ask(part_id="P1")
        one.until(lambda: any(said.part_id == "P1" for said in one.machine.signals))
        said = next(said for said in one.machine.signals if said.part_id == "P1")
        assert (said.verdict, said.error, said.job) == (Verdict.NG, ErrorCode.TRIGGER_OVERRUN, "")
        one.ask(CommandKind.RECIPE, recipe="lids")
        ended(one)
        assert {said.recipe for said in one.machine.signals if said.job} == {"plates"}
        assert one.machine.statuses[-1].changeovers == 1


def test_check_parts_that_are_due_end_a_run_instead_of_ng_part_by_part(bench: Start) -> None:
    interlock = {"parts": [{"part_id": "golden", "verdict": "OK"}], "every_parts": 5}
    with bench(views=VIEWS, interlock=interlock) as one:
        one.ask(CommandKind.CONTINUOUS, part_id="early")
        assert one.inspect("golden").verdict is Verdict.OK
        running(one, 5)
        one.until(lambda: one.machine.statuses[-1].error == ErrorCode.BLOCKED)
        ended(one)
        assert {said.job for said in one.machine.signals} == {"", "J"}
        assert not any(said.error for said in one.machine.signals)


def test_a_full_disk_is_not_asked_about_without_end(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> bool:
        raise StoreError("the disk is full")

    with bench(views=VIEWS) as one:
        monkeypatch.setattr(one.devices.register, "take", full)
        running(one)
        before = len(one.machine.signals)
        time.sleep(0.5)
        assert len(one.machine.signals) - before < 10
        assert all(said.error == ErrorCode.RECORD_FAILED for said in one.machine.signals)


@pytest.mark.parametrize("command", [CommandKind.ABORT, CommandKind.STOP])
def test_abort_is_ng_at_once_and_stop_lets_the_part_end(
    bench: Start, monkeypatch: pytest.MonkeyPatch, command: CommandKind
) -> None:
    with bench(views=VIEWS) as one:
        assert one.inspect("before").valid
        real = one.devices.cameras[0].grab

        def slow(*given: Any) -> Any:
            time.sleep(3.0)
            return real(*given)

        monkeypatch.setattr(one.devices.cameras[0], "grab", slow)
        one.ask(part_id="P1")
        one.until(lambda: one.machine.statuses[-1].part_id == "P1")
        start = time.monotonic()
        one.ask(command)
        one.until(lambda: len(one.machine.signals) == 2)
        took, said = time.monotonic() - start, one.machine.signals[-1]
        monkeypatch.undo()
        if command is CommandKind.ABORT:
            assert took < 2 and (said.verdict, said.error, said.late) == (Verdict.NG, ErrorCode.ABORTED, False)
        else:
            assert said.valid
        one.until(lambda: one.machine.statuses[-1].ready)
        assert one.inspect("after").valid and [said.part_id for said in one.machine.signals] == [
            "before",
            "P1",
            "after",
        ]
        records = one.records()
        assert (records[1].error or "").startswith("12:") == (command is CommandKind.ABORT)


def test_abort_ends_a_run_and_nothing_after_it_is_ok(bench: Start) -> None:
    with bench(views=VIEWS) as one:
        for number in range(5):
            before = len(one.machine.signals)
            one.ask(CommandKind.CONTINUOUS, part_id=f"J{number}")
            one.until(lambda before=before: len(one.machine.signals) >= before + 2)
            one.ask(CommandKind.ABORT)
            before = len(one.machine.signals)
            ended(one)
            after = [said.error for said in one.machine.signals[before:]]
            # One whose verdict was being told, and one that had been triggered.
            assert len(after) <= 2 and after.count(ErrorCode.NONE) <= 1


def test_a_trigger_that_waits_when_the_abort_comes_is_ng(bench: Start) -> None:
    with bench(views=VIEWS) as one:
        waits = Command(kind=CommandKind.TRIGGER, part_id="P1")
        one.station._deadline.abort()
        one.machine.ask(waits)
        one.until(lambda: len(one.machine.signals) == 1)
        said = one.machine.signals[0]
        assert (said.verdict, said.error) == (Verdict.NG, ErrorCode.ABORTED)
        assert one.inspect("P2").valid


def test_an_abort_after_the_answer_changes_nothing() -> None:
    told: list[Part] = []
    deadline = Deadline(told.append)
    part = Part.from_trigger(Command(kind=CommandKind.TRIGGER), 1, "s", ("r", 1), 5.0)
    with deadline.over(part):
        assert part.claim_answer()
        deadline.abort()
        time.sleep(0.05)
    deadline.close()
    assert not told


def test_a_client_of_opc_ua_runs_stops_aborts_and_prepares(bench: Start) -> None:
    """From the method's call through the station to the event, with a real server and client."""
    client_of = pytest.importorskip("asyncua").Client

    events: Any = asyncio.Queue()

    class Handler:
        def event_notification(self, event: Any) -> None:
            events.put_nowait((event.Message.Text.removesuffix("EventType"), event))

    async def until(name: str) -> Any:
        while True:
            told, event = await asyncio.wait_for(events.get(), 10)
            seen.append((told, getattr(event, "PartId", "")))
            if told == name:
                return event

    async def play(one: Any) -> None:
        async with client_of(f"opc.tcp://127.0.0.1:{one.machine.port}/sightline/", timeout=5) as client:
            at = await client.get_namespace_index("urn:sightline:station")
            root = await client.nodes.objects.get_child([f"{at}:Station"])
            subscription = await client.create_subscription(20, Handler())
            for name in ("JobStarted", "AcquisitionDone", "ResultReady", "Ready", "RecipePrepared"):
                kind = await client.nodes.base_event_type.get_child([f"{at}:{name}EventType"])
                await subscription.subscribe_events(root, kind)
            machine = await root.get_child([f"{at}:VisionStateMachine", f"{at}:AutomaticModeStateMachine"])
            recipes = await root.get_child([f"{at}:RecipeManagement"])

            job, error, reason = await machine.call_method(f"{at}:StartContinuous", "7")
            assert (error, reason) == (0, "")
            results = [await until("ResultReady") for _ in range(3)]
            assert {result.JobId for result in results} == {job} and results[0].PartId == f"{job}-1"
            assert seen[0][0] == "JobStarted" and [name for name, _ in seen].count("JobStarted") == 1
            for result in results:
                pictures, told = seen.index(("AcquisitionDone", result.PartId)), ("ResultReady", result.PartId)
                assert told in seen[pictures:]
            assert await machine.call_method(f"{at}:Stop") == [0, ""]
            await until("Ready")
            assert await recipes.call_method(f"{at}:PrepareRecipe", "4006381") == ["plates", 0, ""]
            assert (await until("RecipePrepared")).ExternalRecipeId == "plates"

            one.devices.cameras[0].grab = slow
            assert await machine.call_method(f"{at}:StartSingleJob", "P1", "") == ["P1", 0, ""]
            await until("JobStarted")
            assert await machine.call_method(f"{at}:Abort") == [0, ""]
            result = await until("ResultReady")
            assert (result.PartId, result.ResultState) == ("P1", 3)
            assert json.loads(result.ResultContent)["verdict"] == "NG"
            await until("Ready")
            assert await recipes.call_method(f"{at}:PrepareRecipe", "caps") == [
                "",
                ErrorCode.UNKNOWN_RECIPE,
                "no recipe is called 'caps', and none is active now. Known: plates",
            ]

    seen: list[tuple[str, str]] = []
    with bench(views=VIEWS, controller={"kind": "opcua", "port": 0}, continuous_ms=100) as one:
        real = one.devices.cameras[0].grab

        def slow(*given: Any) -> Any:
            time.sleep(1.0)
            return real(*given)

        asyncio.run(play(one))
