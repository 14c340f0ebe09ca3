"""The line: stations run, a whole line simulated without hardware, a camera calibrated."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from pydantic import BaseModel

from sightline.core.errors import Cancelled, InputError, MissingExtraError, SettingError, SightlineError
from sightline.core.progress import Tell
from sightline.devices.cameras.table import read_camera
from sightline.devices.credentials import Secret
from sightline.devices.sinks.table import read_sink
from sightline.imaging.png import with_resolution
from sightline.line.faults import FAULTS, inject
from sightline.line.processes import VARIABLE
from sightline.line.recipes import Recipes
from sightline.line.settings import StationSettings, read_station
from sightline.line.simulation import Setup, Simulation, Tally
from sightline.line.supervisor import Supervisor, check_apart
from sightline.runtime.calibration_board import draw_board, measure_scale, square_px
from sightline.runtime.inspection import Overlay
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import read_recipe

NEEDED = ("certificate", "private_key", "ca_file")  # files without which a sink or camera cannot be opened
LOOKED_FOR = ("path", "cti", "images")  # files and folders of cameras, which may also come later
WATCHED_S = 0.25  # how often a watcher of a simulated line sees it
FAULT_S = 3.0
STOP_S = 5.0  # for the part that is under way at Ctrl-C

Watch: TypeAlias = "Callable[[Sequence[Tally], Sequence[str]], None]"  # the stations, and what was done to the line


def run(
    paths: Sequence[Path],
    *,
    check: bool = False,
    nodeset: Path | None = None,
    found: Callable[[StationSettings], None] = lambda settings: None,
) -> bool:
    """Run stations until Ctrl-C or SIGTERM; whether all ended in order. `found` hears each one's settings first.

    Nothing is started with `check`, which loads recipes and looks for devices' files as well, and with `nodeset`, the
    file to which the OPC UA nodes of a station are written. Raises SettingError.
    """
    if nodeset is not None:
        _write_nodeset(paths, nodeset)
        return True
    for settings in check_stations(paths, thorough=check):
        found(settings)
    return check or _run(paths)


def _run(paths: Sequence[Path]) -> bool:
    """The supervisor at work; what ends it is set up around its start."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches all processes of a terminal. What is started here inherits that it is not for them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = Supervisor(paths, stopping)
    signal.signal(signal.SIGINT, stop)
    return supervisor.run()


def _write_nodeset(paths: Sequence[Path], path: Path) -> None:
    """Write the OPC UA nodes of a station as NodeSet2 XML. Raises SettingError where not exactly one server is set."""
    from sightline.devices.sinks import opcua, opcua_nodeset

    found = [
        sink
        for settings in map(read_station, paths)
        for sink in map(read_sink, (settings.controller, *settings.sinks))
        if isinstance(sink, opcua.Settings)
    ]
    if len(found) != 1:
        raise SettingError(f"--nodeset needs one opcua server, the stations have {len(found)}. Name one station")
    opcua_nodeset.write_nodeset(found[0], path)


def check_stations(paths: Sequence[Path], thorough: bool = False) -> list[StationSettings]:
    """The settings of stations, which are not started. `thorough`: recipes are loaded, and devices' files looked for.

    Raises SettingError, which names everything that would keep them from starting.
    """
    stations, wrong = [], []
    for path in paths:
        try:
            stations.append(read_station(path))
        except SettingError as error:
            wrong.append(str(error))
    try:
        check_apart(stations)
    except SettingError as error:
        wrong.append(str(error))
    wrong += [f"{station.name}: {fault}" for station in stations for fault in _station_faults(station, thorough)]
    if wrong:
        raise SettingError("\n".join(dict.fromkeys(wrong)))
    return stations


