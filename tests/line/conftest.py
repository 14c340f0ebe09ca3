"""A station on a desk: a real inspection worker with a tiny recipe, a drawn camera, a machine and a real database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.signals import Command, CommandKind, Signal
from sightline.devices.cameras.fake import FakeSource
from sightline.devices.sinks.fake import FakeSink
from sightline.line.devices import Devices, open_devices
from sightline.line.settings import StationSettings
from sightline.line.station import Station
from sightline.store.inspections import Filter, Record
from sightline.store.store import Store


class Bench:
    """A running station, and what a machine would do with it."""

    def __init__(self, settings: StationSettings, devices: Devices) -> None:
        self.settings, self.devices = settings, devices
        self.station = Station(settings, devices)
        self.machine: FakeSink = devices.controller.machine  # type: ignore[assignment]
        self._thread = threading.Thread(target=self.station.run)
        self._thread.start()

    def ask(self, kind: CommandKind = CommandKind.TRIGGER, **more: Any) -> None:
        self.machine.ask(Command(kind=kind, **more))

    def inspect(self, part_id: str, timeout_s: float = 10.0) -> Signal:
        """Present one part; its signal."""
        before = len(self.machine.signals)
        self.ask(part_id=part_id)
        until = time.monotonic() + timeout_s
        while len(self.machine.signals) == before:
            assert time.monotonic() < until, "no signal"
            time.sleep(0.001)
        return self.machine.signals[-1]

    def until(self, holds: Callable[[], bool], timeout_s: float = 15.0) -> None:
        until = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < until, "it did not come about"
            time.sleep(0.01)

    def records(self, **which: Any) -> list[Record]:
        """What is in the database once all has arrived there, the oldest first."""
        self.until(lambda: self.devices.recorder.waiting == 0)
        with Store.open(self.settings.folder / "sightline.db") as store:
            return list(reversed(store.inspections.page(Filter(**which), limit=1000)))

    def close(self) -> None:
        self.station.stopping.set()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()


@pytest.fixture
def pictures(draw: Callable[..., tuple[NDArray[np.uint8], Any]]) -> list[NDArray[np.uint8]]:
    """Good parts 0 to 3, one with a flaw, and good ones again."""
    return [draw(0)[0], draw(1)[0], draw(2)[0], draw(3)[0], draw(100, flawed=True)[0], draw(4)[0], draw(5)[0]]


@pytest.fixture
def bench(
    tmp_path: Path, recipe_file: Path, pictures: Sequence[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """`with bench(**settings) as one:` starts a station; `faults` says what goes wrong at which picture."""
    # The drawn camera of the settings shows these parts.
    real = FakeSource.__init__

    def shows(self: FakeSource, settings: Any, images: Sequence[NDArray[np.uint8]] = ()) -> None:
        real(self, settings, images or pictures)

    monkeypatch.setattr(FakeSource, "__init__", shows)

    @contextmanager
    def start(faults: dict[int, str] | None = None, cameras: int = 1, **more: Any) -> Iterator[Bench]:
        camera: dict[str, Any] = {"kind": "fake", "faults": faults or {}, "repeats_max": 1}
        values = {
            "name": "desk",
            "views": [{"name": f"view{n}", "camera": camera | {"name": f"view{n}"}} for n in range(cameras)],
            "recipes": [{"name": "plates", "id": 7, "file": recipe_file, "barcodes": ["4006381"]}],
            "controller": {"kind": "fake"},
            "folder": tmp_path / "station",
            "deadline_ms": 5000,
            "threads": 1,
            "frame_mb": 1,
            **more,
        }
        settings = StationSettings.model_validate(values)
        one = Bench(settings, open_devices(settings))
        try:
            yield one
        finally:
            one.close()

    return start
