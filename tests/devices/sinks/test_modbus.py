"""Modbus TCP against pymodbus: a client that is the PLC, and a server that is one."""

from __future__ import annotations

import contextlib
import socket

import pytest

from sightline.core.errors import SettingError, SinkError
from sightline.core.result import Verdict
from sightline.core.signals import ErrorCode, Status
from sightline.devices.sinks.handshake import Inputs, Outputs
from sightline.devices.sinks.modbus import ModbusServer
from sightline.devices.sinks.port import Controller
from sightline.devices.sinks.registers import INPUTS, OUTPUTS, read_outputs, write_inputs, write_outputs
from sightline.devices.sinks.table import open_sink

QUICK = {"backoff": {"first_ms": 20, "longest_ms": 50}}


@pytest.fixture
def server(need_package):
    need_package("pymodbus")
    sink = open_sink({"kind": "modbus", "port": 0, **QUICK})
    yield sink
    sink.close()
    sink.close()


@pytest.fixture
def client(server):
    from pymodbus.client import ModbusTcpClient

    client = ModbusTcpClient("127.0.0.1", port=server.port)
    assert client.connect()
    yield client
    client.close()


def test_the_handshake_runs_over_a_server(server, client, plc, cycle):
    assert isinstance(server, Controller)
    read = lambda: client.read_holding_registers(100, count=OUTPUTS).registers  # noqa: E731
    cycle(server, plc(read, lambda words: client.write_registers(0, words)))
    assert server.health().connected
    assert client.read_input_registers(102, count=1).registers == [0]


def test_the_stations_registers_cannot_be_written_and_gaps_are_illegal(server, client):
    assert client.write_registers(100, [1]).isError()
    assert client.write_register(101, 1).isError()
    assert client.read_holding_registers(90, count=20).isError()
    assert client.read_coils(0, count=8).isError()
    assert client.read_holding_registers(100, count=1).registers == [0]


@pytest.mark.parametrize(("inputs", "outputs"), [(0, INPUTS), (OUTPUTS, 0)])
def test_blocks_side_by_side_are_read_at_once(need_package, inputs, outputs):
    need_package("pymodbus")
    from pymodbus.client import ModbusTcpClient

    sink = open_sink({"kind": "modbus", "port": 0, "inputs_address": inputs, "outputs_address": outputs})
    client = ModbusTcpClient("127.0.0.1", port=sink.port)
    client.connect()
    client.write_registers(inputs, [8, *range(1, INPUTS)])
    both = client.read_holding_registers(0, count=INPUTS + OUTPUTS).registers
    assert both[inputs : inputs + INPUTS] == [8, *range(1, INPUTS)]
    assert both[outputs : outputs + OUTPUTS] == client.read_holding_registers(outputs, count=OUTPUTS).registers
    assert client.write_registers(20, [1] * 10).isError()
    client.close()
    sink.close()


def test_a_single_register_may_trigger(server, client):
    server.show(Status(ready=True))
    client.write_registers(4, [0, 42])
    client.write_register(0, 1)
    assert server.wait(1000).part_id == "42"


def test_a_plc_without_heartbeat_counts_as_away(need_package, until):
    need_package("pymodbus")
    from pymodbus.client import ModbusTcpClient

    sink = open_sink({"kind": "modbus", "port": 0, "plc_silent_ms": 150})
    client = ModbusTcpClient("127.0.0.1", port=sink.port)
    client.connect()
    client.write_register(1, 1)
    assert sink.health().connected
    until(lambda: not sink.health().connected)
    assert "heartbeat" in sink.health().error
    client.write_register(1, 2)
    assert sink.health().connected
    client.close()
    sink.close()


