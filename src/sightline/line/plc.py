"""A PLC's program, for trials: present a part, raise the trigger, wait for the verdict, acknowledge, sort.

It speaks the same Modbus registers as a real one (docs/how-to/sinks/modbus.md), over a real connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sightline.core.band import Verdict
from sightline.core.errors import SinkError
from sightline.devices.sinks.handshake import VERDICTS, Inputs, Outputs
from sightline.devices.sinks.modbus_tcp import ModbusMemory
from sightline.devices.sinks.registers import OUTPUTS, read_outputs, write_inputs

POLL_S = 0.001
TIMEOUT_S = 2.0
NAMES = {number: verdict for verdict, number in VERDICTS.items()}


@dataclass(frozen=True, slots=True)
class Sorted:
    """What the PLC did with a part: `accepted` only with a valid OK in time; `ms` from trigger to valid, as it saw it.

    `trouble` says in words why there was no answer; "" where there was one.
    """

    part_id: str
    verdict: Verdict | None
    accepted: bool
    valid: bool
    late: bool
    error: int
    ms: float | None
    trouble: str = ""


class Plc:
    """One PLC, connected to the station at `host`:`port` whenever it can be."""

    def __init__(self, host: str, port: int, patience_s: float = 0.5) -> None:
        self._where, self._patience_s = (host, port), patience_s
        self._memory: ModbusMemory | None = None
        self._beat = 0
        self._recipe_id = 0
        self.away = False  # for trials: the cable is pulled
        self.wish: int | None = None  # for trials: a recipe to wish for before the next part

    def sort(self, part_id: str) -> Sorted:
        """Have one part judged and decide where it goes; whatever is unclear is rejected."""
        start = time.monotonic()
        wish, self.wish = self.wish, None
        if wish is not None:
            self.change_over(wish, self._patience_s)
        try:
            self._until(lambda outputs: outputs.ready, self._patience_s, "the station was not ready")
            triggered = time.monotonic()
            self._write(trigger=True, part_id=part_id)
            told = self._until(
                lambda outputs: outputs.valid and outputs.part_id == part_id, self._patience_s, "no answer"
            )
            ms = (time.monotonic() - triggered) * 1e3
            self._write(acknowledge=True, part_id=part_id)
            self._until(lambda outputs: not outputs.valid, self._patience_s, "the acknowledgement was not seen")
            self._write()
        except (SinkError, OSError) as error:
            self.disconnect()
            return Sorted(part_id, None, False, False, False, 0, None, str(error) or type(error).__name__)
        except TimeoutError as error:
            with suppress(SinkError, OSError):
                self._write()
            waited = (time.monotonic() - start) * 1e3
            return Sorted(part_id, None, False, False, False, 0, None, f"{error} for {waited:.0f} ms")
        verdict = NAMES.get(told.verdict)
        accepted = verdict is Verdict.OK and told.inspected and not told.late and not told.error
        return Sorted(part_id, verdict, accepted, told.inspected, told.late, told.error, ms)

    def change_over(self, recipe_id: int, timeout_s: float = 2.0) -> float | None:
        """Wish for a recipe; the milliseconds until the station has it, None where it has not."""
        start = time.monotonic()
        try:
            self._recipe_id = recipe_id
            self._write(recipe_request=True)
            self._until(lambda outputs: outputs.recipe_done, timeout_s, "no changeover")
            self._write()
        except (SinkError, OSError, TimeoutError):
            return None
        return (time.monotonic() - start) * 1e3

    def reset(self) -> None:
        """Clear the station's error."""
        with suppress(SinkError, OSError):
            self._write(reset=True)
            time.sleep(0.01)
            self._write()

    def look(self) -> Outputs | None:
        """What the station says now; None where it cannot be reached."""
        try:
            return self._read()
        except (SinkError, OSError):
            self.disconnect()
            return None

    def disconnect(self) -> None:
        """Let go of the connection; the next part opens it again."""
        if self._memory is not None:
            with suppress(SinkError, OSError):
                self._memory.close()
            self._memory = None

    def _connected(self) -> ModbusMemory:
        if self.away:
            raise SinkError("the PLC is away. Plug it in again")
        if self._memory is None:
            # A PLC reads what the station writes, at 100, and writes what the station reads, at 0.
            self._memory = ModbusMemory(*self._where, unit=1, inputs=100, outputs=0, timeout_s=TIMEOUT_S)
            self._write()
        return self._memory

    def _read(self) -> Outputs:
        return read_outputs(self._connected().read(OUTPUTS))

    def _write(self, part_id: str = "", **levels: bool) -> None:
        memory = self._connected()
        self._beat = (self._beat + 1) % 0x10000
        inputs = Inputs(heartbeat=self._beat, recipe_id=self._recipe_id, part_id=part_id, **levels)
        memory.write(0, write_inputs(inputs))

    def _until(self, holds: Callable[[Outputs], bool], timeout_s: float, otherwise: str) -> Outputs:
        until = time.monotonic() + timeout_s
        while True:
            outputs = self._read()
            if holds(outputs):
                return outputs
            if time.monotonic() > until:
                raise TimeoutError(f"{otherwise} (error {outputs.error})" if outputs.error else otherwise)
            time.sleep(POLL_S)
