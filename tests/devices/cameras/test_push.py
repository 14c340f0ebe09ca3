"""Pictures by HTTP POST: taken in order, refused with the right status."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time

import cv2
import numpy as np
import pytest

from sightline.core.errors import CameraError, SettingError
from sightline.devices.cameras.table import open_camera

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
TOLD = {"Content-Type": "image/png"}
PNG = cv2.imencode(".png", IMAGE[..., ::-1])[1].tobytes()

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer open sesame\r\nContent-Type: image/png\r\n"


def png(seed):
    image = np.random.default_rng(seed + 1).integers(0, 256, (20, 30, 3), np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture
def push(free_port, monkeypatch):
    monkeypatch.setenv("PUSH_TOKEN", "open sesame")
    port = free_port()
    camera = open_camera(
        {"kind": "push", "port": port, "token": {"env": "PUSH_TOKEN"}, "bytes_max": 5000, "waiting_max": 2}
    )

    def post(data, token="open sesame", path="/?part=A7", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        told = {"Authorization": f"Bearer {token}", "Content-Type": "image/png"}
        connection.request("POST", path, data, {**told, **(headers or {})})
        return connection.getresponse().status

    yield camera, post, port
    camera.close()


def test_a_picture_arrives_bit_equal_with_its_part(push):
    camera, post, _ = push
    assert post(PNG) == 202
    frame = camera.grab(1000)
    assert np.array_equal(frame.image, IMAGE) and frame.metadata["part_id"] == "A7"
    with pytest.raises(CameraError, match="no picture was sent"):
        camera.grab(10)


@pytest.mark.parametrize(
    ("data", "status"), [(PNG[:-30], 422), (b"hello", 415), (b"", 415), (b"x" * 6000, 413)], ids=str
)
def test_what_is_no_whole_picture_is_refused(push, data, status):
    camera, post, _ = push
    assert post(data) == status
    with pytest.raises(CameraError):
        camera.grab(10)


def test_an_id_that_is_too_long_is_refused_not_cut(push):
    _, post, _ = push
    assert post(PNG, path="/?part=" + "A" * 65) == 400
    assert post(PNG, path="/?part=" + "A" * 64) == 202


def test_a_wrong_token_is_refused(push):
    assert push[1](PNG, token="guess") == 401


def test_more_than_may_wait_is_refused(push):
    camera, post, _ = push
    assert [post(png(n)) for n in range(3)] == [202, 202, 503]
    camera.grab(100)
    assert post(png(2)) == 202


def test_a_caller_that_hangs_up_does_no_harm(push):
    camera, post, port = push
    with socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(HEAD + b"Content-Length: 900\r\n\r\nabc")
    assert post(PNG) == 202
    camera.grab(1000)


def test_callers_that_hang_are_bounded_and_cut_off(push, free_port, until):
    port = free_port()
    camera = open_camera({"kind": "push", "port": port, "timeout_ms": 300, "token": {"env": "PUSH_TOKEN"}})
    callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    for caller in callers:
        caller.sendall(HEAD + b"Content-Length: 900\r\n\r\na")
    start = time.monotonic()
    for caller in callers:
        caller.settimeout(5)
        with contextlib.suppress(ConnectionError):
            while caller.recv(1000):
                pass
        caller.close()
    assert time.monotonic() - start < 4

    def taken():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("POST", "/", PNG, {"Authorization": "Bearer open sesame", **TOLD})
            return connection.getresponse().status == 202
        except OSError:
            return False
        finally:
            connection.close()

    until(taken)
    camera.close()


def test_https_is_spoken_with_a_certificate(certificate, free_port, tmp_path):
    port, file = free_port(), tmp_path / "token"
    tls = {"certificate": certificate[0], "private_key": certificate[1]}
    camera = open_camera({"kind": "push", "port": port, "token_file": file, **tls})
    trusted = ssl.create_default_context(cafile=certificate[0])
    connection = http.client.HTTPSConnection("localhost", port, timeout=5, context=trusted)
    connection.request("POST", "/", PNG, {"Authorization": f"Bearer {file.read_text().strip()}", **TOLD})
    assert connection.getresponse().status == 202
    connection.close()
    assert np.array_equal(camera.grab(1000).image, IMAGE)
    camera.close()


def test_a_header_that_promises_a_huge_picture_is_refused_undecoded(push):
    bomb = bytearray(PNG)
    bomb[16:24] = (60000).to_bytes(4, "big") * 2
    assert push[1](bytes(bomb)) == 413


def test_other_machines_need_a_token():
    with pytest.raises(SettingError, match="set a token"):
        open_camera({"kind": "push", "host": "0.0.0.0"})
    with pytest.raises(SettingError, match="NO_SUCH_TOKEN"):
        open_camera({"kind": "push", "token": {"env": "NO_SUCH_TOKEN"}})


def test_a_port_that_is_taken_is_said(monkeypatch):
    monkeypatch.setenv("PUSH_TOKEN", "open sesame")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        camera = open_camera({"kind": "push", "port": other.getsockname()[1], "token": {"env": "PUSH_TOKEN"}})
        with pytest.raises(CameraError, match="Choose another port"):
            camera.grab(10)
        camera.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8300"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "127.0.0.1:99"}, 202),
        ({"Host": "localhost"}, 202),
        ({"Content-Type": "image/png; charset=binary"}, 202),
    ],
)
def test_a_site_that_a_browser_visits_can_send_no_picture(push, headers, status):
    camera, post, _ = push
    assert post(PNG, headers=headers) == status
    if status != 202:
        with pytest.raises(CameraError):
            camera.grab(10)


def test_bytes_that_repeat_are_refused_until_it_is_allowed(push, free_port, tmp_path):
    camera, post, _ = push
    assert post(PNG) == 202
    camera.grab(100)
    assert post(PNG) == 409 and post(png(1)) == 202 and post(PNG) == 409
    port = free_port()
    other = open_camera({"kind": "push", "port": port, "token": {"env": "PUSH_TOKEN"}, "repeats_max": 0})
    for _ in range(2):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("POST", "/", PNG, {"Authorization": "Bearer open sesame", **TOLD})
        assert connection.getresponse().status == 202
        other.grab(500)
    other.close()


def test_without_a_token_one_is_made_and_kept_for_its_owner(free_port, tmp_path):
    port, file = free_port(), tmp_path / "own" / "token"
    for _ in range(2):
        camera = open_camera({"kind": "push", "port": port, "token_file": file})
        token = file.read_text().strip()
        assert len(token) >= 32 and file.stat().st_mode & 0o077 == 0
        for sent, status in (("", 401), (f"Bearer {token}x", 401), (f"Bearer {token}", 202)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", "/", PNG, {**TOLD, **({"Authorization": sent} if sent else {})})
            assert connection.getresponse().status == status
        camera.close()


def test_the_token_of_a_camera_without_a_station_is_kept_where_programs_keep_theirs(free_port, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    open_camera({"kind": "push", "port": free_port(), "name": "../top"}).close()
    assert not list((tmp_path / "cwd").iterdir())
    (file,) = (tmp_path / "state" / "sightline").iterdir()
    assert file.name == "push-token-___top" and file.stat().st_mode & 0o077 == 0 == file.parent.stat().st_mode & 0o077


def test_callers_that_dribble_do_not_keep_others_out(push):
    _, post, port = push
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for connection in slow:
        connection.sendall(b"POST / HTTP/1.1\r\nX: ")
    start = time.monotonic()
    assert post(PNG) == 202 and time.monotonic() - start < 4
    for connection in slow:
        connection.close()
