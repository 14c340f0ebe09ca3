"""The live picture: the newest part for whoever may see it, at a bounded pace, and at no cost for the line."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.core.result import Verdict
from sightline.core.sample import Frame
from sightline.core.signals import Command, CommandKind, ErrorCode
from sightline.line.decision import Decision, ViewResult, refuse
from sightline.line.live import PAUSE_S, Live
from sightline.line.part import Part
from sightline.line.port import open_port

Start = Callable[..., Any]


def split(message: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON and the pictures of a message."""
    length = int.from_bytes(message[:4], "big")
    told, rest = json.loads(message[4 : 4 + length]), message[4 + length :]
    pictures = []
    for view in told["views"]:
        for size in (view["jpeg_bytes"], view["heat_bytes"]):
            pictures.append(rest[:size])
            rest = rest[size:]
    assert rest == b""
    return told, pictures


def ask(port: int, path: str, token: str = "", body: object = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    headers |= {} if body is None else {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def frame(value: int, side: int = 40, kind: type = np.uint8) -> Frame:
    image = np.full((side, 2 * side, 3), value, kind)
    now = time.monotonic()
    return Frame(image=image, id=1, captured=0.0, monotonic_s=now, complete_s=now, camera="view")


def part(purpose: str = "production") -> Part:
    made = Part.from_trigger(Command(kind=CommandKind.TRIGGER, part_id="7"), 1, "desk", ("plates", 1), 1.0)
    made.purpose = purpose
    return made


def decision(verdict: Verdict = Verdict.NG) -> Decision:
    heat = np.zeros((4, 8), np.uint8)
    heat[1, 2] = 255
    defects = ({"type": "stain", "score": 2.0, "box": [1, 2, 3, 4], "contour": [[0, 0]]},)
    return Decision(verdict, (ViewResult("view", verdict, 2.5, 0.01, "hash", defects=defects, heat=heat),))


def test_the_newest_part_is_given_once_and_its_age_grows() -> None:
    live = Live()
    assert live.message() is None
    live.show(part(), decision(), [frame(10, side=1000)])
    told, (jpeg, heat) = split(live.message() or b"")
    assert (told["verdict"], told["score"], told["number"], told["counts"]) == ("NG", 2.5, 1, {"NG": 1})
    assert max(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape) == 960
    assert cv2.imdecode(np.frombuffer(heat, np.uint8), cv2.IMREAD_UNCHANGED)[1, 2] == 255
    assert told["views"][0]["defects"] == [{"type": "stain", "score": 2.0, "box": [1, 2, 3, 4]}]
    time.sleep(0.05)
    assert split(live.message() or b"")[0]["age_ms"] >= told["age_ms"] + 50
    assert live.message(after=1) is None


def test_however_many_ask_pictures_are_encoded_at_a_bounded_pace() -> None:
    live = Live()
    end, given = time.monotonic() + 5 * PAUSE_S, 0
    number = 0
    while time.monotonic() < end:
        live.show(part(), decision(), [frame(10)])
        message = live.message(number)
        if message is not None:
            given, number = given + 1, split(message)[0]["number"]
    assert 2 <= given <= 6


def test_a_part_without_a_picture_is_shown_with_its_cause() -> None:
    live = Live()
    live.show(part(), refuse(ErrorCode.CAMERA_TIMEOUT, "no picture came"), [])
    told, pictures = split(live.message() or b"")
    assert (told["valid"], told["cause"], pictures) == (False, "no picture came", [])


def test_pictures_of_16_bits_are_shown_and_check_parts_do_not_count() -> None:
    live = Live()
    live.show(part("check"), decision(Verdict.OK), [frame(4000, kind=np.uint16)])
    told, (jpeg, _) = split(live.message() or b"")
    assert told["counts"] == {}
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).max() > 250


def test_showing_a_part_takes_no_time() -> None:
    live, shown, wanted = Live(), [frame(10, side=2000)], (part(), decision())
    start = time.perf_counter()
    for _ in range(1000):
        live.show(*wanted, shown)
    assert time.perf_counter() - start < 0.1  # less than 0.1 ms for each, whatever the size of the picture


def test_a_station_shows_its_newest_part_to_whoever_has_the_token(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_TOKEN", "t0ken")
    with bench(health={"token": {"env": "DESK_TOKEN"}}) as one:
        port = open_port(one.station)
        assert ask(port.number, "/live", "t0ken") == (204, b"")
        signal = one.inspect("part 1")
        one.until(lambda: ask(port.number, "/live", "t0ken")[0] == 200)
        told, (jpeg, heat) = split(ask(port.number, "/live", "t0ken")[1])
        assert (told["part"], told["verdict"]) == ("part 1", str(signal.verdict))
        assert jpeg[:2] == b"\xff\xd8" and heat[:4] == b"\x89PNG"
        assert told["age_ms"] >= 0
        assert ask(port.number, "/live?after=1", "t0ken")[0] == 204
        assert ask(port.number, "/live")[0] == 401
        assert ask(port.number, "/continuous", body={"continuous": True})[0] == 401
        assert ask(port.number, "/continuous", "t0ken", {"continuous": 1})[0] == 400
        port.close()


def test_a_station_is_started_and_stopped_over_its_port(bench: Start) -> None:
    with bench(continuous_ms=50) as one:
        port = open_port(one.station)
        code, answer = ask(port.number, "/continuous", body={"continuous": True})
        if one.station.status().not_continuous:
            assert code == 409 and b"cannot run continuously" in answer
        else:
            assert code == 202
            one.until(lambda: len(one.machine.signals) >= 3)
            assert ask(port.number, "/continuous", body={"continuous": False})[0] == 202
            one.until(lambda: not one.station.status().continuous)
        port.close()
