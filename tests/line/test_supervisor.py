"""The supervisor: it can always stop its stations, and they do not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.core.errors import RecipeError, SettingError
from sightline.core.signals import ErrorCode
from sightline.line.devices import open_devices
from sightline.line.settings import read_station
from sightline.line.simulation import Plc
from sightline.line.supervisor import Supervisor
from sightline.operations import line
from sightline.runtime.recipe import Recipe
from sightline.runtime.signature import make_keys, sign

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
    until(lambda: station.heartbeat.last_s > 0)
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
    until(lambda: station.heartbeat.last_s > 0)
    assert station.process.pid is not None
    os.kill(station.process.pid, signal.SIGTERM)
    station.process.join(15)
    assert station.process.exitcode == 0
    supervisor.stop()


KILLED = """
import sys, time
from sightline.line.simulation import Plc
from sightline.line.supervisor import Supervisor
if __name__ == "__main__":
    supervisor = Supervisor(sys.argv[1:])
    while not supervisor.stations[0].heartbeat.last_s:
        time.sleep(0.05)
    print(supervisor.stations[0].process.pid, supervisor.stations[0].link.process.pid, flush=True)
    time.sleep(60)
"""


def test_stations_do_not_outlive_their_supervisor(tmp_path: Path, recipe_file: Path) -> None:
    script = tmp_path / "supervise.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(write(tmp_path, "one", recipe_file))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2 and all(map(alive, pids))
        process.kill()
    until(lambda: not any(map(alive, pids)), 20)


def test_two_stations_of_one_name_or_folder_are_refused_before_any_starts(tmp_path: Path, recipe_file: Path) -> None:
    one = write(tmp_path, "one", recipe_file)
    with pytest.raises(SettingError, match="folder"):
        Supervisor([one, write(tmp_path, "two", recipe_file, "one")])
    with pytest.raises(SettingError, match="name"):
        Supervisor([one, one])
    with pytest.raises(SettingError, match="name"):
        line.check_stations([one, one])


def test_a_folder_belongs_to_one_station_at_a_time(tmp_path: Path, recipe_file: Path) -> None:
    from sightline.line.devices import open_devices
    from sightline.line.settings import read_station

    settings = read_station(write(tmp_path, "one", recipe_file))
    devices = open_devices(settings)
    try:
        with pytest.raises(SettingError, match="another station"):
            open_devices(settings)
    finally:
        devices.close()
    open_devices(settings).close()


def test_everything_that_keeps_a_station_from_starting_is_said_at_once(tmp_path: Path, recipe_file: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(f"""
name = "one"
public_key = "nobody.pub"
views = [{{ name = "top", camera = {{ kind = "folder", path = "not/here" }} }}]
recipes = [{{ name = "a", id = 1, file = "gone.onnx" }}, {{ name = "b", id = 2, file = "{recipe_file}" }}]
controller = {{ kind = "fake" }}

[[sinks]]
kind = "webhook"
url = "https://127.0.0.1/"
key = {{ env = "NO_SUCH_KEY" }}
tls = {{ ca_file = "no.pem" }}
""")
    with pytest.raises(SettingError) as caught:
        line.check_stations([path, tmp_path / "two.toml"], thorough=True)
    said = str(caught.value)
    for wrong in ("gone.onnx", "nobody.pub", "NO_SUCH_KEY", "no.pem", "not/here", "two.toml"):
        assert wrong in said, (wrong, said)
    # A folder that is not there may come: it is no reason not to start.
    fine = write(tmp_path, "fine", recipe_file)
    fine.write_text(fine.read_text().replace('kind = "fake" } }', 'kind = "folder", path = "later" } }'))
    assert [station.name for station in line.check_stations([fine])] == ["fine"]
    with pytest.raises(SettingError, match="later is not there"):
        line.check_stations([fine], thorough=True)


def test_a_station_with_a_key_takes_signed_recipes_of_its_product_only(tmp_path: Path, recipe: Recipe) -> None:
    make_keys(tmp_path / "a.key", tmp_path / "a.pub")
    (tmp_path / "r.onnx").write_bytes(sign(recipe.data, tmp_path / "a.key"))
    path = tmp_path / "one.toml"

    def faults(entry: str, more: str = "") -> str:
        path.write_text(f"""
