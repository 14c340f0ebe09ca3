"""The bench's routes: frames looked at live, parts recorded once, links that log in once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import cv2
import httpx
import numpy as np
import pytest
from tests.conftest import draw_part
from tests.web.conftest import Serve, Served
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from sightline.core.result import Verdict
from sightline.operations import invitations, people
from sightline.operations.invitations import Invitations
from sightline.store.inspections import Record


def frame(seed: int = 3, flawed: bool = False, blur: float = 0.0) -> bytes:
    """A plate before a camera that sees more of the weave around its disc than the recipe's pictures show; as PNG."""
    whole = draw_part(seed, flawed, 144, 192)[0]
    if blur:
        whole = np.asarray(cv2.GaussianBlur(whole, (0, 0), blur), np.uint8)
    return cv2.imencode(".png", whole[..., ::-1])[1].tobytes()


@pytest.fixture
def eye(served: Served, kept: str) -> Iterator[ClientConnection]:
    with served.client("operator") as client:
        cookie = "; ".join(f"{key}={value}" for key, value in client.http.cookies.items())
        address = served.url.replace("http", "ws") + f"/api/v1/bench/live?recipe={kept}"
        with connect(address, additional_headers={"Cookie": cookie, "Origin": served.url}) as socket:
            yield socket


def test_frames_are_answered_and_only_a_good_one_has_a_verdict(eye: ClientConnection) -> None:
    eye.send(frame(flawed=True, seed=6))
    told = json.loads(eye.recv(20))
    assert (told["state"], told["size"]) == ("ready", [192, 144])
    assert told["verdict"] in {"NG", "REVIEW"}
    assert told["defects"]
    x, y, w, h = told["view"]
    assert (x, y, w, h) == pytest.approx((32, 24, 128, 96), abs=6)
    for defect in told["defects"]:
        assert all(x <= px <= x + w and y <= py <= y + h for px, py in defect["contour"])
    eye.send(frame(blur=4.0))
    told = json.loads(eye.recv(20))
    assert (told["state"], told["verdict"]) == ("blurred", None)
    eye.send(b"no picture")
    assert "not a readable image" in json.loads(eye.recv(20))["error"]


def test_of_frames_that_come_too_fast_only_the_newest_counts(eye: ClientConnection) -> None:
    for _ in range(8):
        eye.send(frame())
    answers = [json.loads(eye.recv(20))]
    with pytest.raises(TimeoutError):
        while True:
            answers.append(json.loads(eye.recv(1.5)))
    assert len(answers) < 8


def test_a_frame_of_many_megabytes_ends_the_connection(eye: ClientConnection) -> None:
    with pytest.raises(ConnectionClosed):
        eye.send(b"\xff\xd8\xff" + bytes(3_000_000))
        eye.recv(20)


