"""Jobs over the API: asked for once, refused early where they cannot work, and done by the worker beside the server."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from tests.web.conftest import Served

from sightline.core.errors import ConflictError, NotFoundError
from sightline.store.store import Store
from sightline.web.client import ApiError, Client

CHECK = {"job": {"kind": "check", "product": "plates", "backbone": "none"}, "reason": "before the training"}


def test_a_job_is_asked_for_watched_and_cancelled(served: Served) -> None:
    with served.client("engineer") as client:
        made = client.post("/jobs", CHECK)
        assert (made["state"], made["author"]) == ("queued", "engineer")
        assert client.get(f"/jobs/{made['id']}")["arguments"]["product"] == "plates"
        served.store.jobs.claim("w")
        served.store.jobs.beat(made["id"], "w", {"stage": "looking", "done": 1, "of": 2}, ["hello", "<script>"])
        log = list(client.items(f"/jobs/{made['id']}/log", limit=1))
        assert [line["text"] for line in log] == ["hello", "<script>"]
        assert client.post(f"/jobs/{made['id']}/cancel", reason="wrong product")["cancelled_by"] == "engineer"
        served.store.jobs.stop(made["id"], "w")
        with pytest.raises(ConflictError, match="is cancelled"):
            client.post(f"/jobs/{made['id']}/cancel")
        assert [job["id"] for job in client.items("/jobs", state="cancelled")] == [made["id"]]
        with pytest.raises(NotFoundError):
            client.get("/jobs/99")


@pytest.mark.parametrize(
    ("job", "match"),
    [
        ({"kind": "nothing"}, "kind"),
        ({"kind": "train", "data": "plates", "name": "../evil"}, "name"),
        ({"kind": "train", "data": "plates", "name": "x", "settings": {"sied_px": 100}}, "sied_px"),
        ({"kind": "import", "upload": "../../etc/passwd", "product": "x"}, "upload"),
        ({"kind": "check", "product": "x", "backbone": "hf:/etc"}, "backbone"),
    ],
)
def test_what_cannot_work_is_refused_before_it_waits(served: Served, job: dict[str, object], match: str) -> None:
    with served.client("engineer") as client:
        with pytest.raises(ApiError, match=match) as caught:
            client.post("/jobs", {"job": job})
        assert caught.value.status == 422
        assert client.get("/jobs")["items"] == []


def test_a_write_with_a_key_is_done_once(served: Served) -> None:
    with served.client("engineer") as client:
        key = {"Idempotency-Key": str(uuid4())}
        first = client.http.post("/jobs", json=CHECK, headers=key)
        second = client.http.post("/jobs", json=CHECK, headers=key)
        assert (second.status_code, second.json()) == (202, first.json())
        assert second.headers["idempotency-replayed"] == "true"
        other = client.http.post("/jobs", json={**CHECK, "reason": "another"}, headers=key)
        assert other.status_code == 409
        assert "another request" in other.json()["detail"]
        wrong = {"Idempotency-Key": "k"}
        assert client.http.post("/jobs", json={}, headers=wrong).status_code == 422
        assert client.http.post("/jobs", json=CHECK, headers=wrong).status_code == 202  # what failed was not kept
        assert client.http.post("/jobs", json=CHECK, headers={"Idempotency-Key": "k" * 200}).status_code == 422
        with served.client("administrator") as boss:
            assert boss.http.post("/jobs", json=CHECK, headers=key).json()["author"] == "administrator"
        assert len(client.get("/jobs")["items"]) == 3


def test_files_of_a_job_are_given_in_a_sandbox_and_no_others(served: Served) -> None:
    folder = served.folder / "work" / "jobs" / "1"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<script>alert(1)</script>")
    (folder / "study.db").write_text("secret")
    job = served.store.jobs.add("check", {}, "ann")
    served.store.jobs.claim("w")
    served.store.jobs.finish(job.id, "w", {"files": ["report.html", "../../../store.db", "gone.html"]})
    with served.client("operator") as client:
        answer = client.http.get("/jobs/1/files/report.html")
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        for name in ("study.db", "gone.html", "..%2F..%2F..%2Fstore.db", "../../../store.db", "%2e%2e/report.html"):
            assert client.http.get(f"/jobs/1/files/{name}").status_code == 404


def test_the_server_starts_a_worker_and_both_end_together(tmp_path: Path, parts_folder: Path) -> None:
    from sightline.data.dataset import Dataset
    from sightline.operations import people

    with Store.open(tmp_path / "store.db") as store:
        store.add(Dataset.open(parts_folder).samples, "plates")
        people.set_up(store, "ann", "a long password")
        command = [sys.executable, "-m", "sightline", "serve", "--port", "0", "--db", str(tmp_path / "store.db")]
        process = subprocess.Popen(
            [*command, "--set", f"folder={tmp_path / 'work'}"], stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr is not None
            url = ""
            while not url:
                line = process.stderr.readline()
                assert line, "the server ended"
                url = line.partition(" is on ")[2].strip()
            until = time.monotonic() + 60
            while True:
                try:
                    client = Client(url)
                    client.log_in("ann", "a long password")
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < until
            with client:
                job = client.post("/jobs", CHECK)
                while (found := client.get(f"/jobs/{job['id']}"))["state"] in {"queued", "running"}:
                    assert time.monotonic() < until
                    time.sleep(0.2)
                assert (found["state"], found["error"]) == ("done", None)
                report = client.get(f"/jobs/{job['id']}/files/report.html")
                assert b"<html" in report
            worker = str(found["worker"]).rpartition(":")[2]
            assert Path(f"/proc/{worker}").exists()
            process.terminate()
            assert process.wait(30) == 0
            assert not Path(f"/proc/{worker}").exists()
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
