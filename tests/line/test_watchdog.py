"""The watchdog: where the station's process dies or hangs, the machine has NG in time, once, and it is recorded."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import cv2
import pytest

from sightline.core.errors import SettingError, SinkError
from sightline.core.result import Verdict
from sightline.core.signals import Command, CommandKind, ErrorCode, Signal, Status
from sightline.devices.sinks.fake import FakeSink
from sightline.devices.sinks.handshake import Inputs
from sightline.devices.sinks.modbus import ModbusServer
from sightline.devices.sinks.registers import INPUTS, OUTPUTS, read_outputs, write_inputs
from sightline.line import watchdog as module
from sightline.line.machine import Opening, Remote
from sightline.line.simulation import Plc
from sightline.line.supervisor import Supervisor, Watched
from sightline.line.watchdog import Watchdog
from sightline.store.inspections import Record
from sightline.store.store import Store

DEADLINE_S = 3.0
STATION = """
name = "one"
folder = "one"
threads = 1
frame_mb = 1
deadline_ms = 3000
margin_ms = 500
views = [{{ name = "top", camera = {{ kind = "folder", path = "in" }} }}]
recipes = [{{ name = "plates", id = 1, file = "{recipe}" }}, {{ name = "lids", id = 2, file = "{recipe}" }}]
sinks = [{{ kind = "csv", folder = "csv" }}]

[controller]
{controller}
"""


def until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


class Line:
    """A station under its supervisor, whose camera is a folder: a part without a picture stays in work."""

    def __init__(self, folder: Path, recipe: Path, controller: str) -> None:
        self.folder = folder
        (folder / "in").mkdir()
        path = folder / "one.toml"
        path.write_text(STATION.format(recipe=recipe, controller=controller))
        self.supervisor = Supervisor([path])
        self._watching = threading.Thread(target=self.supervisor.run)
        self._watching.start()

    @property
    def station(self) -> Watched:
        return self.supervisor.stations[0]

    def harm(self, number: signal.Signals) -> int:
        """Send the station's process a signal; its id."""
        pid = self.station.process.pid
        assert pid is not None
        os.kill(pid, number)
        return pid

    def records(self) -> list[Record]:
        with Store.open(self.folder / "one" / "sightline.db") as store:
            return list(reversed(store.inspections.page(limit=100)))

    def told(self) -> list[str]:
        """Parts of which the sink beside the machine was told, and what."""
        (path,) = (self.folder / "csv").iterdir()
        with path.open(newline="") as file:
            return [f"{row['part_id']} {row['verdict']} {row['error']}" for row in csv.DictReader(file)]

    def close(self) -> None:
        self.supervisor.stopping.set()
        self._watching.join(40)
        assert not self._watching.is_alive()


@pytest.fixture
def line(tmp_path: Path, recipe_file: Path) -> Callable[[str], Any]:
    @contextmanager
    def start(controller: str) -> Iterator[Line]:
        one = Line(tmp_path, recipe_file, controller)
        try:
            yield one
        finally:
            one.close()

    return start


def sorted_meanwhile(plc: Plc, part_id: str, harm: Callable[[], Any]) -> Any:
    """Trigger a part over Modbus, do harm while it is in work, and what the PLC did with the part."""
    found: list[Any] = []
    sorting = threading.Thread(target=lambda: found.append(plc.sort(part_id)))
    sorting.start()
    until(lambda: (said := plc.look()) is not None and said.busy, 5)
    harm()
    sorting.join(30)
    return found[0]


