"""The webhook against a real HTTP server: signed, in order, once it is taken, and refused messages stay to be seen."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sightline.core.errors import SettingError
from sightline.devices.outbox import Outbox
from sightline.devices.sinks.table import open_sink
from sightline.devices.sinks.webhook import sign

KEY = "a key that nobody guesses"
QUICK = {"backoff": {"first_ms": 20, "longest_ms": 50}, "timeout_ms": 500}


class Receiver:
    """Checks the signature and answers with the statuses of its script, then 200."""

    def __init__(self, port=0, statuses=(), tls=None, delay_s=0.0, refused=""):
        receiver = self
        self.statuses, self.taken, self.seen, self.delay_s = list(statuses), [], 0, delay_s

        class Handler(BaseHTTPRequestHandler):
            protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signature = sign(KEY, self.headers["X-Sightline-Timestamp"], self.headers["X-Sightline-Sequence"], body)
                receiver.seen += 1
                fresh = abs(time.time() - int(self.headers["X-Sightline-Timestamp"])) < 60
                good = self.headers["X-Sightline-Signature"] == f"sha256={signature}" and fresh
                status = (receiver.statuses.pop(0) if receiver.statuses else 200) if good else 401
                status = 422 if json.loads(body)["part_id"] == refused else status
                time.sleep(receiver.delay_s)
                if status == 200:
                    receiver.taken.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

            def handle(self):
                with contextlib.suppress(OSError):
                    super().handle()

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads, self.server.block_on_close = True, False
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def parts(self):
        return [body["part_id"] for body in self.taken]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook(monkeypatch, tmp_path):
    monkeypatch.setenv("HOOK_KEY", KEY)
    opened = []

    def open_hook(port, **options):
        values = {"kind": "webhook", "url": f"http://127.0.0.1:{port}/verdicts?line=2", "outbox": tmp_path / "box.db"}
        opened.append(open_sink({**values, "key": {"env": "HOOK_KEY"}, **QUICK, **options}))
        return opened[-1]

    yield open_hook
    for sink in opened:
        sink.close()


def test_signals_arrive_signed_and_in_order(hook, signal, until):
    receiver = Receiver()
    sink = hook(receiver.port)
    sent = [signal(f"{number}") for number in range(30)]
    for one in sent:
        sink.send(one)
    until(lambda: sink.health().waiting == 0)
    assert receiver.taken == [one.to_json() for one in sent]
    receiver.close()


def test_what_fails_is_tried_again_in_order(hook, signal, until):
    receiver = Receiver(statuses=[503, 200, 500, 429, 404, 200])
    sink = hook(receiver.port)
    for number in range(4):
        sink.send(signal(f"{number}"))
    until(lambda: sink.health().waiting == 0)
    assert receiver.parts() == ["0", "1", "2", "3"] and receiver.seen == 8
    assert sink.health().failures >= 2
    receiver.close()


def test_an_outage_is_caught_up_with(hook, signal, until, free_port):
    port = free_port()
    sink = hook(port)
    start = time.monotonic()
    for number in range(10):
        sink.send(signal(f"{number}"))
    assert time.monotonic() - start < 2
    until(lambda: sink.health().error)
    assert "cannot be reached" in sink.health().error and sink.health().waiting == 10
    receiver = Receiver(port)
    until(lambda: sink.health().waiting == 0)
    assert receiver.parts() == [str(number) for number in range(10)]
    receiver.close()


def test_a_message_refused_for_good_is_set_aside(hook, signal, until, tmp_path):
    receiver = Receiver(refused="1")
    sink = hook(receiver.port)
    for number in range(3):
        sink.send(signal(f"{number}"))
    until(lambda: sink.health().waiting == 0)
    assert receiver.parts() == ["0", "2"]
    sink.close()
    box = Outbox(tmp_path / "box.db")
    [(message, why)] = box.refused()
    assert json.loads(message.body)["part_id"] == "1" and why == "status 422"
    box.close()


def test_a_slow_receiver_is_cut_off_and_blocks_nobody(hook, signal, until):
    receiver = Receiver(delay_s=0.4)
    sink = hook(receiver.port, timeout_ms=100)
    start = time.monotonic()
    sink.send(signal())
    assert time.monotonic() - start < 0.3
    until(lambda: "timed out" in sink.health().error)
    receiver.delay_s = 0.0
    until(lambda: sink.health().waiting == 0)
    receiver.close()


def test_a_wrong_key_is_told(hook, signal, until, monkeypatch):
    receiver = Receiver()
    monkeypatch.setenv("OTHER", "another key")
    sink = hook(receiver.port, key={"env": "OTHER"})
    sink.send(signal())
    until(lambda: "status 401" in sink.health().error)
    assert sink.health().waiting == 1 and "another key" not in sink.health().error
    receiver.close()


def test_https_is_checked_against_its_authority(hook, signal, until, certificate):
    receiver = Receiver(tls=certificate)
    url = f"https://localhost:{receiver.port}/"
    sink = hook(receiver.port, url=url, tls={"ca_file": certificate[0]})
    sink.send(signal("tls"))
    until(lambda: receiver.parts() == ["tls"])
    sink.close()
    stranger = hook(receiver.port, url=url)
    stranger.send(signal("lost"))
    until(lambda: "certificate" in stranger.health().error.lower())
    assert receiver.parts() == ["tls"]
    receiver.close()


def test_a_signature_binds_time_and_body():
    assert sign("k", "1", "1", b"a") != sign("k", "2", "1", b"a") != sign("k", "2", "1", b"b")
    assert (
        sign("key", "1700000000", "7", b"{}") == "7d77906aa04e21e7594d136aeb6a5f54936f92be467435916bcc94485b6bca93"
    )  # as openssl has it


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://localhost/", "https://me:pw@example.com/", "nonsense"])
def test_unsafe_addresses_are_refused(hook, url):
    with pytest.raises(SettingError):
        hook(1, url=url)


def test_the_sequence_is_signed_so_that_none_can_be_left_out_or_put_elsewhere():
    told = sign(KEY, "1700000000", "7", b"{}")
    assert told != sign(KEY, "1700000000", "8", b"{}") and told != sign(KEY, "17000000007", "", b"{}")
