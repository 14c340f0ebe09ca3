"""The server itself: over TLS, on a port that is taken, and from pages of other sites."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.web.conftest import PASSWORD, Serve, Served

from sightline.core.errors import SettingError
from sightline.store.store import Store
from sightline.web.server import Worker, listen
from sightline.web.settings import WebSettings


def test_over_tls_cookies_never_leave_in_the_clear(serve: Serve, certificate: tuple[Path, Path]) -> None:
    served = serve(certificate=certificate[0], private_key=certificate[1])
    url = served.url.replace("http://", "https://") + "/api/v1"
    with httpx.Client(verify=ssl.create_default_context(cafile=str(certificate[0]))) as client:
        answer = client.post(f"{url}/session", json={"name": "operator", "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith("__Host-")
        assert "max-age" in answer.headers["strict-transport-security"]
        assert client.get(f"{url}/session").json()["user"] == "operator"
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{served.url}/api/v1/health")


def test_a_port_that_is_taken_is_told_with_the_remedy(free_port: Callable[[], int]) -> None:
    port = free_port()
    told = f"cannot listen on 127.0.0.1:{port}.*another --host or --port"
    with socket.create_server(("127.0.0.1", port)), pytest.raises(SettingError, match=told):
        listen(WebSettings(port=port))


def test_no_part_of_an_answer_waits_for_the_receipt_of_another() -> None:
    with listen(WebSettings(port=0)) as place, socket.create_connection(place.getsockname()):
        connection, _ = place.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_server_that_is_told_to_end_while_it_starts_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sightline", "serve", "--port", "0", "--set", "worker=false"]
    process = subprocess.Popen([*command, "--db", str(tmp_path / "store.db")], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert "is on" in process.stderr.readline()  # uvicorn is about to start
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_address_of_the_database_is_no_argument_of_the_worker(tmp_path: Path) -> None:
    """It may hold a password, and every user of a machine can read the arguments of all processes."""
    with Store.open(tmp_path / "store.db") as store:
        working = Worker(store, tmp_path / "work")
        try:
            until = time.monotonic() + 20
            while not (arguments := _arguments_of_children("worker")) and time.monotonic() < until:
                time.sleep(0.05)
            assert arguments
            assert not [told for told in arguments if str(tmp_path / "store.db") in told or "store-images" in told]
        finally:
            working.close()


def _arguments_of_children(word: str) -> list[str]:
    numbers = [n for task in Path("/proc/self/task").glob("*/children") for n in task.read_text().split()]
    found = [Path(f"/proc/{n}/cmdline").read_bytes().replace(b"\0", b" ").decode() for n in numbers]
    return [told for told in found if f"sightline {word}" in told]


def test_a_page_of_another_site_logs_nobody_in(served: Served) -> None:
    form = {"name": "operator", "password": PASSWORD}
    for origin in ("https://evil.example.com", "null", "http://127.0.0.1:1", served.url + ".evil.example.com"):
        answer = httpx.post(f"{served.url}/api/v1/session", json=form, headers={"Origin": origin})
        assert answer.status_code == 403, origin
    assert httpx.post(f"{served.url}/api/v1/session", json=form, headers={"Origin": served.url}).status_code == 201
    # A form of another site cannot send this type without asking first.
    plain = {"Content-Type": "text/plain"}
    body = b'{"name": "operator", "password": "correct horse battery"}'
    assert httpx.post(f"{served.url}/api/v1/session", content=body, headers=plain).status_code == 422