def test_a_killed_and_a_hung_station_are_answered_for_over_modbus(
    line: Callable[[str], Any], free_port: Callable[[], int]
) -> None:
    port = free_port()
    plc = Plc("127.0.0.1", port, patience_s=DEADLINE_S)
    try:
        with line(f'kind = "modbus"\nport = {port}') as one:
            until(lambda: (said := plc.look()) is not None and said.ready)
            assert plc.change_over(2) is not None
            for count, number in enumerate((signal.SIGKILL, signal.SIGSTOP), 1):
                harmed: list[int] = []
                said = sorted_meanwhile(plc, f"P{count}", lambda n=number, h=harmed: h.append(one.harm(n)))
                assert (said.verdict, said.valid, said.late, said.error) == (Verdict.NG, False, True, ErrorCode.LATE)
                assert said.ms < 1e3 * (DEADLINE_S if number is signal.SIGSTOP else 1.0)
                # The link stays while there is another station: nobody sees a lost one, nor a second result.
                until(lambda h=harmed: one.station.process.pid not in (None, *h), 20)
                until(lambda: (said := plc.look()) is not None and said.ready)
                assert (plc.look().number, plc.look().recipe_id) == (count, 2)  # and nobody judges by another recipe
            until(lambda: len(one.records()) == 2, 20)
            again = plc.sort("P1")
            assert (again.verdict, again.error) == (None, ErrorCode.REPEATED_PART)
            for record in one.records():
                assert record.verdict is Verdict.NG and record.late and record.error.startswith("10: the watchdog")
            assert one.told()[:2] == ["P1 NG 10", "P2 NG 10"]
    finally:
        plc.disconnect()


def test_a_station_that_hangs_for_a_moment_gives_no_second_answer(
    line: Callable[[str], Any], free_port: Callable[[], int], draw: Callable[..., Any]
) -> None:
    port = free_port()
    plc = Plc("127.0.0.1", port, patience_s=2 * DEADLINE_S)
    try:
        with line(f'kind = "modbus"\nport = {port}') as one:
            until(lambda: (said := plc.look()) is not None and said.ready)
            said = sorted_meanwhile(plc, "P1", lambda: one.harm(signal.SIGSTOP))
            pid = one.harm(signal.SIGCONT)
            assert said.error == ErrorCode.LATE and said.ms < 1e3 * DEADLINE_S

            def shown() -> None:
                time.sleep(0.1)
                cv2.imwrite(str(one.folder / "in/2.tmp.png"), draw(0)[0][..., ::-1])
                (one.folder / "in/2.tmp.png").rename(one.folder / "in/2.png")

            until(lambda: (said := plc.look()) is not None and said.ready)
            assert plc.look().number == 1
            assert sorted_meanwhile(plc, "P2", shown).accepted
            assert one.station.process.pid == pid
            until(lambda: len(one.records()) == 2, 20)
            assert [(record.serial, record.verdict) for record in one.records()] == [
                ("P1", Verdict.NG),
                ("P2", Verdict.OK),
            ]
            assert one.told() == ["P1 NG 10", "P2 OK 0"]
    finally:
        plc.disconnect()


