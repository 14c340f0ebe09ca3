"""Events: what happens is told within a second to everybody who listens, and what people do in private is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.web.conftest import Served
from websockets.sync.client import ClientConnection, connect

from sightline.core.result import Verdict
from sightline.store.inspections import Record
from sightline.web import events


@pytest.fixture
def heard(served: Served) -> Iterator[ClientConnection]:
    """An operator who listens."""
    with served.client("operator") as client:
        cookie = "; ".join(f"{key}={value}" for key, value in client.http.cookies.items())
        headers = {"Cookie": cookie, "Origin": served.url}
        with connect(served.url.replace("http", "ws") + "/api/v1/events", additional_headers=headers) as socket:
            time.sleep(events.POLL_S)
            yield socket


def record(number: int) -> Record:
    return Record(station="desk", verdict=Verdict.NG, triggered=datetime.now(UTC), serial=f"S{number}")


def until(socket: ClientConnection, **wanted: Any) -> list[dict[str, Any]]:
    """Everything up to the first event that has these values."""
    found = []
    while True:
        found.append(json.loads(socket.recv(15)))
        if all(found[-1].get(name) == value for name, value in wanted.items()):
            return found


def test_inspections_jobs_and_changes_are_told(served: Served, heard: ClientConnection) -> None:
    served.store.inspections.record(record(1))
    told = until(heard, kind="inspection")[-1]
    assert (told["serial"], told["verdict"], told["station"]) == ("S1", "NG", "desk")
    job = served.store.jobs.add("check", {}, "ann")
    until(heard, kind="job", id=job.id, state="queued")
    served.store.jobs.claim("w")
    served.store.jobs.beat(job.id, "w", {"stage": "looking", "done": 1, "of": 2})
    told = until(heard, kind="job", state="running", progress={"stage": "looking", "done": 1, "of": 2})[-1]
    served.store.jobs.finish(job.id, "w", {})
    until(heard, kind="job", state="done")
    served.store.audit.note("ann", "promoted", "recipe abc")
    assert until(heard, kind="change", subject="recipe abc")[-1]["author"] == "ann"


def test_what_concerns_only_administrators_is_not_told(served: Served, heard: ClientConnection) -> None:
    with served.client("engineer"):
        served.store.audit.note("ann", "promoted", "recipe abc")
        found = until(heard, subject="recipe abc")
    assert not [event for event in found if event["kind"] == "change" and "user" in event["subject"]]


def test_more_than_anybody_can_read_is_only_counted(served: Served, heard: ClientConnection) -> None:
    served.store.inspections.record_many([record(number) for number in range(1000)])
    counted = until(heard, kind="inspections")[-1]["count"]
    assert counted >= 900
    served.store.inspections.record(record(2000))
    assert until(heard, kind="inspection")[-1]["serial"] == "S2000"
