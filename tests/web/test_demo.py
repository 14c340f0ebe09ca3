"""The demo as a newcomer sees it: sample parts, verdicts, and at the end the app with a line at work."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

STARTED_S, LINE_S = 400, 90  # beside other tests on two cores


@pytest.mark.slow
def test_the_demo_ends_with_the_app_and_a_line_at_work_until_it_is_told_to_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "sightline", "demo", "--folder", str(tmp_path / "demo"), "--effort", "quick"]
    with log.open("w") as output:
        demo = subprocess.Popen([*command, "--app"], stdout=output, stderr=subprocess.STDOUT, cwd=tmp_path)
    try:
        found = _wait_for(log, r"(http://127\.0\.0\.1:\d+)/setup#(\S+)", demo)
        address, token = found.groups()
        with httpx.Client(base_url=f"{address}/api/v1") as client:
            person = {"name": "ann", "password": "a sentence that nobody guesses"}
            assert client.post("/setup", json={"token": token, **person}).status_code == 201
            assert client.post("/session", json=person).status_code == 201
            stations = client.get("/stations").json()["items"]
            assert [station["name"] for station in stations] == ["station-1", "station-2"]
            until = time.monotonic() + LINE_S
            while not (parts := client.get("/inspections", params={"limit": 5}).json()["items"]):
                assert time.monotonic() < until, log.read_text()
                time.sleep(1)
            assert parts[0]["product"] == "cap"
            assert client.get("/stations/station-1/status").json()["reachable"]
            assert client.get("/recipes").json()["items"][0]["state"] == "promoted"
            product = client.get("/products").json()["items"][0]
            assert product["product"] == "cap"
            assert product["samples"] >= 108, "the sample parts, and those that the line has kept since"
        demo.send_signal(signal.SIGINT)
        demo.wait(60)
    finally:
        demo.kill()
        demo.wait()


def _wait_for(log: Path, pattern: str, process: subprocess.Popen[bytes]) -> re.Match[str]:
    until = time.monotonic() + STARTED_S
    while (found := re.search(pattern, log.read_text())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.5)
    return found
