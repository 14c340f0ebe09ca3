"""Siemens S7: the station reads and writes a data block of the PLC, as its client."""

from __future__ import annotations

import logging
import struct
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sightline.core.errors import MissingExtraError, SinkError
from sightline.devices.sinks.handshake import Handshake
from sightline.devices.sinks.poller import Poller
from sightline.devices.sinks.port import SinkSettings
from sightline.devices.sinks.registers import INPUTS, OUTPUTS


class Settings(SinkSettings):
    """A PLC of the S7 family. The protocol knows no password here: keep it on a network of its own."""

    role: ClassVar[Literal["sink", "either", "controller"]] = "controller"
    kind: Literal["s7"] = "s7"
    host: str = Field(min_length=1, description="the PLC's address")
    port: int = Field(102, ge=1, le=65535, description="the PLC's port")
    rack: int = Field(0, ge=0, le=7, description="rack of the CPU")
    slot: int = Field(1, ge=0, le=31, description="slot of the CPU: 1 for S7-1200 and 1500, 2 for S7-300")
    db: int = Field(ge=1, le=65535, description="number of the data block, with optimised access switched off")
    inputs_byte: int = Field(0, ge=0, le=65_000, description="first of the 48 bytes that the PLC writes")
    outputs_byte: int = Field(48, ge=0, le=65_000, description="first of the 96 bytes that the station writes")
    acknowledge: bool = Field(True, description="a result stays until the PLC acknowledges it")
    acknowledge_ms: float = Field(
        5000.0, gt=0, le=600_000, description="after this time, a missing acknowledgement is an error"
    )
    waiting_max: int = Field(8, ge=1, le=1000, description="results that may wait for it; further ones are refused")
    poll_ms: float = Field(10.0, ge=1, le=10_000, description="pause between two exchanges")
    timeout_ms: float = Field(1000.0, ge=10, le=60_000, description="time for the PLC to answer")

    @model_validator(mode="after")
    def _apart(self) -> Settings:
        ahead, behind = self.inputs_byte + 2 * INPUTS, self.outputs_byte + 2 * OUTPUTS
        if self.inputs_byte < behind and self.outputs_byte < ahead:
            raise ValueError("inputs_byte and outputs_byte overlap: inputs need 48 bytes, outputs 96")
        return self


class S7Memory:
    """The data block as 16-bit words, high byte first, as S7 keeps them."""

    def __init__(self, settings: Settings) -> None:
        snap7 = _import()
        self._error = snap7.error.S7Error
        self._settings = settings
        self._client: Any = snap7.client.Client()
        try:
            self._client.connect(settings.host, settings.rack, settings.slot, settings.port)
        except (self._error, OSError) as error:
            raise SinkError(
                f"no S7 PLC at {settings.host}:{settings.port} ({error}). Check address, rack, slot and PUT/GET access"
            ) from error
        self._client.connection.timeout = settings.timeout_ms / 1e3
        self._client.connection.socket.settimeout(settings.timeout_ms / 1e3)

    def read(self, count: int) -> list[int]:
        """Words that the PLC writes. Raises SinkError."""
        try:
            data = self._client.db_read(self._settings.db, self._settings.inputs_byte, 2 * count)
        except (self._error, RuntimeError) as error:
            raise self._refused(error) from error
        if len(data) != 2 * count:
            raise self._refused("the answer is too short")
        return list(struct.unpack(f">{count}H", data))

    def write(self, first: int, words: list[int]) -> None:
        """Words that the station writes. Raises SinkError."""
        data = bytearray(struct.pack(f">{len(words)}H", *words))
        try:
            self._client.db_write(self._settings.db, self._settings.outputs_byte + 2 * first, data)
        except (self._error, RuntimeError) as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()

    def _refused(self, error: object) -> SinkError:
        return SinkError(f"DB{self._settings.db} cannot be read or written ({error}). Check the block and its access")


def _import() -> Any:
    try:
        import snap7.client
        import snap7.error
    except ModuleNotFoundError as error:
        raise MissingExtraError("python-snap7", "s7") from error
    # The library logs each lost connection as an error; the station tells of it itself.
    logging.getLogger("snap7").setLevel(logging.CRITICAL)
    return snap7


def open_sink(settings: Settings) -> Poller:
    """Connect, in the background where the PLC is away. Raises MissingExtraError without python-snap7."""
    handshake = Handshake(settings.acknowledge, settings.acknowledge_ms, settings.waiting_max)
    return Poller(settings.name, lambda: S7Memory(settings), handshake, settings.poll_ms, settings.backoff)
