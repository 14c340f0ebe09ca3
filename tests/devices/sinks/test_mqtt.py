"""MQTT against mosquitto: signals arrive in order, also those of an outage; commands come once; the will speaks."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import time
from pathlib import Path

import pytest

from sightline.core.errors import SettingError
from sightline.core.signals import CommandKind, Status
from sightline.devices.sinks.port import Controller, read_command
from sightline.devices.sinks.table import open_sink

spec = importlib.util.spec_from_file_location("devices_broker", Path(__file__).with_name("broker.py"))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
Broker, Listener = module.Broker, module.Listener
QUICK = {"backoff": {"first_ms": 20, "longest_ms": 100}, "timeout_ms": 1500, "keepalive_s": 2}


@pytest.fixture
def broker(need_package, need_program, free_port, tmp_path):
    need_package("paho")
    broker = Broker(need_program("mosquitto"), free_port(), tmp_path)
    yield broker
    broker.kill()


@pytest.fixture
def listener(broker):
    listener = Listener(broker.port)
    yield listener
    listener.close()


def opened(broker, folder, **options):
    values = {"kind": "mqtt", "port": broker.port, "topic": "hall/st1", "outbox": folder / "box.db"}
    return open_sink({**values, **QUICK, **options})


def parts(listener):
    return [json.loads(payload)["part_id"] for payload in listener.of("/result")]


def test_signals_status_and_farewell_arrive(broker, listener, tmp_path, signal, until):
    sink = opened(broker, tmp_path)
    sink.show(Status(ready=True, recipe="caps"))
    sent = [signal(f"P{number}") for number in range(20)]
    start = time.monotonic()
    for one in sent:
        sink.send(one)
    assert time.monotonic() - start < 2
    until(lambda: len(listener.of("/result")) == 20)
    assert [json.loads(payload) for payload in listener.of("/result")] == [one.to_json() for one in sent]
    until(lambda: sink.health().waiting == 0)
    sink.close()
    until(lambda: len(listener.of("/status")) == 3)
    states = [json.loads(payload) for payload in listener.of("/status")]
    assert [state["online"] for state in states] == [True, True, False] and states[1]["recipe"] == "caps"


def test_an_outage_of_the_broker_loses_nothing_and_keeps_the_order(broker, listener, tmp_path, signal, until):
    sink = opened(broker, tmp_path)
    for number in range(5):
        sink.send(signal(f"{number}"))
    until(lambda: len(listener.of("/result")) == 5)
    broker.kill()
    start = time.monotonic()
    for number in range(5, 30):
        sink.send(signal(f"{number}"))
        time.sleep(0.005)
    assert time.monotonic() - start < 3  # nobody waited for the broker
    until(lambda: not sink.health().connected)
    assert sink.health().waiting == 25
    listener.close()
    broker.start()
    again = Listener(broker.port, "hall/st1/result")
    until(lambda: len(set(parts(again))) == 25, 15)
    until(lambda: sink.health().waiting == 0)
    # Whoever drops repeated keys has each part once and in order.
    assert list(dict.fromkeys(parts(again))) == [str(number) for number in range(5, 30)]
    assert sink.health().reconnects >= 1
    sink.close()
    again.close()


def test_a_restart_of_the_station_delivers_what_waited(broker, listener, tmp_path, signal, until):
    broker.kill()
    sink = opened(broker, tmp_path)
    sink.send(signal("before"))
    sink.close()
    broker.start()
    assert listener.ready.wait(5)
    sink = opened(broker, tmp_path)
    sink.send(signal("after"))
    until(lambda: parts(listener) == ["before", "after"])
    sink.close()


def test_commands_come_in_order_and_strange_ones_do_not(broker, listener, tmp_path):
    sink = opened(broker, tmp_path, commands=True)
    assert isinstance(sink, Controller)
    good = [{"command": "recipe", "recipe": "caps-3"}, {"command": "trigger", "part_id": "A1"}, {"command": "reset"}]
    strange = [b"\xff\xfe", b"[1]", b'{"command": "format"}', b'{"command": "recipe"}', b"[" * 5000, b"x" * 9000]
    for payload in [*strange, *(json.dumps(one).encode() for one in good)]:
        listener.client.publish("hall/st1/command", payload, qos=1)
    commands = [sink.wait(2000) for _ in good]
    assert [command.kind for command in commands] == [CommandKind.RECIPE, CommandKind.TRIGGER, CommandKind.RESET]
    assert (commands[0].recipe, commands[1].part_id) == ("caps-3", "A1")
    assert sink.wait(50) is None
    sink.close()


def test_a_retained_trigger_is_an_old_one(broker, listener, tmp_path):
    old = json.dumps({"command": "trigger", "part_id": "old"})
    listener.client.publish("hall/st1/command", old, qos=1, retain=True).wait_for_publish(2)
    sink = opened(broker, tmp_path, commands=True)
    listener.client.publish("hall/st1/command", old.replace("old", "new"), qos=1)
    assert sink.wait(2000).part_id == "new"
    sink.close()


def test_without_leave_nobody_commands(broker, listener, tmp_path):
    sink = opened(broker, tmp_path)
    listener.client.publish("hall/st1/command", b'{"command": "trigger"}', qos=1).wait_for_publish(2)
    assert sink.wait(100) is None
    sink.close()


def test_a_station_that_dies_is_offline_for_all(broker, listener, tmp_path, until):
    code = f"""
