"""What stands before every request: foreign names, bodies without end, and headers for browsers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from tests.web.conftest import PASSWORD, Serve, Served

from sightline.core.errors import SettingError
from sightline.web.settings import WebSettings


def test_a_foreign_host_name_is_refused_whatever_it_asks_for(served: Served) -> None:
    """DNS rebinding: a site's own name that points to this machine."""
    for host in ("evil.example.com", "evil.example.com:8000", "127.0.0.1.evil.example.com", "", "localhost@evil"):
        answer = httpx.get(f"{served.url}/api/v1/health", headers={"Host": host})
        assert answer.status_code in {400, 421}, host
    for host in ("localhost", "LOCALHOST:1234", "127.0.0.1:8000", "[::1]:80"):
        assert httpx.get(f"{served.url}/api/v1/health", headers={"Host": host}).status_code == 200


def test_more_bytes_than_allowed_are_refused_before_they_are_read(serve: Serve) -> None:
    served = serve(body_mb=0.1)
    address = urlsplit(served.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10) as caller:
        caller.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        assert b"413" in caller.recv(4096)


def test_a_body_that_does_not_say_how_long_it_is_ends_at_the_limit(serve: Serve) -> None:
    served = serve(body_mb=0.1)

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 10_000

    try:
        answer = httpx.post(f"{served.url}/api/v1/session", content=endless())
    except (httpx.WriteError, httpx.ReadError):
        return  # hung up on
    assert answer.status_code == 413
    assert "larger than the 0.1 MB" in answer.json()["detail"]


def test_every_answer_keeps_browsers_careful(served: Served) -> None:
    for path in ("/", "/api/v1/health", "/nothing", "/api/v1/users"):
        headers = httpx.get(served.url + path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "'unsafe-eval'" not in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


def test_errors_are_problems_and_never_repeat_what_was_sent(served: Served) -> None:
    with served.client() as client:
        for answer in (
            client.http.get("/nothing"),
            client.http.put("/session"),
            client.http.post("/session", content=b"{not json"),
            client.http.post("/session", json={"name": "operator", "password": {"x": PASSWORD}, "more": PASSWORD}),
        ):
            assert answer.headers["content-type"] == "application/problem+json", answer.text
            told = answer.json()
            assert told["status"] == answer.status_code
            assert told["detail"]
            assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"host": "0.0.0.0"}, "in the clear. Give --certificate"),
        ({"host": "192.168.1.5"}, "in the clear"),
        ({"host": "0.0.0.0", "behind_proxy": True}, "--allow-host"),
        ({"certificate": "a.pem"}, "belong together"),
        ({"certificate": "a.pem", "private_key": "b.pem"}, "is not there"),
        ({"port": 70000, "hots": "x"}, "port.*hots"),
    ],
)
def test_a_server_is_not_started_where_it_would_be_open(values: dict[str, object], match: str) -> None:
    with pytest.raises(SettingError, match=match):
        WebSettings.parse(values)
