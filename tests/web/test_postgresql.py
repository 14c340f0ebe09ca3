"""The main way through the API over PostgreSQL: the first user, pictures in, parts judged and reviewed, figures."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.web.api.test_inspections import DAY, START, record
from tests.web.conftest import PASSWORD, Served, running

from sightline.core.errors import ConflictError, ForbiddenError
from sightline.core.result import Verdict
from sightline.operations.worker import work
from sightline.store.store import Store


@pytest.fixture
def served(postgresql: Callable[[str], str], tmp_path: Path) -> Iterator[Served]:
    """A server over an empty store in PostgreSQL, where nobody has been yet."""
    with Store.open(postgresql("open"), tmp_path / "images") as store:
        assert not store.database.is_sqlite
        with running(store, tmp_path, repeat_every=0, challenge_every=0) as served:
            yield served


def test_from_the_first_user_to_a_months_figures(served: Served, parts_folder: Path) -> None:
    with served.client() as first:
        with pytest.raises(ForbiddenError):
            first.get("/inspections")
        first.set_up(served.setup_token, "ann", PASSWORD)
        first.log_in("ann", PASSWORD)
        first.add_user("bob", "reviewer", PASSWORD)
        imported(first, served, parts_folder)
        judged(first, served)
        with served.client("bob") as bob:
            reviewed(first, bob)
        figures(first)
        assert {"log in", "answer review"} <= {entry["action"] for entry in first.items("/audit")}
    assert served.store.audit.verify().broken == ""


def imported(client, served: Served, parts_folder: Path) -> None:
    """An archive goes through a job into samples, and a version is taken of them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(parts_folder.rglob("*.png")):
            archive.write(file, str(file.relative_to(parts_folder)))
    job = client.send("/imports", packed.getvalue(), product="plates")
    stopping = threading.Event()
    worker = threading.Thread(target=work, args=(served.store, served.folder / "work", stopping))
    worker.start()
    try:
        until = time.monotonic() + 90
        while (found := client.get(f"/jobs/{job['id']}"))["state"] in {"queued", "running"}:
            assert time.monotonic() < until
            time.sleep(0.2)
    finally:
        stopping.set()
        worker.join(30)
    assert (found["state"], found["result"]["added"]) == ("done", 20), found
    samples = list(client.items("/samples", product="plates", limit=7))
    assert [sample["id"] for sample in samples] == sorted(sample["id"] for sample in samples) and len(samples) == 20
    assert sorted({sample["label"] for sample in samples}) == ["defective", "good"]
    assert client.post("/versions", {"product": "plates"})["number"] == 1


def judged(client, served: Served) -> None:
    """Pages of the record hold while new parts come, and their conditions hold together."""
    served.store.inspections.record_many([record(number) for number in range(40)])
    page = client.get("/inspections", limit=15)
    served.store.inspections.record(record(100))
    serials = [one["serial"] for one in page["items"]]
    while page["next"]:
        page = client.get("/inspections", limit=15, after=page["next"])
        serials += [one["serial"] for one in page["items"]]
    assert serials == [f"S{number}" for number in range(39, -1, -1)]
    some = client.get("/inspections", lot="lot 1", type="crack", verdict=["NG", "REVIEW"])["items"]
    assert [one["serial"] for one in some] == ["S34", "S26"]
    assert len(client.get("/inspections.csv", **DAY).decode().splitlines()) == 42


def reviewed(client, bob) -> None:
    """Parts in REVIEW wait; one is answered, once, and taken back."""
    waiting = client.get("/reviews/summary")
    assert waiting["open"] == 10, waiting
    mine = bob.post("/reviews/claim", {"count": 2})
    assert len(mine) == 2
    number = mine[0]["id"]
    assert bob.get(f"/reviews/{number}/part")["review"] == number
    done = bob.post(f"/reviews/{number}/answer", {"answer": "defective", "types": ["crack"]})
    assert (done["state"], done["author"]) == ("answered", "bob")
    with pytest.raises(ConflictError):
        client.post(f"/reviews/{number}/answer", {"answer": "good"})
    assert bob.post(f"/reviews/{number}/undo")["state"] == "claimed"
    assert bob.post(f"/reviews/{number}/answer", {"answer": "good"})["answer"] == "good"
    assert client.get("/reviews/summary")["open"] == 8


def figures(client) -> None:
    """Figures agree with the record."""
    hours = client.get("/statistics/hours", **DAY)
    assert sum(one["ok"] + one["ng"] + one["review"] for one in hours) == 41
    assert {one["name"]: one["parts"] for one in client.get("/statistics/stations", **DAY)} == {"s0": 21, "s1": 20}
    assert sum(one["parts"] for one in client.get("/statistics/lots", **DAY)) == 41
    chart = client.get("/statistics/p-chart", **DAY)
    assert (chart["parts"], chart["ng"]) == (41, 10)
    assert client.get("/statistics/types", **DAY)["parts"] == 20
    assert client.get("/statistics/places", **DAY)["parts"] == 20
    assert client.get("/statistics/latency", **DAY) == []
    later = (START + timedelta(days=2)).isoformat().replace("+00:00", "Z")
    assert client.get("/statistics/p-chart", since=DAY["until"], until=later)["points"] == []
    assert Verdict.NG in {one["verdict"] for one in client.items("/inspections", limit=20)}
