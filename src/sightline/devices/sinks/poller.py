"""A poller: a station that reads and writes a PLC's memory, as the client of Modbus or S7."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from sightline.core.errors import SinkError
from sightline.core.signals import Status
from sightline.devices.link import Backoff, Health, Link
from sightline.devices.sinks.handshake import Handshake, Outputs
from sightline.devices.sinks.registers import INPUTS, read_inputs, read_outputs, write_outputs

_log = logging.getLogger(__name__)


class Memory(Protocol):
    """The PLC's memory in 16-bit words. Each method raises SinkError or OSError where the PLC does not answer."""

    def read(self, count: int) -> list[int]:
        """The first `count` words of the block that the PLC writes."""

    def write(self, first: int, words: list[int]) -> None:
        """Words of the block that the station writes, from word `first` on."""

    def close(self) -> None:
        """Disconnect."""


class Poller:
    """Exchanges the handshake's words with the PLC every `poll_ms`. A Sink and a Controller."""

    def __init__(
        self, name: str, opener: Callable[[], Memory], handshake: Handshake, poll_ms: float, backoff: Backoff
    ) -> None:
        self._name, self._handshake, self._poll_s = name, handshake, poll_ms / 1e3
        self.send, self.wait, self.show = handshake.present, handshake.wait, handshake.show
        self._link = Link(f"sink {name}", opener, lambda memory: memory.close(), backoff)
        self._stop = threading.Event()
        self._written: list[int] | None = None  # what the PLC has; None: unknown, as after a lost link
        self._told: list[int] | None = None  # the last, whether it came there or not; None: by whoever was before
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"poll {name}", daemon=True)
        self._thread.start()

    def health(self) -> Health:
        """Whether the PLC answers."""
        link = self._link
        return Health(connected=link.connected, reconnects=link.reconnects, failures=self._failures, error=link.error)

    def close(self) -> None:
        """Write once more that the station is not ready, and disconnect."""
        if not self._stop.is_set():
            self._handshake.show(Status())
            self._stop.set()
            self._thread.join(timeout=5)
            self._link.close()

    def _run(self) -> None:
        memory: Memory | None = None
        while True:
            last = self._stop.wait(self._poll_s)
            held = self._link.get(0.0 if last else 0.5)
            if held is not None and held is not memory:
                self._handshake.forget()
                self._written = None
            memory = held
            if memory is not None:
                self._exchange(memory)
            if last:
                return

    def _exchange(self, memory: Memory) -> None:
        try:
            self._handshake.take(read_inputs(memory.read(INPUTS)))
            words = write_outputs(self._handshake.outputs())
            if words != self._written:
                # The status word comes last: when the PLC sees `valid`, the rest of the result is there. One of another
                # result goes first, also where only the PLC's memory has it: nothing else is ever seen beside it.
                if self._told is None or _is_over(read_outputs(self._told), read_outputs(words)):
                    memory.write(0, [0])
                self._told = words
                if self._written is None or words[1:] != self._written[1:]:
                    memory.write(1, words[1:])
                memory.write(0, words[:1])
                self._written = words
        except Exception as error:  # noqa: BLE001 (logged; this thread must go on)
            if not isinstance(error, SinkError | OSError):
                _log.exception("sink %s: the exchange with the PLC failed", self._name)
            self._failures += 1
            self._written = None
            self._link.lost(memory, str(error))


def _is_over(told: Outputs, now: Outputs) -> bool:
    """Whether the result that was told is no longer shown."""
    return told.valid and (not now.valid or now.number != told.number)
