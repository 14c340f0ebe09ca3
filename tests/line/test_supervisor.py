"""The supervisor: it can always stop its stations, and they do not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.command import running
from sightline.core.errors import SettingError
from sightline.line.supervisor import Supervisor

STATION = """
name = "{name}"
folder = "{folder}"
threads = 1
frame_mb = 1
views = [{{ name = "top", camera = {{ kind = "fake" }} }}]
recipes = [{{ name = "plates", id = 1, file = "{recipe}" }}]
controller = {{ kind = "fake" }}
"""


def write(folder: Path, name: str, recipe: Path, own: str = "") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(STATION.format(name=name, folder=own or name, recipe=recipe))
    return path


def until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"


def memories() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("psm_*")} if Path("/dev/shm").exists() else set()


def test_stations_that_were_killed_keep_nobody_from_stopping_and_leave_no_memory(
    tmp_path: Path, recipe_file: Path
) -> None:
    before = memories()
    supervisor = Supervisor([write(tmp_path, "one", recipe_file)])
    station = supervisor.stations[0]
    until(lambda: station.beat.value > 0)
    assert station.process.pid is not None
    os.kill(station.process.pid, signal.SIGKILL)
    station.process.join(5)
    stopping = threading.Thread(target=supervisor.stop, daemon=True)
    stopping.start()
    stopping.join(15)
    assert not stopping.is_alive()
    assert memories() <= before


def test_stations_end_in_order_when_they_are_told_to_terminate(tmp_path: Path, recipe_file: Path) -> None:
    supervisor = Supervisor([write(tmp_path, "one", recipe_file)])
    station = supervisor.stations[0]
    until(lambda: station.beat.value > 0)
    assert station.process.pid is not None
    os.kill(station.process.pid, signal.SIGTERM)
    station.process.join(15)
    assert station.process.exitcode == 0
    supervisor.stop()


KILLED = """
import sys, time
from sightline.line.supervisor import Supervisor
if __name__ == "__main__":
    supervisor = Supervisor(sys.argv[1:])
    while not supervisor.stations[0].beat.value:
        time.sleep(0.05)
    print(supervisor.stations[0].process.pid, flush=True)
    time.sleep(60)
"""


def test_stations_do_not_outlive_their_supervisor(tmp_path: Path, recipe_file: Path) -> None:
    script = tmp_path / "supervise.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(write(tmp_path, "one", recipe_file))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    until(lambda: not alive(pid), 20)


def test_two_stations_of_one_name_or_folder_are_refused_before_any_starts(tmp_path: Path, recipe_file: Path) -> None:
    one = write(tmp_path, "one", recipe_file)
    with pytest.raises(SettingError, match="folder"):
        Supervisor([one, write(tmp_path, "two", recipe_file, "one")])
    with pytest.raises(SettingError, match="name"):
        Supervisor([one, one])
    with pytest.raises(SettingError, match="name"):
        running.check([one, one])


def test_a_folder_belongs_to_one_station_at_a_time(tmp_path: Path, recipe_file: Path) -> None:
    from sightline.line.gear import open_gear
    from sightline.line.settings import read_station

    settings = read_station(write(tmp_path, "one", recipe_file))
    gear = open_gear(settings)
    try:
        with pytest.raises(SettingError, match="another station"):
            open_gear(settings)
    finally:
        gear.close()
    open_gear(settings).close()