def test_garbage_does_no_harm(server, client):
    for data in (b"\xff" * 300, b"\0\1\0\0\0\6\1\x10", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as caller:
            caller.sendall(data)
    assert client.read_holding_registers(100, count=1).registers == [0]


def test_a_port_that_is_taken_is_tried_again(need_package, until):
    need_package("pymodbus")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sink = open_sink({"kind": "modbus", "port": port, **QUICK})
        assert "Choose another port" in sink.health().error and not sink.health().connected
    until(lambda: sink.port == port)
    sink.close()


class Memory:
    """A PLC's words, served by pymodbus."""

    def __init__(self, port=0, inputs=None):
        self.words = {0: list(inputs or [0] * INPUTS), 100: [0] * OUTPUTS}
        self.server = ModbusServer("127.0.0.1", port, [(0, INPUTS), (100, OUTPUTS)], self.read, self.write)
        self.port = self.server.port

    def block(self, address):
        base = 100 if address >= 100 else 0
        return self.words[base], address - base

    def read(self, address, count):
        words, first = self.block(address)
        return words[first : first + count]

    def write(self, address, values):
        words, first = self.block(address)
        words[first : first + len(values)] = values
        return True


@pytest.fixture
def memory(need_package):
    need_package("pymodbus")
    memory = Memory()
    yield memory
    with contextlib.suppress(SinkError):  # a test may have closed it
        memory.server.close()


def client_sink(port):
    return open_sink({"kind": "modbus", "mode": "client", "port": port, "poll_ms": 5, "timeout_ms": 300, **QUICK})


def test_the_handshake_runs_over_a_client(memory, plc, cycle):
    sink = client_sink(memory.port)
    program = plc(lambda: list(memory.words[100]), lambda words: memory.write(0, words))
    cycle(sink, program)
    sink.close()
    assert not program.see().ready  # the last word to the PLC


def test_a_plc_that_restarts_is_found_again_and_its_old_trigger_is_none(memory, plc, until, signal):
    sink = client_sink(memory.port)
    sink.show(Status(ready=True))
    until(lambda: sink.health().connected)
    memory.server.close()
    until(lambda: not sink.health().connected)
    sink.send(signal("kept"))
    again = Memory(memory.port, write_inputs(Inputs(trigger=True)))
    program = plc(lambda: list(again.words[100]), lambda words: again.write(0, words))
    assert program.wait(lambda o: o.valid).part_id == "kept"
    assert sink.wait(100) is None and sink.health().reconnects >= 1
    sink.close()
    again.server.close()


def test_no_other_result_is_ever_seen_beside_the_status_of_one(memory, until, signal):
    # Whoever was here before left an OK behind, and each write of the station is looked at as the PLC could.
    left = Outputs(valid=True, verdict=1, inspected=True, part_id="old", number=7)
    memory.words[100][:] = write_outputs(left)
    seen = []
    write = memory.write

    def look(address, values):
        write(address, values)
        said = read_outputs(memory.words[100])
        if said.valid:
            seen.append((said.part_id, memory.words[100][0] >> 3 & 7, said.verdict))
        return True

    memory.server._write = look
    options = {"mode": "client", "port": memory.port, "poll_ms": 200, "acknowledge": False, **QUICK}
    sink = open_sink({"kind": "modbus", **options})
    sink.show(Status(ready=True))
    until(lambda: memory.words[100][0] & 1)
    for part, verdict in (("a", Verdict.OK), ("b", Verdict.NG)):  # the second before the first is taken away
        sink.send(signal(part, verdict))
        until(lambda p=part: seen and seen[-1][0] == p)
    sink.close()
    assert set(seen) == {("a", 1, 1), ("b", 2, 2)}


def test_a_result_that_stays_is_no_second_one(memory, until, signal):
    sink = client_sink(memory.port)
    edges, write = [], memory.write

    def look(address, values):
        write(address, values)
        valid = read_outputs(memory.words[100]).valid
        if not edges or edges[-1] != valid:
            edges.append(valid)
        return True

    memory.server._write = look
    sink.show(Status(ready=True))
    sink.send(signal("a"))
    until(lambda: edges[-1:] == [True])
    sink._written = None  # as after a lost link
    beat = memory.words[100][1]
    until(lambda: sink.show(Status(ready=True)) or memory.words[100][1] not in (beat, beat + 1))
    assert edges == [False, True]
    sink.close()


def test_settings_that_overlap_are_refused():
    with pytest.raises(SettingError, match="overlap"):
        open_sink({"kind": "modbus", "outputs_address": 10})


def test_more_results_than_may_wait_are_refused_and_said(server, signal):
    for _ in range(9):
        server.send(signal())
    with pytest.raises(SinkError, match="Check the PLC's program"):
        server.send(signal())
    assert ErrorCode.NO_ACKNOWLEDGE == 22
