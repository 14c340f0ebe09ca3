"""Who is told what of a station: every sink that can show it has its status, and nobody commands where none obeys."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import json
import logging
import re
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from sightline.cli import text_line
from sightline.core.errors import SettingError
from sightline.devices.sinks.sparkplug import _metrics
from sightline.devices.sinks.table import SINKS
from sightline.line.port import open_port
from sightline.line.processes import open_log
from sightline.line.settings import StationSettings, read_station
from sightline.line.simulation import Plc, Sorted, Tally
from sightline.store.store import Store

Start = Callable[..., Any]
PAGES = Path(__file__).parents[2] / "docs" / "how-to" / "sinks"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """The port of a mosquitto."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    command = [program, "-c", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield port
        process.kill()


def listen(port: int, topic: str) -> tuple[Any, list[Any]]:
    """A client of the broker, and the JSON messages of a topic as they come."""
    import paho.mqtt.client as mqtt

    told: list[Any] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
    client.on_message = lambda *found: told.append(json.loads(found[2].payload))
    for _ in range(100):
        try:
            client.connect("127.0.0.1", port)
            break
        except OSError:
            time.sleep(0.05)
    client.loop_start()
    return client, told


def test_a_broker_beside_the_controller_is_told_the_stations_status(bench: Start, broker: int, tmp_path: Path) -> None:
    client, told = listen(broker, "st/status")
    sink = {"kind": "mqtt", "port": broker, "topic": "st", "outbox": str(tmp_path / "box.db")}
    with bench(sinks=[sink]) as one:
        one.until(lambda: any(status.get("ready") and status["recipe"] == "plates" for status in told))
        assert one.inspect("P1").valid
        one.until(lambda: any(status.get("busy") for status in told))
    one.until(lambda: told[-1] == {"online": False, "ready": False})
    client.disconnect()
    client.loop_stop()


def test_an_opcua_server_beside_the_controller_shows_the_stations_state(bench: Start) -> None:
    asyncua = pytest.importorskip("asyncua")

    async def state(port: int) -> tuple[str, str]:
        async with asyncua.Client(f"opc.tcp://127.0.0.1:{port}/sightline/", timeout=5) as client:
            root = (await client.nodes.objects.get_children())[-1]
            names = {(await child.read_browse_name()).Name: child for child in await root.get_children()}
            children = await names["VisionStateMachine"].get_children()
            found = {(await child.read_browse_name()).Name: child for child in children}
            management = await names["RecipeManagement"].get_children()
            recipe = {(await child.read_browse_name()).Name: child for child in management}["ActiveRecipe"]
            return (await found["CurrentState"].read_value()).Text, await recipe.read_value()

    with bench(sinks=[{"kind": "opcua", "port": 0}]) as one:
        sink = one.devices.sinks[1]
        one.until(lambda: sink.port)
        one.until(lambda: asyncio.run(state(sink.port)) == ("Operational", "plates"))
        assert asyncio.run(state(sink.port)) == ("Operational", "plates")


def station(**values: Any) -> dict[str, Any]:
    camera = {"name": "v", "camera": {"kind": "fake"}}
    recipe = {"name": "a", "id": 1, "file": "a.onnx"}
    return {"name": "s", "views": [camera], "recipes": [recipe], "controller": {"kind": "fake"}, **values}


MQTT = {"kind": "mqtt", "outbox": "box.db"}


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({"sinks": [{"kind": "modbus"}]}, r"below \[controller\]"),
        ({"sinks": [{"kind": "s7", "host": "plc", "db": 1}]}, r"below \[controller\]"),
        ({"sinks": [MQTT | {"commands": True}]}, "make it the"),
        ({"sinks": [{"kind": "opcua", "commands": True}]}, "make it the"),
        ({"controller": MQTT | {"commands": False}}, "commands = true"),
        ({"controller": {"kind": "csv", "folder": "x"}}, "Choose one of modbus, opcua, s7, mqtt"),
        ({"controller": {"kind": "webhook"}}, "takes no triggers"),
    ],
)
def test_no_station_drops_commands_without_a_word(values: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValidationError, match=remedy):
        StationSettings.model_validate(station(**values))


def test_the_controller_takes_commands_and_nobody_else_does() -> None:
    settings = StationSettings.model_validate(station(controller=MQTT, sinks=[MQTT, {"kind": "opcua"}]))
    assert settings.controller["commands"] is True
    assert [sink["commands"] for sink in settings.sinks] == [False, False]


@pytest.mark.parametrize("kind", SINKS)
def test_the_example_of_every_sinks_page_makes_a_station(kind: str, tmp_path: Path) -> None:
    for example in re.findall(r"```toml\n(.*?)```", (PAGES / f"{kind}.md").read_text(), re.DOTALL):
        text = 'name = "s"\nviews = [{ camera = { kind = "fake" } }]\nrecipes = [{ name = "a", id = 1, file = "a" }]\n'
        text += "" if "controller" in tomllib.loads(example) else 'controller = { kind = "fake" }\n'
        (tmp_path / "station.toml").write_text(text + example)
        settings = read_station(tmp_path / "station.toml")
        assert kind in [settings.controller["kind"], *(sink["kind"] for sink in settings.sinks)]