import time
from sightline.devices.sinks.table import open_sink
sink = open_sink(dict(kind="mqtt", port={broker.port}, topic="hall/st1", outbox={str(tmp_path / "b.db")!r}))
print(sink.health().connected, flush=True)
time.sleep(60)
"""
    import sys

    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    until(lambda: listener.of("/status"))
    process.kill()
    process.wait()
    process.stdout.close()
    until(lambda: json.loads(listener.of("/status")[-1]) == {"online": False, "ready": False})


def test_a_password_needs_tls_and_neither_appears_in_errors(tmp_path, monkeypatch):
    values = {"kind": "mqtt", "outbox": tmp_path / "b.db", "user": "me", "password": {"env": "MQTT_PASSWORD"}}
    with pytest.raises(SettingError, match="set tls"):
        open_sink({**values, "host": "10.0.0.1"})
    with pytest.raises(SettingError) as caught:
        open_sink({**values, "password": "hunter2"})
    assert "hunter2" not in str(caught.value)
    monkeypatch.delenv("MQTT_PASSWORD", raising=False)
    with pytest.raises(SettingError, match="MQTT_PASSWORD holds no secret"):
        open_sink(values)


def test_tls_and_password_are_checked(
    need_package, need_program, free_port, tmp_path, certificate, monkeypatch, until, signal
):
    need_package("paho")
    subprocess.run([need_program("mosquitto_passwd"), "-b", "-c", tmp_path / "users", "st1", "s3cret"], check=True)
    cert, key = certificate
    lines = [f"cafile {cert}", f"certfile {cert}", f"keyfile {key}", "allow_anonymous false"]
    broker = Broker(need_program("mosquitto"), free_port(), tmp_path, *lines, f"password_file {tmp_path / 'users'}")
    monkeypatch.setenv("MQTT_PASSWORD", "s3cret")
    login = {"host": "localhost", "user": "st1", "password": {"env": "MQTT_PASSWORD"}, "tls": {"ca_file": cert}}
    sink = opened(broker, tmp_path, **login)
    sink.send(signal())
    until(lambda: sink.health().waiting == 0 and sink.health().connected)
    sink.close()
    stranger = opened(broker, tmp_path, **{**login, "tls": {}})
    assert not stranger.health().connected and "certificate" in stranger.health().error.lower()
    stranger.close()
    monkeypatch.setenv("MQTT_PASSWORD", "wrong")
    refused = opened(broker, tmp_path, **login)
    assert not refused.health().connected and "Check user and password" in refused.health().error
    refused.close()
    broker.kill()


def test_long_ids_and_names_are_never_taken_for_another_one():
    a, b = (read_command({"command": "trigger", "part_id": "P" * 64 + end}) for end in "ab")
    assert a.part_id != b.part_id and len(a.part_id) == len(b.part_id) == 64 and a.part_id.startswith("P" * 40)
    assert read_command({"command": "trigger", "part_id": "P" * 64}).part_id == "P" * 64
    assert read_command({"command": "recipe", "recipe": "r" * 65}).recipe != "r" * 64


@pytest.mark.parametrize("command", ["pilot", "production", "check", "refused"])
def test_no_machine_asks_for_what_people_ask_for(command):
    assert read_command({"command": command}) is None
