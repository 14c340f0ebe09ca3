"""Modbus TCP: the station as server, which the PLC reads and writes, or as client of the PLC."""

from __future__ import annotations

import threading
from typing import Literal

from pydantic import Field, model_validator

from sightline.core.command import Command
from sightline.core.signal import Signal
from sightline.core.status import Status
from sightline.devices.health import Health
from sightline.devices.link import Link
from sightline.devices.sinks.handshake import Handshake
from sightline.devices.sinks.modbus_tcp import ModbusMemory, ModbusServer
from sightline.devices.sinks.poller import Poller
from sightline.devices.sinks.registers import INPUTS, OUTPUTS, read_inputs, write_outputs
from sightline.devices.sinks.settings import SinkSettings


class Settings(SinkSettings):
    """A Modbus TCP link. Modbus knows no password: keep it on a network of its own."""

    kind: Literal["modbus"] = "modbus"
    mode: Literal["server", "client"] = Field("server", description="server: the PLC calls; client: the station calls")
    host: str = Field("127.0.0.1", description="server: address to listen on; client: the PLC's address")
    port: int = Field(502, ge=0, le=65535, description="server: 0 takes any free port")
    unit: int = Field(1, ge=0, le=255, description="client: the PLC's unit number; a server answers to all")
    inputs_address: int = Field(0, ge=0, le=65_000, description="first of the 24 registers that the PLC writes")
    outputs_address: int = Field(100, ge=0, le=65_000, description="first of the 32 registers that the station writes")
    acknowledge: bool = Field(True, description="a result stays until the PLC acknowledges it")
    acknowledge_ms: float = Field(5000.0, gt=0, le=600_000, description="after this the missing one is an error")
    waiting_max: int = Field(8, ge=1, le=1000, description="results that may wait for it; more are refused")
    poll_ms: float = Field(10.0, ge=1, le=10_000, description="client: pause between two exchanges")
    timeout_ms: float = Field(1000.0, ge=10, le=60_000, description="client: time for the PLC to answer")
    plc_silent_ms: float = Field(
        0.0,
        ge=0,
        le=600_000,
        description="server: a heartbeat that stands still for longer means no PLC; 0: not watched",
    )

    @model_validator(mode="after")
    def _apart(self) -> Settings:
        ahead, behind = self.inputs_address + INPUTS, self.outputs_address + OUTPUTS
        if self.inputs_address < behind and self.outputs_address < ahead:
            raise ValueError("inputs_address and outputs_address overlap: inputs need 24 registers, outputs 32")
        return self


class ModbusSink:
    """The station as a Modbus server. A Sink and a Controller; `port` is the one it listens on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._handshake = Handshake(settings.acknowledge, settings.acknowledge_ms, settings.waiting_max)
        self._handshake.take(read_inputs([0] * INPUTS))
        self._lock = threading.Lock()
        self._inputs = [0] * INPUTS
        self._link = Link(f"sink {settings.name}", self._serve, lambda server: server.close(), settings.backoff)

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while there is none."""
        server = self._link.get(0)
        return 0 if server is None else server.port

    def send(self, signal: Signal) -> None:
        """Show a result to the PLC. Raises SinkError where too many wait for its acknowledgement."""
        self._handshake.present(signal)

    def wait(self, timeout_ms: float) -> Command | None:
        """The PLC's next command."""
        return self._handshake.wait(timeout_ms)

    def show(self, status: Status) -> None:
        """Tell the PLC the station's status."""
        self._handshake.show(status)

    def health(self) -> Health:
        """Whether a PLC is connected and, where that is watched, its heartbeat moves."""
        server, silent_ms = self._link.get(0), self._handshake.plc_silent_s() * 1e3
        limit = self._settings.plc_silent_ms
        error = self._link.error or (f"the PLC's heartbeat stands still for {silent_ms:.0f} ms" if limit else "")
        connected = server is not None and server.connections() > 0 and (not limit or silent_ms <= limit)
        return Health(connected=connected, reconnects=self._link.reconnects, error="" if connected else error)

    def close(self) -> None:
        """Stop to serve."""
        self._link.close()

    def _serve(self) -> ModbusServer:
        s = self._settings
        blocks = [(s.inputs_address, INPUTS), (s.outputs_address, OUTPUTS)]
        return ModbusServer(s.host, s.port, blocks, self._read, self._write)

    def _read(self, address: int, count: int) -> list[int]:
        if address >= self._settings.outputs_address and address < self._settings.outputs_address + OUTPUTS:
            first = address - self._settings.outputs_address
            return write_outputs(self._handshake.outputs())[first : first + count]
        first = address - self._settings.inputs_address
        with self._lock:
            return self._inputs[first : first + count]

    def _write(self, address: int, words: list[int]) -> bool:
        first = address - self._settings.inputs_address
        if first < 0 or first + len(words) > INPUTS:
            return False  # the outputs are the station's
        with self._lock:
            self._inputs[first : first + len(words)] = words
            self._handshake.take(read_inputs(self._inputs))
        return True


def open_sink(settings: Settings) -> ModbusSink | Poller:
    """The server, or the client. Raises MissingExtraError without pymodbus."""
    if settings.mode == "server":
        return ModbusSink(settings)
    s = settings
    handshake = Handshake(s.acknowledge, s.acknowledge_ms, s.waiting_max)

    def connect() -> ModbusMemory:
        return ModbusMemory(s.host, s.port, s.unit, s.inputs_address, s.outputs_address, s.timeout_ms / 1e3)

    return Poller(s.name, connect, handshake, s.poll_ms, s.backoff)