@pytest.mark.parametrize(
    ("slip", "right"),
    [
        ('deadline = 3\ncontroller = { kind = "fake" }', "Did you mean deadline_ms"),
        ('controller = { kind = "modbus", acknowlege = true }', "Did you mean acknowledge?"),
        ('controller = { kind = "fake" }\nkeep = { revew = true }', "keep.revew: .* Did you mean review"),
        ('controller = { kind = "fake" }\ninterlock = { parts = [{ partid = "a" }] }', "Did you mean part_id"),
        ('controller = { kind = "fake" }\nhealth = { xyzzy = 1 }', "the only ones are host, port, token"),
    ],
)
def test_a_typo_in_a_station_has_its_right_name_beside_it(tmp_path: Path, slip: str, right: str) -> None:
    path = tmp_path / "station.toml"
    text = 'name = "s"\nviews = [{ camera = { kind = "fake" } }]\nrecipes = [{ name = "a", id = 1, file = "a" }]\n'
    path.write_text(text + slip)
    with pytest.raises(SettingError, match=right):
        read_station(path)


def test_machine_and_mes_learn_type_place_and_area_of_defects(bench: Start, tmp_path: Path) -> None:
    with bench(sinks=[{"kind": "csv", "folder": str(tmp_path / "out")}]) as one:
        signals = [one.inspect(f"P{number}") for number in range(5)]
        one.until(lambda: one.devices.sinks[1].health().waiting == 0)
    flawed = json.loads(json.dumps(signals[4].to_json()))
    place = flawed["defects"][0]
    assert place["type"] and place["area_px"] > 0 and len(place["box"]) == 4 and "contour" not in place
    assert (place["view"], place["view_number"]) == ("view0", 1)
    assert [len(said.defects) for said in signals if said.verdict == "OK"].count(0) >= 3
    (path,) = (tmp_path / "out").iterdir()
    with path.open(newline="") as file:
        row = list(csv.DictReader(file))[4]
    assert row["defect_type"] == place["type"] and row["defect_box"] == " ".join(map(str, place["box"]))
    metrics = _metrics(flawed)
    assert metrics["Defect/Type"] == place["type"] and metrics["Defect/X"] == float(place["box"][0])
    assert set(metrics) == set(_metrics({}))  # birth and data have the same names
    with bench(mode="pilot") as one:
        assert not any(one.inspect(f"Q{number}").defects for number in range(5))


def test_check_parts_and_blocked_ones_are_in_no_yield(bench: Start) -> None:
    parts = [{"part_id": "golden", "verdict": "OK"}]
    with bench(interlock={"parts": parts}) as one:
        purposes = [one.inspect(part).purpose for part in ("P1", "golden", "P2", "P3")]
        assert purposes == ["blocked", "check", "production", "production"]
        text = one.devices.metrics.text().decode()
        assert 'mode="production",station="desk",verdict="OK"} 2.0' in text
        assert 'mode="blocked",station="desk",verdict="NG"} 1.0' in text
        assert [record.details["purpose"] for record in one.records()] == purposes
        with Store.open(one.settings.folder / "sightline.db") as store:
            now = datetime.datetime.now(datetime.UTC)
            hours = store.inspections.hourly_yield(now - datetime.timedelta(hours=2), now + datetime.timedelta(hours=1))
        assert sum(hour.ok for hour in hours) == 2 and sum(hour.ng + hour.review for hour in hours) == 0


def test_no_password_key_or_token_is_in_the_logs(
    bench: Start, free_port: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {name: f"never-to-be-seen-{name}" for name in ("MQTT", "HOOK", "HEALTH", "PUSH")}
    for name, value in secrets.items():
        monkeypatch.setenv(f"S_{name}", value)
    place = {"host": "127.0.0.1", "port": free_port()}  # where nobody answers: failures are what is logged most
    mqtt = {"kind": "mqtt", "user": "u", "password": {"env": "S_MQTT"}, "outbox": str(tmp_path / "a.db"), **place}
    hook = {"kind": "webhook", "url": f"http://127.0.0.1:{free_port()}/", "key": {"env": "S_HOOK"}}
    camera = {"kind": "push", "port": free_port(), "token": {"env": "S_PUSH"}, "name": "v"}
    root = logging.getLogger("sightline")
    before = root.handlers[:], root.level, root.propagate
    open_log("desk", tmp_path / "log", logging.DEBUG)
    try:
        with bench(
            sinks=[mqtt, hook | {"outbox": str(tmp_path / "b.db")}],
            views=[{"name": "v", "camera": camera}],
            health={"token": {"env": "S_HEALTH"}},
            deadline_ms=500,
        ) as one:
            assert not one.inspect("P1").valid
            one.until(lambda: one.devices.sinks[1].health().error and one.devices.sinks[2].health().error)
            open_port(one.station).close()
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:], level, root.propagate = before
        root.setLevel(level)
    text = (tmp_path / "log" / "desk.log").read_text()
    assert "P1" in text and "no broker" in text
    assert not [value for value in secrets.values() if value in text]


def test_the_header_of_a_simulated_station_is_as_wide_as_the_terminal(tmp_path: Path) -> None:
    tally = Tally("station-1", 1, 2, tmp_path, tmp_path, Plc("127.0.0.1", 1))
    tally.note(Sorted("P1", None, False, False, False, 0, None, "no answer"))
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(text_line._rows(tally))
    header = console.export_text().splitlines()[:2]
    assert "no answer 1, late 0" in header[0] and header[1].startswith("trigger to verdict")
