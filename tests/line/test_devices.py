"""What a station works with: commands of the machine and requests over the port in one queue, sinks by their names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from sightline.core.signals import Command, CommandKind
from sightline.devices.sinks.fake import FakeSink
from sightline.devices.sinks.fake import Settings as FakeSettings
from sightline.line.devices import CommandQueue

Start = Callable[..., Any]


def test_commands_count_in_the_order_of_their_moments() -> None:
    """A request over the port and a trigger come by two ways; the part goes by what was requested before it came."""
    machine = FakeSink(FakeSettings())
    commands = CommandQueue(machine)
    machine.ask(Command(kind=CommandKind.TRIGGER, part_id="old"))
    commands.request_recipe("lids")
    machine.ask(Command(kind=CommandKind.TRIGGER, part_id="new"))
    found = [commands.wait(10) for _ in range(4)]
    told = [None if one is None else one.part_id or one.recipe for one in found]
    assert told == ["old", "lids", "new", None]


def test_a_trigger_that_comes_while_waiting_does_not_overtake_a_request() -> None:
    machine = FakeSink(FakeSettings())
    commands = CommandQueue(machine)

    def later() -> None:
        time.sleep(0.1)
        commands.request_recipe("lids")
        machine.ask(Command(kind=CommandKind.TRIGGER, part_id="new"))

    other = threading.Thread(target=later)
    other.start()
    found = [commands.wait(1000), commands.wait(1000)]
    other.join()
    assert [one and one.kind for one in found] == [CommandKind.RECIPE, CommandKind.TRIGGER]


def test_a_sink_is_called_by_its_kind_where_nobody_has_named_it(bench: Start) -> None:
    with bench(sinks=[{"kind": "fake", "fails": True}, {"kind": "fake", "name": "mes", "fails": True}]) as one:
        assert one.devices.faults() == ["sink fake: not connected", "sink mes: not connected"]
