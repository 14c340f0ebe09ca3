"""What the tests of sinks share: signals, and a PLC's program."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from sightline.core.result import Verdict
from sightline.core.signals import Signal
from sightline.devices.sinks.handshake import Inputs, Outputs
from sightline.devices.sinks.registers import read_outputs, write_inputs

QUICK = {"backoff": {"first_ms": 20, "longest_ms": 100}}


def make_signal(part="A1", verdict=Verdict.NG, **options):
    return Signal(part_id=part, verdict=verdict, **{"valid": True, "score": 3.5, "recipe": "caps", **options})


@pytest.fixture
def signal() -> Callable[..., Signal]:
    return make_signal


class Plc:
    """A PLC's program over any protocol that reads and writes words."""

    def __init__(self, read: Callable[[], list[int]], write: Callable[[list[int]], None]) -> None:
        self._read, self._write = read, write

    def say(self, **inputs: object) -> None:
        self._write(write_inputs(Inputs(**inputs)))  # type: ignore[arg-type]

    def see(self) -> Outputs:
        return read_outputs(self._read())

    def wait(self, true: Callable[[Outputs], object], seconds: float = 5.0) -> Outputs:
        end = time.monotonic() + seconds
        while not true(seen := self.see()):
            assert time.monotonic() < end, f"not in time: {seen}"
            time.sleep(0.005)
        return seen


@pytest.fixture
def plc() -> type[Plc]:
    return Plc


def run_cycle(sink, plc):
    """Ready, trigger, busy, result, acknowledge, ready: twice, and a change of the recipe between. For any protocol."""
    from sightline.core.signals import CommandKind, Status

    plc.say()
    sink.show(Status(ready=True, recipe_id=3))
    for number, verdict in ((1, Verdict.OK), (2, Verdict.REVIEW)):
        plc.wait(lambda o: o.ready and not o.valid)
        plc.say(trigger=True, part_id=f"PART-{number}")
        command = sink.wait(2000)
        assert (command.kind, command.part_id) == (CommandKind.TRIGGER, f"PART-{number}")
        busy = plc.wait(lambda o: o.busy)
        assert not busy.ready and not busy.valid and busy.verdict == 0
        sink.send(make_signal(command.part_id, verdict, score=1.25))
        seen = plc.wait(lambda o: o.valid)
        assert (seen.verdict, seen.part_id, seen.score, seen.number) == (
            {Verdict.OK: 1, Verdict.REVIEW: 3}[verdict],
            f"PART-{number}",
            1.25,
            number,
        )
        assert not seen.busy and not seen.ready and seen.inspected and seen.error == 0
        plc.say(acknowledge=True)
        plc.wait(lambda o: o.ready and not o.valid and o.verdict == 0)
        plc.say()
        plc.say(recipe_request=True, recipe_id=number + 10)
        command = sink.wait(2000)
        assert (command.kind, command.recipe) == (CommandKind.RECIPE, str(number + 10))
        assert not plc.see().recipe_done
        sink.show(Status(ready=True, recipe_id=number + 10))
        assert plc.wait(lambda o: o.recipe_done).recipe_id == number + 10
        plc.say()
        plc.wait(lambda o: not o.recipe_done)
    beat = plc.see().heartbeat
    sink.show(Status(ready=True))
    plc.wait(lambda o: o.heartbeat != beat)


@pytest.fixture
def cycle() -> Callable[..., None]:
    return run_cycle
