"""Modbus TCP by pymodbus: a server over a block of words, and a client."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sightline.core.errors import MissingExtraError, SinkError
from sightline.devices.loop import Loop

START_S = 5.0


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
