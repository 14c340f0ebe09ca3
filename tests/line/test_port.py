"""The station's own port: metrics, health, status, and changeover with a token."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from sightline.line.port import MAX_AT_ONCE, TIMEOUT_S, Answers, Port, open_port

Start = Callable[..., Any]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def post(port: int, body: object, token: str = "", kind: str = "application/json", path: str = "/recipe") -> int:
    headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_station_tells_how_it_is(bench: Start) -> None:
    with bench() as one:
        port = open_port(one.station)
        for number in range(5):
            one.inspect(str(number))
        text = get(port.number, "/metrics")[1]
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        parts = {name: value for name, value in lines.items() if name.startswith("sightline_parts_total")}
        assert sum(map(float, parts.values())) == 5
        assert lines['sightline_stage_seconds_count{stage="total",station="desk"}'] == "5.0"
        assert float(lines['sightline_disk_free_bytes{station="desk"}']) > 0
        one.until(lambda: 'sightline_camera_connected{camera="view0"' in get(port.number, "/metrics")[1])
        assert get(port.number, "/healthz") == (200, '{"healthy": true, "why": ""}')
        status = json.loads(get(port.number, "/status")[1])
        assert status["recipe"] == "plates" and status["worker_pid"] == one.devices.worker.pid
        assert post(port.number, {"recipe": "4006381"}) == 202
        assert post(port.number, {"recipe": "nobody"}) == 404
        port.close()


def test_a_blocked_station_is_not_healthy(bench: Start) -> None:
    with bench(interlock={"parts": [{"part_id": "golden", "verdict": "OK"}]}) as one:
        port = open_port(one.station)
        code, text = get(port.number, "/healthz")
        assert code == 503 and "golden" in text
        port.close()


def test_the_pilot_and_a_check_are_asked_for_over_the_port(bench: Start) -> None:
    parts = [{"part_id": "golden", "verdict": "OK"}]
    with bench(interlock={"parts": parts, "at_start": False}) as one:
        port = open_port(one.station)
        for wanted in (True, False):
            assert post(port.number, {"pilot": wanted}, path="/pilot") == 202
            one.until(lambda on=wanted: json.loads(get(port.number, "/status")[1])["pilot"] is on)
        assert post(port.number, {"pilot": "yes"}, path="/pilot") == 400
        assert post(port.number, {"check": False}, path="/check") == 409
        assert json.loads(get(port.number, "/status")[1])["check_parts"] == ["golden"]
        assert post(port.number, {"check": True}, path="/check") == 202
        one.until(lambda: get(port.number, "/healthz")[0] == 503)
        port.close()
    with bench() as one:
        port = open_port(one.station)
        assert post(port.number, {"check": True}, path="/check") == 409, "there are no check parts"
        port.close()


@pytest.fixture
def port() -> Any:
    requests: list[str] = []
    answers = Answers(lambda: b"", lambda: (True, ""), dict, lambda requested: not requests.append(requested), "t0ken")
    one = Port("127.0.0.1", 0, answers)
    yield one.number, requests
    one.close()


def test_only_who_has_the_token_may_wish(port: tuple[int, list[str]]) -> None:
    number, requests = port
    assert post(number, {"recipe": "a"}) == 401
    assert post(number, {"recipe": "a"}, "wrong") == 401
    assert not requests
    assert post(number, {"recipe": "a"}, "t0ken") == 202 and requests == ["a"]
    assert post(number, {"recipe": 7}, "t0ken") == 202 and requests == ["a", "7"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"recipe": ""}', b'{"recipe": true}', b"x" * 5000, b'{"a": 1}'])
def test_what_is_no_wish_is_refused(port: tuple[int, list[str]], body: bytes) -> None:
    assert post(port[0], body, "t0ken") == 400 and not port[1]


def test_a_form_of_another_site_is_refused(port: tuple[int, list[str]]) -> None:
    assert post(port[0], {"recipe": "a"}, "t0ken", "text/plain") == 415
    assert get(port[0], "/nothing")[0] == 404


JSON = b"Authorization: Bearer t0ken\r\nContent-Type: application/json\r\nContent-Length: "


def raw(number: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", number), timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(4096), b""))


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        (b"Authorization: Bearer t\xe9", b"", b" 401 "),
        (JSON + b"\xb2", b"", b" 400 "),
        (JSON + b"4000", b"[" * 4000, b" 400 "),
    ],
)
def test_odd_requests_are_answered_too(port: tuple[int, list[str]], head: bytes, body: bytes, code: bytes) -> None:
    answer = raw(port[0], b"POST /recipe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n\r\n" + body)
    assert code in answer.split(b"\r\n")[0] and not port[1]


def test_without_a_token_only_this_machine_may_wish(bench: Start) -> None:
    with bench(health={"host": "0.0.0.0"}) as one:
        port = open_port(one.station)
        assert post(port.number, {"recipe": "plates"}) == 403
        assert get(port.number, "/healthz")[0] == 200
        port.close()
    with bench() as one:
        port = open_port(one.station)
        request = b"POST /recipe HTTP/1.1\r\nHost: evil.example:%d\r\nConnection: close\r\n" % port.number
        request += b'Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"recipe": "plates"}'
        assert b" 403 " in raw(port.number, request)  # a site whose name was pointed at this machine
        port.close()


def test_it_listens_on_the_other_family_too(bench: Start) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 on loopback")
    with bench(health={"host": "::1"}) as one:
        port = open_port(one.station)
        with urllib.request.urlopen(f"http://[::1]:{port.number}/status", timeout=5) as answer:
            assert answer.status == 200
        port.close()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_callers_that_are_slow_or_silent_do_not_keep_others_out(bench: Start) -> None:
    with bench() as one:
        port = open_port(one.station)
        slow = [socket.create_connection(("127.0.0.1", port.number), timeout=5) for _ in range(MAX_AT_ONCE + 4)]
        stop = threading.Event()

        def dribble() -> None:
            while not stop.wait(0.2):  # never silent for long enough to run into a timeout of reading
                for connection in slow:
                    with suppress(OSError):
                        connection.sendall(b"G")

        dribbling = threading.Thread(target=dribble)
        dribbling.start()
        start = time.monotonic()
        assert get(port.number, "/status")[0] == 200 and time.monotonic() - start < 4
        time.sleep(TIMEOUT_S + 1)  # by now they have all been hung up on
        start = time.monotonic()
        assert get(port.number, "/status")[0] == 200 and time.monotonic() - start < 0.5
        stop.set()
        dribbling.join()
        for connection in slow:
            connection.close()
        port.close()