def test_a_part_is_recorded_once_with_who_and_what(served: Served, kept: str) -> None:
    values = {"recipe": kept, "key": "part-0001-1", "station": "goods-in", "attempt": 2, "seconds": 3.5, "serial": "S7"}
    with served.client("operator") as client:
        first, again = (client.http.post("/bench/inspections", params=values, content=frame()) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["inspection"] == again.json()["inspection"]
    (record,) = served.store.inspections.page()
    assert (record.station, record.serial, record.recipe_hash, record.key) == ("goods-in", "S7", kept, "part-0001-1")
    assert (record.details["inspected_by"], record.details["attempt"], record.details["seconds"]) == (
        "operator",
        2,
        3.5,
    )
    assert str(record.verdict) == first.json()["verdict"]
    assert served.store.images.holds(str(record.image_hash))
    # The picture that is kept is the one that was judged.
    with served.client("operator") as client:
        told = client.http.post(f"/recipes/{kept}/inspect", content=served.store.images.read(str(record.image_hash)))
    assert told.json()["score"] == pytest.approx(first.json()["score"], abs=1e-4)


def test_what_does_not_count_is_not_recorded(served: Served, kept: str) -> None:
    with served.client("operator") as client:
        values = {"recipe": kept, "key": "part-0002-1"}
        refused = client.http.post("/bench/inspections", params=values, content=frame(blur=4.0))
        half = client.http.post("/bench/inspections", params={**values, "device_verdict": "OK"}, content=frame())
        empty = client.http.post("/bench/inspections", params=values)
    assert (refused.status_code, half.status_code, empty.status_code) == (409, 422, 422)
    assert "not inspected: the picture is not sharp" in refused.json()["detail"]
    assert served.store.inspections.page() == ()


def test_the_graver_verdict_of_server_and_device_counts(served: Served, kept: str) -> None:
    with served.client("operator") as client:
        for number, (flawed, device) in enumerate(((False, "NG"), (True, "OK"))):
            values = {"recipe": kept, "key": f"part-000{number}", "device_verdict": device, "device_score": 1.0}
            picture = frame(6 if flawed else 3, flawed)
            assert client.http.post("/bench/inspections", params=values, content=picture).status_code == 201
    flawed_one, good_one = served.store.inspections.page()
    assert str(good_one.verdict) == "NG"
    assert str(flawed_one.verdict) != "OK"
    assert good_one.details["device"] == {"verdict": "NG", "score": 1.0}


def test_beside_a_marker_defects_are_measured(served: Served, kept: str) -> None:
    whole = cv2.resize(draw_part(6, True, 144, 192)[0], None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    whole = cv2.copyMakeBorder(whole, 0, 0, 250, 250, cv2.BORDER_REFLECT)
    with served.client("operator") as client:
        printed = client.http.get("/bench/marker", params={"number": 3, "size_mm": 20})
        sheet = cv2.imdecode(np.frombuffer(printed.content, np.uint8), cv2.IMREAD_COLOR)
        assert b"pHYs" in printed.content[:64] and "marker-3-20mm.png" in printed.headers["Content-Disposition"]
        sheet = cv2.resize(sheet, (200, 240), interpolation=cv2.INTER_AREA)  # 120 px, so 6 px for each mm
        plain = cv2.imencode(".png", whole[..., ::-1])[1].tobytes()
        whole[150:390, 1050:1250] = sheet
        picture = cv2.imencode(".png", whole[..., ::-1])[1].tobytes()
        form = {"recipe": kept, "size_mm": 20}
        assert client.http.post("/bench/marker", params=form, content=plain).status_code == 422
        learned = client.http.post("/bench/marker", params=form, content=picture).json()
        assert (learned["number"], learned["turn_deg"]) == (3, pytest.approx(0, abs=0.5))
        form = {"recipe": kept, "marker": learned["marker"], "key": "part-0001"}
        told = client.http.post("/bench/inspections", params=form, content=picture).json()
        assert told["state"] == "ready" and len(told["marker"]["corners"]) == 4
        unseen = client.http.post("/bench/inspections", params={**form, "key": "part-0002"}, content=plain)
        assert unseen.status_code == 409 and "the marker is not in view" in unseen.json()["detail"]
        assert (
            client.http.post("/bench/inspections", params={**form, "marker": "3,4"}, content=plain).status_code == 422
        )
    (record,) = served.store.inspections.page()
    (view,) = record.details["views"]
    assert view["marker"] == learned["marker"] and view["mm_per_px"] == pytest.approx(4 / 6, rel=0.05)
    assert view["defects"]
    for one in view["defects"]:
        assert one["area_mm2"] == pytest.approx(one["area_px"] * view["mm_per_px"] ** 2, rel=1e-3)
        assert one["size_mm"] == pytest.approx([side * view["mm_per_px"] for side in one["box"][2:]], abs=0.01)


def keep(served: Served, picture: bytes, **values: object) -> httpx.Response:
    with served.client("operator") as client:
        return client.http.post("/bench/inspections", params=values, content=picture)


def test_nobody_writes_by_hand_into_the_record_of_a_station(served: Served, kept: str) -> None:
    served.store.inspections.record(Record(station="press-3", verdict=Verdict.OK, triggered=datetime.now(UTC)))
    served.store.stations.put("press-4", "http://127.0.0.1:9", "", "ann")
    for number, station in enumerate(("press-3", "press-4")):
        refused = keep(served, frame(), recipe=kept, key=f"part-000{number}", station=station)
        assert refused.status_code == 409
        assert f"{station} is a station of the line" in refused.json()["detail"]
    assert len(served.store.inspections.page()) == 1
    for number in range(2):
        assert keep(served, frame(), recipe=kept, key=f"part-001{number}", station="desk").status_code == 201


@pytest.mark.parametrize(("hours", "status"), [(-25.0, 422), (-23.0, 201), (1 / 120, 201), (1 / 20, 422)])
def test_a_part_was_shown_today(served: Served, kept: str, hours: float, status: int) -> None:
    shown = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    assert keep(served, frame(), recipe=kept, key="part-0001", shown=shown).status_code == status
    assert all(one.triggered <= datetime.now(UTC) for one in served.store.inspections.page())


def test_a_key_names_one_part_for_good(served: Served, kept: str) -> None:
    assert keep(served, frame(), recipe=kept, key="part-0001").status_code == 201
    other = keep(served, frame(6, flawed=True), recipe=kept, key="part-0001")
    elsewhere = keep(served, frame(), recipe=kept, key="part-0001", station="desk")
    assert (other.status_code, elsewhere.status_code) == (409, 409)
    assert "names another part already" in other.json()["detail"]
    assert len(served.store.inspections.page()) == 1


def test_only_a_promoted_recipe_counts(served: Served, kept: str) -> None:
    hour = datetime.now(UTC) - timedelta(hours=1)
    for number, state in enumerate(("candidate", "promoted", "retired")):
        served.store.recipes.set_state(kept, state, "ann")
        told = keep(served, frame(), recipe=kept, key=f"part-000{number}").json()
        assert told["purpose"] == ("production" if state == "promoted" else "trial")
    assert sum(one.parts for one in served.store.inspections.hourly_yield(hour, hour + timedelta(hours=3))) == 1
    assert [one.counts for one in served.store.inspections.page()] == [False, True, False]


def test_a_link_logs_in_once_as_an_operator(served: Served) -> None:
    with served.client("engineer") as client:
        link = client.call("POST", "/session/links", json={"to": "/bench?recipe=abc"})
    assert link["address"].startswith(served.url + "/join#")
    assert link["qr"].startswith("data:image/svg+xml")
    assert (link["user"], link["reachable"]) == ("engineer", False)
    token = link["address"].partition("#")[2]
    with httpx.Client(base_url=served.url + "/api/v1") as phone:
        assert phone.post("/session/link", json={"token": token}).json() == {"user": "engineer"}
        joined = phone.post("/session/join", json={"token": token})
        assert joined.status_code == 201
        assert (joined.json()["user"], joined.json()["role"], joined.json()["to"]) == (
            "engineer", "operator", "/bench?recipe=abc",
        )  # fmt: skip
        assert phone.get("/session").json()["role"] == "operator"
        headers = {"X-CSRF-Token": joined.json()["csrf_token"]}
        assert phone.post("/jobs", json={"job": {"kind": "check", "product": "x"}}, headers=headers).status_code == 403
        again = phone.post("/session/links", json={"to": "/bench"}, headers=headers)
        assert (again.status_code, "only who logged in with the password" in again.text) == (403, True)
    for wrong in (token, "", "x" * 43):
        for route in ("join", "link"):
            assert httpx.post(f"{served.url}/api/v1/session/{route}", json={"token": wrong}).status_code == 401
    actions = [entry.action for entry in served.store.audit.page(limit=10)]
    assert {"make link", "log in"} <= set(actions)


@pytest.mark.parametrize("to", ["//elsewhere", "/\\elsewhere", "https://elsewhere", "bench", "/a#b", "/a b"])
def test_a_link_leads_nowhere_else(served: Served, to: str) -> None:
    with served.client("operator") as client:
        answer = client.http.post("/session/links", json={"to": to}, headers={"X-CSRF-Token": "x"})
    assert answer.status_code in {403, 422}


def test_links_run_out_and_a_shut_out_person_has_none(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    held = Invitations(valid_s=60.0)
    with served.client("administrator") as client:
        identity = invitations.Identity(served.store.users.credentials("operator").user, "operator")  # type: ignore[union-attr]
        first, second = (held.make(served.store, identity, "/bench") for _ in range(2))
        with pytest.raises(invitations.ForbiddenError, match="used already"):
            held.take(served.store, first)  # a new one ends the old one
        third = held.make(served.store, identity, "/bench")
        people.change_user(served.store, "operator", "ann", password="another long sentence")
        with pytest.raises(invitations.ForbiddenError):
            held.take(served.store, third)
        identity = invitations.Identity(served.store.users.credentials("operator").user, "operator")  # type: ignore[union-attr]
        second = held.make(served.store, identity, "/bench")
        client.call("PATCH", "/users/operator", json={"disabled": True, "reason": "left"})
        with pytest.raises(invitations.ForbiddenError):
            held.take(served.store, second)
    administrator = invitations.Identity(served.store.users.credentials("administrator").user, "administrator")  # type: ignore[union-attr]
    last = Invitations(valid_s=-1.0)
    with pytest.raises(invitations.ForbiddenError):
        last.take(served.store, last.make(served.store, administrator, "/bench"))