def _station_faults(station: StationSettings, thorough: bool) -> Iterator[str]:
    """What would keep a station from starting, in words; devices that are away are looked for while it runs."""
    recipes = Recipes(station)
    releases = recipes.releases()
    for file, release in {(file, releases[key]): None for key, file in sorted(recipes.files().items())}:
        try:
            read_recipe(file, station.public_key)
            if thorough:
                how = station.threads, station.engine, station.precision, station.public_key
                Inspector(file, *how, release)
        except SightlineError as error:
            yield str(error)
    cameras = [read_camera(view.camera) for view in station.views]
    sinks = [read_sink(values) for values in (station.controller, *station.sinks)]
    needed = (*NEEDED, *(LOOKED_FOR if thorough else ()))
    for settings in (*cameras, *sinks, station.health):
        for name, value in _values(settings):
            if isinstance(value, Secret):
                try:
                    value.read()
                except SettingError as error:
                    yield f"{name}: {error}"
            elif isinstance(value, Path) and name in needed and not value.exists():
                yield f"{name}: {value} is not there. Correct the path"


def _values(settings: BaseModel) -> Iterator[tuple[str, object]]:
    """Every setting with its value, those of TLS within, too."""
    for name, value in settings:
        yield name, value
        if isinstance(value, BaseModel) and not isinstance(value, Secret):
            yield from _values(value)


