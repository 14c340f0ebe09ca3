"""Sparkplug B against mosquitto, read by an independent decoder of the wire format: numbers of births, data, deaths."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightline.devices.sinks.table import open_sink

spec = importlib.util.spec_from_file_location("devices_broker_b", Path(__file__).with_name("broker.py"))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
Broker, Listener = module.Broker, module.Listener
QUICK = {"backoff": {"first_ms": 20, "longest_ms": 100}, "timeout_ms": 1500, "keepalive_s": 2}


def fields(data):
    """Protobuf's wire format: (field number, value) in order; lengths and varints only, doubles as bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            yield key >> 3, data[at : at + size]
            at += size


def read(payload):
    """Sequence number, and the metrics as {name: (datatype, value, historical)}."""
    seq, metrics = None, {}
    for number, value in fields(payload):
        if number == 3:
            seq = value
        if number == 2:
            metric = dict(fields(value))
            content = next((metric[n] for n in range(10, 16) if n in metric), None)
            metrics[metric[1].decode()] = (metric[4], content, metric.get(5, 0))
    return seq, metrics


@pytest.fixture
def broker(need_package, need_program, free_port, tmp_path):
    need_package("paho")
    need_package("google.protobuf")
    broker = Broker(need_program("mosquitto"), free_port(), tmp_path)
    yield broker
    broker.kill()


def opened(broker, folder):
    names = {"group": "Plant", "node": "Line1", "device": "Caps"}
    return open_sink({"kind": "sparkplug", "port": broker.port, "outbox": folder / "box.db", **names, **QUICK})


def kinds(listener):
    return [topic.split("/")[2] for topic, _, _ in listener.messages]


def test_births_data_and_death_have_their_numbers(broker, tmp_path, signal, until):
    listener = Listener(broker.port, "spBv1.0/#")
    sink = opened(broker, tmp_path)
    for number in range(260):
        sink.send(signal(f"P{number}", score=number / 2))
    until(lambda: len(listener.messages) >= 262)
    sink.close()
    until(lambda: len(listener.messages) == 263)
    assert kinds(listener) == ["NBIRTH", "DBIRTH", *["DDATA"] * 260, "NDEATH"]
    assert listener.messages[0][0] == "spBv1.0/Plant/NBIRTH/Line1"
    assert listener.messages[1][0] == "spBv1.0/Plant/DBIRTH/Line1/Caps"
    assert not any(retained for _, _, retained in listener.messages)
    seen = [read(payload) for _, payload, _ in listener.messages]
    assert [seq for seq, _ in seen[:-1]] == [number % 256 for number in range(262)]
    assert seen[-1] == (None, {"bdSeq": (4, 0, 0)})
    assert seen[0][1]["bdSeq"] == (4, 0, 0) and seen[0][1]["Node Control/Rebirth"] == (11, 0, 0)
    assert set(seen[1][1]) == set(seen[2][1])
    assert seen[2][1]["Result/Part Id"] == (12, b"P0", 0) and seen[2][1]["Result/Verdict"] == (12, b"NG", 0)
    assert seen[2][1]["Result/Score"][0] == 10
    listener.close()


def test_a_rebirth_is_given_on_demand(broker, tmp_path, signal, until):
    from sightline.devices.sinks.sparkplug import Codec

    listener = Listener(broker.port, "spBv1.0/#")
    sink = opened(broker, tmp_path)
    sink.send(signal())
    until(lambda: kinds(listener) == ["NBIRTH", "DBIRTH", "DDATA"])
    listener.client.publish("spBv1.0/Plant/NCMD/Line1", b"nonsense")
    listener.client.publish("spBv1.0/Plant/NCMD/Line1", Codec().encode({"Node Control/Rebirth": True}, 1))
    until(lambda: kinds(listener)[-2:] == ["NBIRTH", "DBIRTH"] and len(listener.messages) == 7)
    assert [read(payload)[0] for _, payload, _ in listener.messages[-2:]] == [0, 1]
    assert read(listener.messages[-1][1])[1]["Result/Part Id"][1] == b"A1"
    sink.close()
    listener.close()


def test_an_outage_is_told_later_as_history_with_the_next_birth_number(broker, tmp_path, signal, until, monkeypatch):
    from sightline.devices.sinks import sparkplug

    monkeypatch.setattr(sparkplug, "HISTORICAL_S", 0.2)
    sink = opened(broker, tmp_path)
    broker.kill()
    until(lambda: not sink.health().connected)
    for number in range(5):
        sink.send(signal(f"{number}"))
    time.sleep(0.3)
    broker.start()
    listener = Listener(broker.port, "spBv1.0/#")
    until(lambda: sink.health().waiting == 0)
    sink.send(signal("live"))
    until(lambda: sink.health().waiting == 0)
    sink.close()
    until(lambda: kinds(listener)[-1] == "NDEATH")
    data = [read(payload)[1] for topic, payload, _ in listener.messages if "DDATA" in topic]
    parts = [metrics["Result/Part Id"][1].decode() for metrics in data]
    history = [metrics["Result/Part Id"][2] for metrics in data]
    # The listener may come after the first of them: what it sees is in order.
    assert parts == [*"01234", "live"][-len(parts) :] and history == [1, 1, 1, 1, 1, 0][-len(parts) :]
    bd_seq = read(listener.messages[-1][1])[1]["bdSeq"][1]
    assert bd_seq >= 1  # one more with each attempt to connect
    listener.close()


def test_a_killed_station_dies_for_the_host_with_its_birth_number(broker, tmp_path, until):
    listener = Listener(broker.port, "spBv1.0/#")
    code = f"""
import time
from sightline.devices.sinks.table import open_sink
names = dict(kind="sparkplug", group="Plant", node="Line1")
sink = open_sink(dict(port={broker.port}, outbox={str(tmp_path / "b.db")!r}, **names))
print(sink.health().connected, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    process.kill()
    process.wait()
    process.stdout.close()
    until(lambda: kinds(listener) == ["NBIRTH", "DBIRTH", "NDEATH"])
    assert read(listener.messages[0][1])[1]["bdSeq"] == read(listener.messages[2][1])[1]["bdSeq"]
    listener.close()


def test_payloads_are_each_others_inverse(need_package):
    need_package("google.protobuf")
    from sightline.devices.sinks.sparkplug import Codec

    metrics = {"a": -5, "b": True, "c": 0.25, "d": "text", "e": None}
    assert Codec().decode(Codec().encode(metrics, 17, 3)) == (metrics, 17, 3)
    with pytest.raises(ValueError, match="not a Sparkplug"):
        Codec().decode(b"\xff\xff")


def test_attempts_that_fail_use_no_birth_number(broker, tmp_path, until):
    listener = Listener(broker.port, "spBv1.0/#")
    sink = opened(broker, tmp_path)
    until(lambda: len(listener.messages) >= 2)
    first = read(listener.messages[0][1])[1]["bdSeq"][1]
    broker.kill()
    until(lambda: not sink.health().connected)
    time.sleep(1.0)  # several attempts
    broker.start()
    assert listener.ready.wait(10)
    until(lambda: sink.health().connected)
    sink.close()
    until(lambda: kinds(listener)[-1] == "NDEATH")
    assert read(listener.messages[-1][1])[1]["bdSeq"][1] == first + 1
