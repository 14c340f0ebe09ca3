"""What every sink of the table keeps to: `send` never waits, closing ends, a missing extra is named."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from sightline.core.errors import SettingError
from sightline.core.result import Verdict
from sightline.core.signals import Signal, Status
from sightline.devices.sinks.port import Controller, SinkSettings
from sightline.devices.sinks.table import SINKS, open_sink, read_sink

PACKAGES = {"modbus": "pymodbus", "opcua": "asyncua", "s7": "snap7", "mqtt": "paho", "sparkplug": "paho"}
EXTRAS = {"modbus": "modbus", "opcua": "opcua", "s7": "s7", "mqtt": "mqtt", "sparkplug": "mqtt"}
CONTROLLERS = {"modbus", "opcua", "s7", "mqtt", "fake"}


@pytest.fixture
def away(tmp_path, monkeypatch):
    """The least that each sink needs, with nobody on the other side."""
    monkeypatch.setenv("SINK_KEY", "key")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box = str(tmp_path / "box.db")
    values = {
        "modbus": {"mode": "client", "port": port},
        "opcua": {"port": 0},
        "s7": {"host": "127.0.0.1", "port": port, "db": 1},
        "mqtt": {"port": port, "outbox": box},
        "sparkplug": {"port": port, "outbox": box, "group": "g", "node": "n"},
        "webhook": {"url": f"http://127.0.0.1:{port}/", "key": {"env": "SINK_KEY"}, "outbox": box},
        "csv": {"folder": str(tmp_path / "csv")},
        "fake": {},
    }
    return lambda kind: {"kind": kind, "backoff": {"first_ms": 50, "longest_ms": 100}, **values[kind]}


@pytest.mark.parametrize("kind", SINKS)
def test_settings_say_what_they_are(kind, away):
    settings = read_sink(away(kind))
    assert isinstance(settings, SinkSettings) and settings.kind == kind
    for name, field in type(settings).model_fields.items():
        assert field.description or name == "kind", f"{kind}.{name} has no description"
    with pytest.raises(SettingError, match="nonsense: the only ones are"):
        read_sink({**away(kind), "nonsense": 1})


@pytest.mark.parametrize("kind", SINKS)
def test_nobody_on_the_other_side_holds_up_nobody(kind, away, need_package):
    if kind in PACKAGES:
        need_package(PACKAGES[kind])
    sink = open_sink(away(kind))
    assert isinstance(sink, Controller) == (kind in CONTROLLERS)
    start = time.monotonic()
    for number in range(5):
        sink.send(Signal(part_id=f"{number}", verdict=Verdict.NG, valid=True))
    if isinstance(sink, Controller):
        sink.show(Status(ready=True))
        assert sink.wait(10) is None
    assert time.monotonic() - start < 1.5
    assert sink.health().dropped == 0
    start = time.monotonic()
    sink.close()
    sink.close()
    assert time.monotonic() - start < 8


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_missing_package_names_its_extra(kind, away):
    code = f"""
import sys
sys.modules[{PACKAGES[kind]!r}] = None
from sightline.core.errors import MissingExtraError
from sightline.devices.sinks.table import open_sink
try:
    open_sink({away(kind)!r})
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"sightline[{EXTRAS[kind]}]" in done.stdout, done.stdout + done.stderr


def test_each_sdk_is_imported_in_one_file():
    from pathlib import Path

    import sightline

    source = Path(sightline.__file__).parent / "devices"
    words = (
        "pymodbus",
        "asyncua",
        "snap7",
        "paho",
        "google.protobuf",
        "pypylon",
        "harvesters",
        "import gi",
        "import av",
    )
    for word in words:
        files = [
            path.name
            for path in source.rglob("*.py")
            if any(word in line and "import" in line for line in path.read_text().splitlines())
        ]
        assert len(files) <= 1, f"{word}: {files}"