name = "one"
public_key = "a.pub"
{more}
views = [{{ name = "top", camera = {{ kind = "fake" }} }}]
recipes = [{{ name = "washers", id = 1, file = "r.onnx"{entry} }}]
controller = {{ kind = "fake" }}
""")
        try:
            line.check_stations([path], thorough=True)
        except SettingError as error:
            return str(error)
        return ""

    product = f', product = "{recipe.card.product}"'
    assert "washers is required here" in faults("")
    assert faults(product) == ""
    assert "only recipes from 2999" in faults(f"{product}, created_since = 2999-01-01")
    assert "was withdrawn" in faults(product, f'withdrawn = ["{recipe.hash[:20]}"]')
    assert "withdrawn" in faults(product, 'withdrawn = ["abc"]')
    path.write_text(path.read_text().replace('withdrawn = ["abc"]', "").replace(product, ""))
    with pytest.raises(RecipeError, match="washers is required here"):
        open_devices(read_station(path))  # the inspection worker itself refuses it, whatever was looked at before


def test_a_station_that_cannot_start_says_why_and_starts_once_it_can(
    tmp_path: Path, recipe_file: Path, free_port: Callable[[], int]
) -> None:
    recipe = tmp_path / "own.onnx"
    path = write(tmp_path, "one", recipe)
    port, health = free_port(), free_port()
    text = path.read_text().replace('{ kind = "fake" }\n', f'{{ kind = "modbus", port = {port} }}\n')
    path.write_text(f"{text}health = {{ port = {health} }}\n")

    def healthz() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{health}/healthz", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return f"{error.code} {error.read().decode()}"
        except OSError as error:
            return str(error)

    supervisor = Supervisor([path])
    watching = threading.Thread(target=supervisor.run)
    watching.start()
    plc = Plc("127.0.0.1", port)
    try:
        until(lambda: "cannot start" in healthz() and "own.onnx" in healthz() and healthz().startswith("503"))
        until(lambda: (said := plc.look()) is not None and said.station_error == ErrorCode.CANNOT_START, 12)
        assert not plc.sort("P1").accepted
        first = supervisor.stations[0].process.pid
        recipe.write_bytes(recipe_file.read_bytes())
        until(lambda: (said := plc.look()) is not None and said.ready, 40)
        assert supervisor.stations[0].process.pid == first and "cannot" not in healthz()
    finally:
        plc.disconnect()
        supervisor.stopping.set()
        watching.join(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_start_ends_it_without_a_traceback(tmp_path: Path, recipe_file: Path, number: int) -> None:
    path = write(tmp_path, "one", recipe_file)
    path.write_text(path.read_text().replace("threads = 1", "threads = 1\ndatabase = 'postgresql://x@127.0.0.1:1/x'"))
    script = f"from sightline.cli import main; import sys; sys.argv = {['sightline', 'run', str(path)]!r}; main()"
    command = [sys.executable, "-c", script]
    for wait_s in (2.5, 4.0):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            time.sleep(wait_s)
            while process.poll() is None:
                os.killpg(process.pid, number)  # as a service manager, or a terminal, does
                time.sleep(3)
            _, said = process.communicate(timeout=30)
        assert "Traceback" not in said, said


def test_every_process_has_a_sign_of_life_of_its_own(tmp_path: Path, recipe_file: Path) -> None:
    supervisor = Supervisor([write(tmp_path, name, recipe_file) for name in ("one", "two")])
    one, two = supervisor.stations
    try:
        until(lambda: one.heartbeat.last_s > 0 and two.heartbeat.last_s > 0)
        assert one.process.pid is not None
        os.kill(one.process.pid, signal.SIGSTOP)
        time.sleep(0.2)
        last = one.heartbeat.last_s
        until(lambda: two.heartbeat.last_s > last + 0.3, 10)
        assert one.heartbeat.last_s == last
    finally:
        os.kill(one.process.pid or 0, signal.SIGCONT)
        supervisor.stop()