class Registers:
    """A PLC that is the Modbus server: it counts every edge of `valid`."""

    def __init__(self) -> None:
        self.words, self.valid = [0] * 200, [False]
        self.server = ModbusServer("127.0.0.1", 0, [(0, 200)], self._read, self._write)

    def say(self, **levels: Any) -> None:
        self.words[:INPUTS] = write_inputs(Inputs(**levels))

    def look(self) -> Any:
        return read_outputs(self.words[100 : 100 + OUTPUTS])

    def _read(self, address: int, count: int) -> list[int]:
        return self.words[address : address + count]

    def _write(self, address: int, words: list[int]) -> bool:
        self.words[address : address + len(words)] = words
        valid = self.look().valid
        if valid != self.valid[-1]:
            self.valid.append(valid)
        return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_plc_that_the_station_calls_is_answered_too(line: Callable[[str], Any], number: signal.Signals) -> None:
    plc = Registers()
    try:
        with line(f'kind = "modbus"\nmode = "client"\nport = {plc.server.port}') as one:
            until(lambda: plc.look().ready)
            plc.say(trigger=True, part_id="P1")
            start = time.monotonic()
            until(lambda: plc.look().busy, 5)
            pid = one.harm(number)
            until(lambda: plc.look().valid, DEADLINE_S)
            assert time.monotonic() - start < DEADLINE_S
            said = plc.look()
            assert (said.verdict, said.inspected, said.error, said.part_id) == (2, False, ErrorCode.LATE, "P1")
            plc.say(acknowledge=True)
            until(lambda: one.station.process.pid not in (None, pid), 20)
            plc.say()
            until(lambda: plc.look().ready)
            assert plc.valid == [False, True, False]
    finally:
        plc.server.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_plc_of_siemens_is_answered_too(
    line: Callable[[str], Any], free_port: Callable[[], int], number: signal.Signals
) -> None:
    server_module, types = pytest.importorskip("snap7.server"), pytest.importorskip("snap7.type")
    block, port = bytearray(2 * (INPUTS + OUTPUTS)), free_port()
    plc = server_module.Server(log=False)
    plc.register_area(types.SrvArea.DB, 7, block)
    plc.start_to("127.0.0.1", port)

    def say(**levels: Any) -> None:
        block[: 2 * INPUTS] = struct.pack(f">{INPUTS}H", *write_inputs(Inputs(**levels)))

    def look() -> Any:
        return read_outputs(struct.unpack(f">{OUTPUTS}H", block[2 * INPUTS :]))

    try:
        with line(f'kind = "s7"\nhost = "127.0.0.1"\nport = {port}\ndb = 7') as one:
            until(lambda: look().ready)
            say(trigger=True, part_id="P1")
            start = time.monotonic()
            until(lambda: look().busy, 5)
            pid = one.harm(number)
            until(lambda: look().valid, DEADLINE_S)
            assert time.monotonic() - start < DEADLINE_S
            said = look()
            assert (said.verdict, said.inspected, said.error, said.part_id) == (2, False, ErrorCode.LATE, "P1")
            say(acknowledge=True)
            until(lambda: one.station.process.pid not in (None, pid), 20)
            say()
            until(lambda: look().ready)
            assert look().number == 1
    finally:
        plc.stop()


