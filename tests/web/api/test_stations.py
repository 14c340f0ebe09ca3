"""Stations over the API: asked over a real port, and shown to viewers who never slow them down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from tests.web.conftest import Desk, Served
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sightline.core.errors import ConflictError, ForbiddenError, InputError, NotFoundError
from sightline.core.result import Verdict
from sightline.line import live
from sightline.operations import people
from sightline.web.api import sockets
from sightline.web.client import ApiError

VIEWERS, VIEWED_S = 200, 6.0


@pytest.fixture
def watch(served: Served) -> Iterator[Callable[..., ClientConnection]]:
    """Opens a WebSocket as a logged-in user's page would."""
    opened = ExitStack()

    def open_socket(path: str, name: str = "operator", **headers: str) -> ClientConnection:
        client = opened.enter_context(served.client(name))
        cookie = "; ".join(f"{key}={value}" for key, value in client.http.cookies.items())
        given = {"Cookie": cookie, "Origin": served.url, **headers}
        address = served.url.replace("http", "ws") + "/api/v1" + path
        return opened.enter_context(connect(address, additional_headers=given, open_timeout=10))

    with opened:
        yield open_socket


def split(message: Any) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(message[:4], "big")
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def test_a_station_tells_how_it_is_and_is_asked_in_the_users_name(served: Served, desk: Desk) -> None:
    with served.client("engineer") as client:
        found = client.get("/stations/desk/status")
        assert (found["reachable"], found["status"]["recipe"]) == (True, "plates")
        assert client.post("/stations/desk/recipe", {"recipe": "plates"}, reason="next lot") == {"recipe": "plates"}
        with pytest.raises(ConflictError, match="no recipe 'lid'"):
            client.post("/stations/desk/recipe", {"recipe": "lid"})
        with pytest.raises(ConflictError, match="waits for triggers"):
            client.post("/stations/desk/start")
        client.post("/stations/desk/stop")
        assert desk.asked == ["plates", "lid", True, False]
    entries = [(one.author, dict(one.details)) for one in served.store.audit.page(subject="station desk", limit=2)]
    assert entries == [("engineer", {"continuous": False}), ("engineer", {"recipe": "plates"})]


def test_anybody_switches_the_pilot_on_and_an_engineer_with_a_reason_off(served: Served, desk: Desk) -> None:
    with served.client("operator") as client:
        client.post("/stations/desk/pilot", reason="it sorts out good ones")
        assert client.get("/stations/desk/status")["status"]["pilot"]
        for path in ("production", "check"):
            with pytest.raises(ForbiddenError, match="role engineer"):
                client.post(f"/stations/desk/{path}", reason="I want to")
    with served.client("engineer") as client:
        for wrong in ({}, {"reason": ""}, {"reason": "  "}):
            with pytest.raises((ApiError, InputError)):
                client.post("/stations/desk/production", **wrong)
        client.post("/stations/desk/check", reason="new lamp")
        client.post("/stations/desk/production", reason="the new recipe is right")
        assert not client.get("/stations/desk/status")["status"]["pilot"]
    assert desk.asked == ["pilot True", "check", "pilot False"]
    entries = [(one.author, one.reason, dict(one.details)) for one in served.store.audit.page(subject="station desk")]
    assert entries[:3] == [
        ("engineer", "the new recipe is right", {"pilot": False}),
        ("engineer", "new lamp", {"check": True}),
        ("operator", "it sorts out good ones", {"pilot": True}),
    ]


def test_a_station_that_is_away_is_told_and_no_error(served: Served, free_port: Callable[[], int]) -> None:
    with served.client("administrator") as client:
        client.call("PUT", "/stations/away", json={"url": f"http://127.0.0.1:{free_port()}"})
        client.call(
            "PUT", "/stations/locked", json={"url": "http://127.0.0.1:1", "token_env": "SIGHTLINE_STATION_NONE"}
        )
        for name, why in (("away", "does not answer"), ("locked", "is not set where the server runs")):
            found = client.get(f"/stations/{name}/status")
            assert not found["reachable"]
            assert why in found["why"]
        with pytest.raises(ApiError, match="Is it running"):
            client.post("/stations/away/stop")
        with pytest.raises(NotFoundError):
            client.get("/stations/nobody/status")


@pytest.mark.parametrize(
    "address",
    [
        {"url": "file:///etc/passwd"},
        {"url": "http://user:word@host:1"},
        {"url": "http://host:1/path?x=1"},
        {"url": "http://"},
        {"url": "http://host:99999"},
        {"url": "http://host:1", "token_env": "AWS_SECRET_ACCESS_KEY"},
        {"url": "http://host:1", "token_env": "SIGHTLINE_STATION_x"},
    ],
)
def test_only_addresses_of_ports_and_variables_of_stations_are_taken(served: Served, address: dict[str, str]) -> None:
    with served.client("administrator") as client, pytest.raises(ApiError) as caught:
        client.call("PUT", "/stations/desk", json=address)
    assert caught.value.status == 422


def test_of_two_who_change_an_address_the_second_is_told(served: Served, desk: Desk) -> None:
    with served.client("administrator") as client:
        etag = client.http.get("/stations/desk").headers["etag"]
        for code in (200, 412):
            answer = client.http.put("/stations/desk", json={"url": "http://127.0.0.1:2"}, headers={"If-Match": etag})
            assert answer.status_code == code
        assert "changed by administrator" in answer.json()["detail"]