def simulate(
    recipe: Path | None,
    parts: Path | None,
    folder: Path,
    product: str = "cap",
    stations: int = 1,
    per_second: float = 5.0,
    seconds: float = 20.0,
    deadline_ms: float = 100.0,
    faults: Sequence[str] = (),
    *,
    keep: bool = False,
    watch: Watch | None = None,
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Run a line for so many seconds, with faults as NAME@SECONDS; the figures of every station.

    `keep`: the pictures of NG and REVIEW parts go into the store.
    Without a recipe and a folder of parts, those of a sample product are made. Ctrl-C, or Cancelled from `watch`, ends
    it early with what came until then. Raises SightlineError.
    """
    _require_plc()
    timed = [parse_fault(text) for text in faults]
    if recipe is None or parts is None:
        recipe, parts = prepare(folder, product, tell)
    setup = Setup(recipe, parts, folder, stations, per_second, deadline_ms, keep=keep)
    os.environ[VARIABLE] = "file"  # for the stations, whose processes inherit it
    logging.getLogger("sightline").addHandler(logging.NullHandler())
    tell(f"Starting {setup.stations} station{'s' * (setup.stations > 1)} in {setup.folder}")
    with Simulation(setup) as line:
        line.wait_ready()
        events: list[str] = []
        failed: list[SightlineError] = []
        feeding = threading.Thread(target=_feed, args=(line, round(seconds * setup.per_second), failed), daemon=True)
        trouble = threading.Thread(target=_cause_faults, args=(line, timed, events), daemon=True)
        feeding.start()
        trouble.start()
        try:
            _follow(line, feeding, events, watch)
        except (KeyboardInterrupt, Cancelled):
            tell("Stopping")
            line.stopping.set()
            feeding.join(STOP_S)
        if failed:
            raise failed[0]
        figures = [tally.figures() for tally in line.tallies]
    return {"stations": figures, "faults": events, "folder": str(setup.folder)}


@contextmanager
def simulated(setup: Setup) -> Iterator[Sequence[Tally]]:
    """A line without hardware whose parts come until the block ends: its stations. Raises SightlineError."""
    _require_plc()
    os.environ[VARIABLE] = "file"
    with Simulation(setup) as line:
        line.wait_ready()
        feeding = threading.Thread(target=_feed, args=(line, sys.maxsize, []), daemon=True)
        feeding.start()
        try:
            yield line.tallies
        finally:
            line.stopping.set()
            feeding.join(STOP_S)


def _require_plc() -> None:
    if find_spec("pymodbus") is None:  # the PLC speaks Modbus: find out before half a minute of learning
        raise MissingExtraError("pymodbus", "modbus")


def parse_fault(text: str) -> tuple[str, float]:
    """ "worker_killed@10" -> ("worker_killed", 10.0): the fault, and seconds after the start. Raises InputError."""
    name, _, when = text.partition("@")
    try:
        at_s = float(when or 5)
    except ValueError as error:
        raise InputError(f"fault {text!r}: write NAME@SECONDS, for instance worker_killed@10") from error
    if name not in FAULTS:
        raise InputError(f"no fault is called {name!r}. Choose one of: {', '.join(FAULTS)}")
    return name, at_s


def prepare(folder: Path, product: str, tell: Tell) -> tuple[Path, Path]:
    """A recipe and a folder of parts of a sample product, made where they are not there yet."""
    from sightline.data import sample
    from sightline.data.dataset import Dataset
    from sightline.train.training import train

    recipe, parts = folder / f"{product}.onnx", folder / f"{product}-parts"
    if not parts.exists():
        tell(f"Drawing parts of the sample product {product}")
        sample.write(parts, product)
    if not recipe.exists():
        tell("Learning a recipe from good parts")
        train(Dataset.open(parts).train, effort="quick").save(recipe)
    return recipe, lay_on_belt(parts, folder / f"{product}-belt")


def lay_on_belt(parts: Path, belt: Path) -> Path:
    """The test parts of a dataset side by side in one folder, as they come along the belt."""
    from sightline.data.dataset import Dataset

    belt.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(Dataset.open(parts).test):
        label = "good" if part.defective is False else "-".join(part.types) or "defect"
        target = belt / f"{number * 7919 % 10007:05}-{label}{part.path.suffix}"  # mixed, and the same every time
        if not target.exists():
            target.write_bytes(part.path.read_bytes())
    return belt


def _follow(line: Simulation, feeding: threading.Thread, events: Sequence[str], watch: Watch | None) -> None:
    """Wait until all parts have come, with somebody who may watch."""
    while feeding.is_alive():
        if watch is not None:
            watch(line.tallies, events)
        feeding.join(WATCHED_S)
    if watch is not None:
        watch(line.tallies, events)


def _feed(line: Simulation, parts: int, failed: list[SightlineError]) -> None:
    try:
        line.run(parts)
    except SightlineError as error:
        failed.append(error)


def _cause_faults(line: Simulation, faults: Sequence[tuple[str, float]], events: list[str]) -> None:
    start = time.monotonic()
    for name, at_s in sorted(faults, key=lambda fault: fault[1]):
        time.sleep(max(0.0, start + at_s - time.monotonic()))
        events.append(f"{time.monotonic() - start:5.1f} s  {name} begins")
        try:
            undo = inject(name, line, line.tallies[0])
            time.sleep(FAULT_S)
            undo()
        except (SightlineError, OSError) as error:
            events.append(f"{time.monotonic() - start:5.1f} s  {name}: {error}")
        events.append(f"{time.monotonic() - start:5.1f} s  {name} ends")


def calibrate(image: Path, squares: str, square_mm: float, *, board: bool = False) -> dict[str, Any]:
    """Millimetres per pixel from a picture of a calibration board; with `board`, the board is written there to print.

    `squares` are columns x rows, as 8x6. The board is a PNG that knows its size in print. Raises InputError.
    """
    columns, _, rows = squares.lower().partition("x")
    if board and image.suffix.lower() != ".png":
        raise InputError(f"{image}: the board is written as PNG, which knows its size in print. Use a name with .png")
    if not (columns.isdigit() and rows.isdigit()):
        raise InputError(f"squares {squares!r}: write columns x rows, for instance 8x6")
    wide, high = int(columns), int(rows)
    if not board:
        return measure_scale(image, wide, high, square_mm).to_json()
    Overlay(draw_board(wide, high, square_mm)).save(image)
    image.write_bytes(with_resolution(image.read_bytes(), square_px(square_mm) / square_mm * 1000))
    size = {"width_mm": (wide + 2) * square_mm, "height_mm": (high + 2) * square_mm}
    return {"board": str(image), "square_mm": square_mm, **size}