@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs mosquitto")
def test_a_killed_and_a_hung_station_are_answered_for_over_mqtt(
    line: Callable[[str], Any], free_port: Callable[[], int], tmp_path: Path
) -> None:
    mqtt = pytest.importorskip("paho.mqtt.client")
    port, told, states = free_port(), dict[str, list[Any]](), list[Any]()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")

    def take(_client: Any, _data: Any, message: Any) -> None:
        said = json.loads(message.payload)
        if message.topic == "st/status":
            states.append(said)
        else:
            told.setdefault(said["part_id"], []).append((time.monotonic(), said))

    with subprocess.Popen(["mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as broker:
        machine = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        machine.on_connect = lambda client, *_: client.subscribe([("st/result", 1), ("st/status", 1)])
        machine.on_message = take
        try:
            until(lambda: not connected(machine, port), 10)
            machine.loop_start()
            with line(f'kind = "mqtt"\nport = {port}\ntopic = "st"\nbackoff = {{ first_ms = 50 }}') as one:
                for part, number in (("P1", signal.SIGKILL), ("P2", signal.SIGSTOP)):
                    until(lambda: bool(states) and states[-1].get("ready") is True)
                    start = time.monotonic()
                    machine.publish("st/command", json.dumps({"command": "trigger", "part_id": part}), qos=1)
                    until(lambda: states[-1].get("busy") is True, 5)
                    pid = one.harm(number)
                    until(lambda p=part: p in told, DEADLINE_S)
                    came, said = told[part][0]
                    assert came - start < DEADLINE_S
                    assert (said["verdict"], said["valid"], said["error"]) == ("NG", False, ErrorCode.LATE)
                    until(lambda p=pid: one.station.process.pid not in (None, p), 20)
                    # While there is no station, a part is refused at once, and recorded by the next one.
                    machine.publish("st/command", json.dumps({"command": "trigger", "part_id": f"{part}b"}), qos=1)
                    until(lambda p=part: f"{p}b" in told, 5)
                until(lambda: states[-1].get("ready") is True)
                until(lambda: len(one.records()) == 4, 20)
                errors = {record.serial: record.error.split(":")[0] for record in one.records()}
                assert errors == {"P1": "10", "P1b": "20", "P2": "10", "P2b": "20"}
                assert sorted(one.told()) == ["P1 NG 10", "P1b NG 20", "P2 NG 10", "P2b NG 20"]
            assert {part: len(said) for part, said in told.items()} == dict.fromkeys(("P1", "P1b", "P2", "P2b"), 1)
        finally:
            machine.disconnect()
            machine.loop_stop()
            broker.kill()


def connected(machine: Any, port: int) -> bool:
    """Whether the broker is not there yet."""
    try:
        machine.connect("127.0.0.1", port)
    except OSError:
        return True
    return False


def test_a_client_of_opc_ua_keeps_its_session_and_gets_the_result(
    line: Callable[[str], Any], free_port: Callable[[], int]
) -> None:
    client_of = pytest.importorskip("asyncua").Client
    port, events = free_port(), list[Any]()

    class Handler:
        def event_notification(self, event: Any) -> None:
            events.append(event)

    async def play(one: Line) -> None:
        async with client_of(f"opc.tcp://127.0.0.1:{port}/sightline/", timeout=5) as client:
            at = await client.get_namespace_index("urn:sightline:station")
            root = await client.nodes.objects.get_child([f"{at}:Station"])
            subscription = await client.create_subscription(20, Handler())
            kind = await client.nodes.base_event_type.get_child([f"{at}:ResultReadyEventType"])
            await subscription.subscribe_events(root, kind)
            machine = await root.get_child([f"{at}:VisionStateMachine", f"{at}:AutomaticModeStateMachine"])
            for part in ("P1", "P2"):  # the second one through the next station, and the same session
                end = time.monotonic() + 60
                while (await machine.call_method(f"{at}:StartSingleJob", part, ""))[1]:
                    assert time.monotonic() < end, "it was not ready"
                    await asyncio.sleep(0.1)
                one.harm(signal.SIGKILL)
                end = time.monotonic() + DEADLINE_S
                while not events or events[-1].PartId != part:
                    assert time.monotonic() < end, "no result"
                    await asyncio.sleep(0.02)
            assert [(event.PartId, event.ResultState) for event in events] == [("P1", 4), ("P2", 4)]
            assert json.loads(events[-1].ResultContent)["verdict"] == "NG"

    with line(f'kind = "opcua"\nport = {port}') as one:
        until(lambda: reachable(port))
        asyncio.run(play(one))


def reachable(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def test_a_watchdog_that_dies_takes_its_station_along_and_both_come_back(
    line: Callable[[str], Any], free_port: Callable[[], int]
) -> None:
    port = free_port()
    plc = Plc("127.0.0.1", port, patience_s=DEADLINE_S)
    try:
        with line(f'kind = "modbus"\nport = {port}') as one:
            until(lambda: (said := plc.look()) is not None and said.ready)
            before = one.station.process.pid, one.station.link.process.pid
            assert before[1] is not None
            os.kill(before[1], signal.SIGKILL)
            until(lambda: one.station.process.pid != before[0] and one.station.link.process.pid != before[1])
            until(lambda: (said := plc.look()) is not None and said.ready)
            assert plc.sort("P1").error in (ErrorCode.CAMERA_TIMEOUT, ErrorCode.LATE)
    finally:
        plc.disconnect()


# -- without processes: what the watchdog says to whom


class Pair:
    """A watchdog in this process, with a machine in memory, and the station's end of its pipe."""

    def __init__(self, folder: Path, deadline_s: float = 0.3, pilot: bool = False) -> None:
        folder.mkdir(exist_ok=True)
        self.opening = Opening({"kind": "fake"}, "one", folder, deadline_s, 0.002, pilot)
        self.watchdog, self._ended = Watchdog(), threading.Event()
        self._watching = threading.Thread(target=self.watchdog.watch, args=(lambda: None, self._ended))
        self._watching.start()
        self.lost = threading.Event()
        self.remote = self.start()
        self.machine: FakeSink = self.watchdog._machine  # type: ignore[assignment]

    def start(self) -> Remote:
        """A station; the one before ends."""
        theirs, self.station = Pipe()
        self.watchdog.join(theirs)
        remote = Remote(self.station, self.lost.set)
        remote.open(self.opening)
        return remote

    def die(self) -> None:
        """The station's end of the pipe closes, although a thread reads from it."""
        with socket.socket(fileno=os.dup(self.station.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)

    def ask(self, part_id: str) -> Command:
        command = Command(kind=CommandKind.TRIGGER, part_id=part_id)
        self.machine.ask(command)
        return command

    def stop_watching(self) -> None:
        self._ended.set()
        self._watching.join(5)

    def close(self) -> None:
        self.die()
        self.stop_watching()
        self.watchdog.close()


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pair]]:
    monkeypatch.setattr(module, "open_log", lambda *_, **__: None)
    pairs: list[Pair] = []

    def start(**more: Any) -> Pair:
        pairs.append(Pair(tmp_path / "station", **more))
        return pairs[-1]

    yield start
    for one in pairs:
        one.close()


def ok(command: Command) -> Signal:
    return Signal(part_id=command.part_id, verdict=Verdict.OK, valid=True, triggered=command.at)


def test_the_first_answer_is_the_only_one(pair: Callable[..., Pair]) -> None:
    one = pair()
    assert one.remote.wait(10) is None
    command = one.ask("P1")
    assert one.remote.wait(2000) == command
    one.remote.send(ok(command))
    one.remote.send(ok(command))
    late = one.ask("P2")
    assert one.remote.wait(2000) == late
    until(lambda: len(one.machine.signals) == 2, 5)
    one.remote.send(ok(late))
    one.remote.show(Status(ready=True))
    until(lambda: len(one.remote.given()) == 1, 5)
    assert [(said.part_id, said.verdict) for said in one.machine.signals] == [("P1", Verdict.OK), ("P2", Verdict.NG)]
    given = one.remote.given()[0]
    assert given.late and given.decided - late.at < 0.45
    one.remote.recorded(given)
    one.remote.show(Status(ready=True))
    until(lambda: not one.watchdog._given, 5)


def test_an_answer_that_the_machine_did_not_take_is_told_to_the_station(
    pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(signal: Signal) -> None:
        raise SinkError("too many results wait")

    one = pair(deadline_s=5.0)
    assert one.remote.wait(10) is None
    command = one.ask("P1")
    assert one.remote.wait(2000) == command
    with monkeypatch.context() as patch:
        patch.setattr(one.machine, "send", full)
        one.remote.send(ok(command))
        one.remote.show(Status(ready=True))
        until(lambda: len(one.remote.given()) == 1, 5)
    (said,) = one.remote.given()
    assert (said.part_id, said.verdict, said.valid, said.error) == ("P1", Verdict.NG, False, ErrorCode.NOT_TOLD)
    assert not one.machine.signals


def test_a_verdict_that_was_held_up_on_its_way_does_not_go_out_after_the_deadline(pair: Callable[..., Pair]) -> None:
    one = pair(deadline_s=0.3)
    one.stop_watching()  # as where the whole process stood still: whoever runs first must be right
    assert one.remote.wait(10) is None
    command = one.ask("P1")
    assert one.remote.wait(2000) == command
    time.sleep(0.35)
    one.remote.send(ok(command))
    until(lambda: len(one.machine.signals) == 1, 5)
    said = one.machine.signals[0]
    assert (said.verdict, said.valid, said.late, said.error) == (Verdict.NG, False, True, ErrorCode.LATE)
    one.remote.show(Status(ready=True))
    until(lambda: [given.key for given in one.remote.given()] == [said.key], 5)  # the record is corrected


@pytest.mark.parametrize("kind", [CommandKind.RECIPE, CommandKind.UNPREPARE])
@pytest.mark.parametrize("when", ["handed over", "while none is there"])
def test_a_changeover_outlives_the_station_that_did_not_obey_it(
    pair: Callable[..., Pair], kind: CommandKind, when: str
) -> None:
    one = pair(deadline_s=30.0)
    work = Status(ready=True, recipe="plates", recipes=("plates", "lids"), calls={"plates": "plates", "lids": "lids"})
    assert one.remote.wait(10) is None
    one.remote.show(work)
    until(lambda: one.machine.statuses[-1].ready, 5)
    change = Command(kind=kind, recipe="lids" if kind is CommandKind.RECIPE else "plates")
    if when == "handed over":
        one.machine.ask(change)
        assert one.remote.wait(2000) == change
        one.remote.show(work)  # it died before it changed over
    one.die()
    until(lambda: not one.machine.statuses[-1].ready, 5)
    if when == "while none is there":
        one.machine.ask(change)
        until(lambda: one.watchdog._changeover is change, 5)
    again = one.start()
    first = again.wait(2000)
    until(lambda: one.watchdog._accepting, 5)
    trigger = one.ask("P1")
    assert (again.recipe, first, again.wait(2000)) == ("plates", change, trigger)
    again.show(replace(work, recipe="lids" if kind is CommandKind.RECIPE else ""))
    until(lambda: one.watchdog._changeover is None, 5)


def test_a_station_whose_messages_cannot_be_read_is_told_so(pair: Callable[..., Pair]) -> None:
    one = pair()
    assert one.remote.wait(10) is None
    one.remote._send("send", None)
    assert one.lost.wait(5)


def test_a_station_that_ends_is_answered_for_at_once_and_its_last_word_counts(pair: Callable[..., Pair]) -> None:
    one = pair(deadline_s=30.0)
    assert one.remote.wait(10) is None
    said, open_ = one.ask("P1"), one.ask("P2")
    assert [one.remote.wait(2000), one.remote.wait(2000)] == [said, open_]
    one.remote.send(ok(said))
    one.die()
    until(lambda: len(one.machine.signals) == 2, 5)
    assert [(said.part_id, said.verdict) for said in one.machine.signals] == [("P1", Verdict.OK), ("P2", Verdict.NG)]
    assert one.machine.statuses[-1].error == ErrorCode.NOT_READY and not one.machine.statuses[-1].ready
    assert [given.part_id for given in one.start().given()] == ["P2"]


def test_no_part_waits_for_a_station_that_takes_none(pair: Callable[..., Pair]) -> None:
    one = pair(deadline_s=30.0)
    one.remote.show(Status(error=int(ErrorCode.CANNOT_START), reason="why"))
    until(lambda: one.machine.statuses[-1].reason == "why", 5)
    one.ask("P1")
    until(lambda: len(one.machine.signals) == 1, 5)
    assert one.machine.signals[0].error == ErrorCode.CANNOT_START and not one.machine.signals[0].late
    assert [given.part_id for given in one.start().given()] == ["P1"]  # it is recorded by the station that can start


def test_the_station_learns_of_triggers_that_were_refused_before_the_next_one(pair: Callable[..., Pair]) -> None:
    one = pair()
    early = one.ask("P1")  # nobody takes parts yet; its picture may come all the same
    until(lambda: len(one.machine.signals) == 1, 5)
    assert one.remote.wait(10) is None
    refused = replace(early, kind=CommandKind.REFUSED, part_id="P2")
    one.machine.ask(refused)
    third = one.ask("P3")
    told = [one.remote.wait(2000) for _ in range(3)]
    assert told == [replace(early, kind=CommandKind.REFUSED), refused, third]
    assert one.remote.wait(10) is None


def test_a_station_that_hangs_between_parts_is_not_ready(
    pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALIVE_S", 0.3)
    one = pair()
    assert one.remote.wait(10) is None
    one.remote.show(Status(ready=True))
    until(lambda: one.machine.statuses[-1].ready, 5)
    until(lambda: not one.machine.statuses[-1].ready, 5)
    one.remote.show(Status(ready=True))
    until(lambda: one.machine.statuses[-1].ready, 5)


def test_a_hung_station_that_is_flooded_holds_up_nobody(pair: Callable[..., Pair]) -> None:
    one = pair(deadline_s=30.0)
    assert one.remote.wait(10) is None
    until(lambda: one.watchdog._accepting, 5)
    for number in range(5 * module.MAX_UNREAD):
        one.ask(f"P{number}")
    until(lambda: len(one.machine.signals) == 4 * module.MAX_UNREAD, 10)
    assert {said.error for said in one.machine.signals} == {ErrorCode.NOT_READY}


def test_a_part_of_the_stations_own_trigger_is_answered_for_too(pair: Callable[..., Pair]) -> None:
    one = pair()
    one.remote.show(Status(busy=True, continuous=True, job="J", recipe="plates", recipes=("plates", "lids")))
    one.remote.begin(Command(kind=CommandKind.TRIGGER, part_id="J-1"))
    until(lambda: len(one.machine.signals) == 1, 5)
    said = one.machine.signals[0]
    assert (said.part_id, said.job, said.verdict, said.late) == ("J-1", "J", Verdict.NG, True)
    one.die()
    until(lambda: not one.machine.statuses[-1].continuous, 5)
    assert one.start().recipe == "plates"


def test_an_abort_overtakes_what_waits(pair: Callable[..., Pair]) -> None:
    one, aborted = pair(deadline_s=30.0), threading.Event()
    one.remote.on_abort(aborted.set)
    assert one.remote.wait(10) is None
    first = one.ask("P1")
    one.machine.ask(Command(kind=CommandKind.ABORT))
    assert aborted.wait(5)
    found = [one.remote.wait(2000), one.remote.wait(2000)]
    assert [command and command.kind for command in found] == [CommandKind.TRIGGER, CommandKind.ABORT]
    assert found[0] == first and one.start().recipe is None


def test_in_pilot_mode_the_watchdog_gives_no_verdict_either(pair: Callable[..., Pair]) -> None:
    one = pair(pilot=True)
    one.ask("P1")
    until(lambda: len(one.machine.signals) == 1, 5)
    assert one.machine.signals[0].verdict is None and one.machine.signals[0].pilot


def test_the_watchdog_goes_by_the_mode_that_the_station_showed_last(pair: Callable[..., Pair]) -> None:
    one = pair()
    for number, pilot in enumerate((True, False), start=1):
        one.remote.show(Status(pilot=pilot, recipes=("plates",)))
        until(lambda on=pilot: one.machine.statuses[-1].pilot is on, 5)  # type: ignore[misc]
        one.ask(f"P{number}")
        until(lambda n=number: len(one.machine.signals) == n, 5)  # type: ignore[misc]
    assert [(signal.verdict, signal.pilot) for signal in one.machine.signals] == [(None, True), (Verdict.NG, False)]


def test_a_trigger_without_a_link_does_not_stay_due(pair: Callable[..., Pair]) -> None:
    one = pair()
    one.watchdog.close()
    command = Command(kind=CommandKind.TRIGGER, part_id="P1")
    one.remote.begin(command)
    until(lambda: command.at in one.watchdog._answered and not one.watchdog._pending, 5)
    assert one.machine.signals == []


def test_a_machine_that_cannot_be_opened_is_said_to_the_station(pair: Callable[..., Pair], tmp_path: Path) -> None:
    one = pair()
    with pytest.raises(SettingError, match="takes no commands"):
        one.remote.open(Opening({"kind": "csv", "folder": str(tmp_path)}, "one", tmp_path, 0.1, 0.0, False))
    one.remote.open(one.opening)
    two = Watchdog()
    assert "another station" in two._open(one.opening)
