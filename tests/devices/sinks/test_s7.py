"""S7 against snap7's server: the handshake in a data block, a PLC that goes away and comes back."""

from __future__ import annotations

import struct

import pytest

from sightline.core.errors import SettingError
from sightline.core.signals import Status
from sightline.devices.sinks.port import Controller
from sightline.devices.sinks.table import open_sink

QUICK = {"backoff": {"first_ms": 20, "longest_ms": 100}, "timeout_ms": 500, "poll_ms": 5}


class Cpu:
    """A PLC with DB7, by snap7."""

    def __init__(self, port):
        from snap7.server import Server
        from snap7.type import SrvArea

        self.block, self.port = bytearray(144), port
        self.server = Server(log=False)
        self.server.register_area(SrvArea.DB, 7, self.block)
        self.server.start_to("127.0.0.1", port)

    def read(self):
        return list(struct.unpack(">48H", self.block[48:144]))

    def write(self, words):
        self.block[:48] = struct.pack(">24H", *words)

    def stop(self):
        self.server.stop()


@pytest.fixture
def cpu(need_package, free_port):
    need_package("snap7")
    cpu = Cpu(free_port())
    yield cpu
    cpu.stop()


def opened(cpu, **options):
    return open_sink({"kind": "s7", "host": "127.0.0.1", "port": cpu.port, "db": 7, **QUICK, **options})


def test_the_handshake_runs_in_a_data_block(cpu, plc, cycle):
    sink = opened(cpu)
    assert isinstance(sink, Controller)
    program = plc(cpu.read, cpu.write)
    cycle(sink, program)
    assert sink.health().connected
    sink.close()
    assert not program.see().ready


def test_a_plc_that_goes_away_is_found_again(cpu, plc, until, signal):
    sink = opened(cpu)
    sink.show(Status(ready=True))
    until(lambda: sink.health().connected)
    cpu.stop()
    until(lambda: not sink.health().connected)
    sink.send(signal("kept"))
    again = Cpu(cpu.port)
    program = plc(again.read, again.write)
    program.say(trigger=True)
    assert program.wait(lambda o: o.valid).part_id == "kept"
    assert sink.wait(50) is None  # a trigger from before the connection is none
    sink.close()
    again.stop()


def test_a_block_that_is_missing_is_named(cpu, until):
    sink = opened(cpu, db=8)
    until(lambda: "DB8" in sink.health().error)
    assert not sink.health().connected
    sink.close()


def test_settings_are_checked():
    with pytest.raises(SettingError, match="db: Field required"):
        open_sink({"kind": "s7", "host": "127.0.0.1"})
    with pytest.raises(SettingError, match="overlap"):
        open_sink({"kind": "s7", "host": "127.0.0.1", "db": 1, "outputs_byte": 20})
