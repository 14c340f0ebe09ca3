"""Modbus TCP: the station as server, which the PLC reads and writes, or as client of the PLC."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.core.errors import MissingExtraError, SinkError
from sightline.devices.link import Health, Link
from sightline.devices.loop import Loop
from sightline.devices.sinks.handshake import Handshake
from sightline.devices.sinks.poller import Poller
from sightline.devices.sinks.port import SinkSettings
from sightline.devices.sinks.registers import INPUTS, OUTPUTS, read_inputs, write_outputs

START_S = 5.0


class Settings(SinkSettings):
    """A Modbus TCP link. Modbus knows no password: keep it on a network of its own."""

    role: ClassVar[Literal["sink", "either", "controller"]] = "controller"
    kind: Literal["modbus"] = "modbus"
    mode: Literal["server", "client"] = Field("server", description="server: the PLC calls; client: the station calls")
    host: str = Field("127.0.0.1", description="server: address to listen on; client: the PLC's address")
    port: int = Field(502, ge=0, le=65535, description="server: 0 takes any free port")
    unit: int = Field(1, ge=0, le=255, description="client: the PLC's unit number; a server answers to all")
    inputs_address: int = Field(0, ge=0, le=65_000, description="first of the 24 registers that the PLC writes")
    outputs_address: int = Field(100, ge=0, le=65_000, description="first of the 48 registers that the station writes")
    acknowledge: bool = Field(True, description="a result stays until the PLC acknowledges it")
    acknowledge_ms: float = Field(
        5000.0, gt=0, le=600_000, description="after this time, a missing acknowledgement is an error"
    )
    waiting_max: int = Field(8, ge=1, le=1000, description="results that may wait for it; further ones are refused")
    poll_ms: float = Field(10.0, ge=1, le=10_000, description="client: pause between two exchanges")
    timeout_ms: float = Field(1000.0, ge=10, le=60_000, description="client: time for the PLC to answer")
    plc_silent_ms: float = Field(
        0.0,
        ge=0,
        le=600_000,
        description="server: a heartbeat that does not change for longer means that the PLC is gone; 0: not checked",
    )

    @model_validator(mode="after")
    def _apart(self) -> Settings:
        ahead, behind = self.inputs_address + INPUTS, self.outputs_address + OUTPUTS
        if self.inputs_address < behind and self.outputs_address < ahead:
            raise ValueError("inputs_address and outputs_address overlap: inputs need 24 registers, outputs 48")
        return self


class ModbusSink:
    """The station as a Modbus server. A Sink and a Controller; `port` is the one it listens on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._handshake = Handshake(settings.acknowledge, settings.acknowledge_ms, settings.waiting_max)
        self._handshake.take(read_inputs([0] * INPUTS))
        self.send, self.wait, self.show = self._handshake.present, self._handshake.wait, self._handshake.show
        self._lock = threading.Lock()
        self._inputs = [0] * INPUTS
        self._link = Link(f"sink {settings.name}", self._serve, lambda server: server.close(), settings.backoff)

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while there is none."""
        server = self._link.get(0)
        return 0 if server is None else server.port

    def health(self) -> Health:
        """Whether a PLC is connected and, where that is watched, its heartbeat moves."""
        server, silent_ms = self._link.get(0), self._handshake.plc_silent_s() * 1e3
        limit = self._settings.plc_silent_ms
        error = self._link.error or (f"the PLC's heartbeat has not changed for {silent_ms:.0f} ms" if limit else "")
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
        ours = write_outputs(self._handshake.outputs())
        with self._lock:
            theirs = list(self._inputs)
        first, mine = self._settings.inputs_address, self._settings.outputs_address
        # Both blocks may lie side by side, and be read at once.
        words = range(address, address + count)
        return [theirs[at - first] if 0 <= at - first < INPUTS else ours[at - mine] for at in words]

    def _write(self, address: int, words: list[int]) -> bool:
        first = address - self._settings.inputs_address
        if first < 0 or first + len(words) > INPUTS:
            return False  # the outputs are the station's
        with self._lock:
            self._inputs[first : first + len(words)] = words
            self._handshake.take(read_inputs(self._inputs))
        return True


def _pymodbus(module: str) -> Any:
    from importlib import import_module

    try:
        found = import_module(f"pymodbus.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtraError("pymodbus", "modbus") from error
    # The library logs each lost connection as an error; the station tells of it itself.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    return found


class ModbusServer:
    """Serves holding registers: `read(address, count)` gives words, `write(address, words)` says whether it took them.

    Both are called in the server's own thread, once per request. Input registers (function 4) are the same words.
    """

    def __init__(
        self,
        host: str,
        port: int,
        blocks: list[tuple[int, int]],
        read: Callable[[int, int], list[int]],
        write: Callable[[int, list[int]], bool],
    ) -> None:
        self._simulator, self._server_module = _pymodbus("simulator"), _pymodbus("server")
        self._constants = _pymodbus("constants")
        self._read, self._write = read, write
        kind = self._simulator.DataType.REGISTERS
        data = [self._simulator.SimData(address=first, count=count, datatype=kind) for first, count in blocks]
        self._device = self._simulator.SimDevice(id=0, simdata=data, action=self._answer)
        self._loop = Loop(f"modbus server {host}:{port}")
        try:
            self.port = self._loop.run(self._start(host, port), START_S)
        except (OSError, RuntimeError) as error:
            self._loop.close()
            raise SinkError(f"cannot listen on {host}:{port} ({error}). Choose another port or address") from error
        except SinkError:
            self._loop.close()
            raise

    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.active_connections)

    def close(self) -> None:
        """Stop to serve."""
        try:
            self._loop.run(self._server.shutdown(), START_S)
        finally:
            self._loop.close()

    async def _start(self, host: str, port: int) -> int:
        self._server = self._server_module.ModbusTcpServer(self._device, address=(host, port))
        await self._server.serve_forever(background=True)
        return int(self._server.transport.sockets[0].getsockname()[1])

    async def _answer(
        self, code: int, start: int, address: int, count: int, registers: list[int], values: list[int] | None
    ) -> Any:
        if code not in (3, 4, 6, 16):
            return self._constants.ExcCodes.ILLEGAL_FUNCTION
        if values is not None and not self._write(address, list(values)):
            return self._constants.ExcCodes.ILLEGAL_ADDRESS
        registers[address - start : address - start + count] = self._read(address, count)
        return None


class ModbusMemory:
    """A PLC that is the server: words at `inputs` are read, words at `outputs` written."""

    def __init__(self, host: str, port: int, unit: int, inputs: int, outputs: int, timeout_s: float) -> None:
        self._errors = _pymodbus("exceptions")
        self._client = _pymodbus("client").ModbusTcpClient(host, port=port, timeout=timeout_s, retries=0)
        self._unit, self._inputs, self._outputs = unit, inputs, outputs
        if not self._client.connect():
            raise SinkError(f"no Modbus server at {host}:{port}. Check address and network")

    def read(self, count: int) -> list[int]:
        """Words that the PLC writes. Raises SinkError."""
        answer = self._ask(lambda: self._client.read_holding_registers(self._inputs, count=count, device_id=self._unit))
        return list(answer.registers)

    def write(self, first: int, words: list[int]) -> None:
        """Words that the station writes. Raises SinkError."""
        self._ask(lambda: self._client.write_registers(self._outputs + first, words, device_id=self._unit))

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def _ask(self, ask: Callable[[], Any]) -> Any:
        try:
            answer = ask()
        except self._errors.ModbusException as error:
            raise SinkError(f"the PLC does not answer over Modbus: {error}. Check network and PLC") from error
        if answer.isError():
            raise SinkError(f"the PLC refuses a Modbus request: {answer}. Check addresses and unit number")
        return answer


def open_sink(settings: Settings) -> ModbusSink | Poller:
    """The server, or the client. Raises MissingExtraError without pymodbus."""
    if settings.mode == "server":
        return ModbusSink(settings)
    s = settings
    handshake = Handshake(s.acknowledge, s.acknowledge_ms, s.waiting_max)

    def connect() -> ModbusMemory:
        return ModbusMemory(s.host, s.port, s.unit, s.inputs_address, s.outputs_address, s.timeout_ms / 1e3)

    return Poller(s.name, connect, handshake, s.poll_ms, s.backoff)