def test_viewers_see_the_newest_part_with_its_age(desk: Desk, watch: Callable[..., ClientConnection]) -> None:
    desk.show()
    socket = watch("/stations/desk/live")
    told, pictures = split(socket.recv(10))
    assert (told["verdict"], told["still"], told["number"]) == ("NG", False, 1)
    view = told["views"][0]
    assert len(pictures) == view["jpeg_bytes"] + view["heat_bytes"]
    assert pictures[:2] == b"\xff\xd8"
    still, nothing = split(socket.recv(10))
    assert (still["still"], still["number"], nothing) == (True, 1, b"")
    assert still["age_ms"] >= told["age_ms"] + 900
    desk.show(Verdict.OK)
    while (told := split(socket.recv(10))[0])["still"]:
        pass
    assert (told["verdict"], told["number"], told["counts"]) == ("OK", 2, {"NG": 1, "OK": 1})


def test_a_viewer_that_reads_nothing_holds_up_nobody(desk: Desk, watch: Callable[..., ClientConnection]) -> None:
    desk.show()
    slow, quick = watch("/stations/desk/live"), watch("/stations/desk/live", "engineer")
    assert split(slow.recv(10))[0]["number"] == 1
    seen, until = 0, time.monotonic() + 4
    while time.monotonic() < until:
        start = time.perf_counter()
        desk.show()
        assert time.perf_counter() - start < 0.5
        told = split(quick.recv(10))[0]
        assert told["age_ms"] < 2000
        seen += not told["still"]
    assert seen > 10
    assert split(slow.recv(10))[0]["number"] > 1


def test_two_hundred_viewers_cost_the_station_what_one_does(
    served: Served, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[float] = []
    encode = live._encode

    def counted(newest: live.Newest) -> Any:
        encoded.append(time.monotonic())
        return encode(newest)

    monkeypatch.setattr(live, "_encode", counted)
    with served.client("operator") as client:
        cookie = "; ".join(f"{key}={value}" for key, value in client.http.cookies.items())
    address = served.url.replace("http", "ws") + "/api/v1/stations/desk/live"
    headers = {"Cookie": cookie, "Origin": served.url}
    seen: Counter[int] = Counter()

    async def view(number: int, ready: asyncio.Barrier) -> None:
        async with open_socket(address, additional_headers=headers, open_timeout=60) as socket:
            await ready.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(VIEWED_S):
                    async for message in socket:
                        seen[number] += not split(bytes(message))[0]["still"]

    async def line(ready: asyncio.Barrier) -> list[float]:
        await ready.wait()
        took, until = [], time.monotonic() + VIEWED_S
        while time.monotonic() < until:
            start = time.thread_time()
            desk.show()
            took.append(time.thread_time() - start)
            await asyncio.sleep(0.05)
        return took

    async def watched() -> list[float]:
        ready = asyncio.Barrier(VIEWERS + 1)
        async with asyncio.TaskGroup() as group:
            shown = group.create_task(line(ready))
            for number in range(VIEWERS):
                group.create_task(view(number, ready))
        return shown.result()

    took = asyncio.run(watched())
    assert len(seen) == VIEWERS, "every viewer saw something"
    assert len(encoded) <= VIEWED_S / live.PAUSE_S + 2, "a picture is encoded for all of them at once"
    assert float(np.median(took)) < 0.02, "the station's thread hardly notices"


def test_a_station_that_goes_away_is_told_to_its_viewers(desk: Desk, watch: Callable[..., ClientConnection]) -> None:
    desk.show()
    socket = watch("/stations/desk/live")
    assert split(socket.recv(10))[0]["number"] == 1
    desk.port.close()
    until = time.monotonic() + 10
    while "does not answer" not in split(socket.recv(10))[0].get("error", ""):
        assert time.monotonic() < until


def test_pages_of_other_sites_and_strangers_see_nothing(
    served: Served, desk: Desk, watch: Callable[..., ClientConnection]
) -> None:
    for wrong, code in (({"Origin": "http://evil.example.com"}, 403), ({"Cookie": ""}, 401)):
        with pytest.raises(InvalidStatus) as caught:
            watch("/stations/desk/live", **wrong)
        assert caught.value.response.status_code == code
    with pytest.raises(InvalidStatus) as caught:
        watch("/stations/nobody/live")
    assert caught.value.response.status_code == 404
    with served.client("reviewer") as client:
        secret = client.add_token("wall", ["read"])
    address = served.url.replace("http", "ws") + "/api/v1/stations/desk/live"
    with connect(address, additional_headers={"Authorization": f"Bearer {secret}"}) as socket:
        desk.show()
        assert split(socket.recv(10))[0]["verdict"] == "NG"


def test_who_is_logged_out_sees_no_more(
    served: Served, desk: Desk, watch: Callable[..., ClientConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LOOK_S", 0.3)
    socket = watch("/stations/desk/live")
    people.change_user(served.store, "operator", "administrator", disabled=True)
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            socket.recv(10)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == sockets.LOGGED_OUT


def test_what_claims_to_be_a_station_and_is_none_is_told(served: Served) -> None:
    with served.client("administrator") as client:
        client.call("PUT", "/stations/self", json={"url": served.url})
        assert "not a station's port" in client.get("/stations/self/status")["why"]
