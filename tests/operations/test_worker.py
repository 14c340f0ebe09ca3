"""A worker does jobs in processes of their own, ends them when it shall, and leaves none undone when it dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from sightline.operations.worker import tidy
from sightline.store.jobs import Job
from sightline.store.store import Store

Start = Callable[[], subprocess.Popen[bytes]]
PATIENCE_S = 90.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.db") as made:
        yield made


@pytest.fixture
def start(store: Store, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker process on the store."""
    started = []

    def begin() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sightline", "worker", "--db", str(store.database.file)]
        started.append(subprocess.Popen([*command, "--folder", str(tmp_path / "work")]))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def wait_for(store: Store, number: int, done: Callable[[Job], object], seconds: float = PATIENCE_S) -> Job:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job = store.jobs.get(number)
        if done(job):
            return job
        time.sleep(0.1)
    raise AssertionError(store.jobs.get(number))


def ended(job: Job) -> bool:
    return job.state in {"done", "failed", "cancelled"}


def send(folder: Path, parts: Path) -> str:
    """An archive of parts, where the server leaves it."""
    name = uuid4().hex
    (folder / "uploads").mkdir(parents=True, exist_ok=True)
    shutil.make_archive(str(folder / "uploads" / name), "zip", parts / "images")
    return name


def test_an_import_and_a_training_end_in_the_store(
    store: Store, start: Start, tmp_path: Path, parts_folder: Path
) -> None:
    start()
    upload = send(tmp_path / "work", parts_folder)
    first = store.jobs.add("import", {"kind": "import", "upload": upload, "product": "plates"}, "ann")
    job = wait_for(store, first.id, ended)
    assert (job.state, job.result["added"], job.error) == ("done", 20, None)
    assert not list((tmp_path / "work" / "uploads").iterdir())
    settings = {"effort": "quick", "side_px": 112, "bank_size": 256, "classify": False, "synthetic": 0, "threads": 1}
    wanted = {"kind": "train", "data": "plates", "name": "plates", "settings": settings}
    second = store.jobs.add("train", wanted, "bob")
    job = wait_for(store, second.id, ended)
    assert (job.state, job.error) == ("done", None)
    kept = store.recipes.find(job.result["recipe"])
    assert (kept.product, kept.version, kept.author, kept.state) == ("plates", "plates@1", "bob", "candidate")
    assert job.progress["done"] <= job.progress["of"]
    assert any("good" in line.text for line in store.jobs.lines(second.id))


def test_what_fails_is_told_with_the_remedy_and_the_next_job_is_done(store: Store, start: Start) -> None:
    start()
    lost = store.jobs.add("import", {"kind": "import", "upload": "0" * 32, "product": "plates"}, "ann")
    wrong = store.jobs.add("evaluate", {"kind": "evaluate", "recipe": "a" * 64, "data": "none"}, "ann")
    assert "Send it again" in str(wait_for(store, lost.id, ended).error)
    job = wait_for(store, wrong.id, ended)
    assert (job.state, job.attempts) == ("failed", 1)
    assert "no recipe" in str(job.error)


def test_files_that_nothing_waits_for_go_after_a_while(store: Store, tmp_path: Path, parts_folder: Path) -> None:
    kept, gone = send(tmp_path / "work", parts_folder), send(tmp_path / "work", parts_folder)
    (tmp_path / "work" / "jobs" / "7").mkdir(parents=True)
    store.jobs.add("import", {"kind": "import", "upload": kept, "product": "plates"}, "ann")
    assert tidy(store, tmp_path / "work") == 0
    assert tidy(store, tmp_path / "work", upload_days=-1, job_days=-1) == 2
    assert [path.stem for path in (tmp_path / "work" / "uploads").iterdir()] == [kept] != [gone]
    assert not list((tmp_path / "work" / "jobs").iterdir())


def long_job(store: Store, start: Start, tmp_path: Path, parts_folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A search that would take minutes, at work."""
    store.add([], "plates")
    from sightline.data.dataset import Dataset

    store.add(Dataset.open(parts_folder).samples, "plates")
    wanted = {"kind": "search", "data": "plates", "name": "plates", "trials": 500, "settings": {"threads": 1}}
    job = store.jobs.add("search", wanted, "ann")
    worker = start()
    wait_for(store, job.id, lambda job: job.progress)
    return worker, job.id


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_job_ends_within_seconds_of_being_cancelled(
    store: Store, start: Start, tmp_path: Path, parts_folder: Path
) -> None:
    worker, number = long_job(store, start, tmp_path, parts_folder)
    begun = children(worker.pid)
    asked = time.monotonic()
    store.jobs.cancel(number, "bob")
    job = wait_for(store, number, ended, seconds=15)
    assert job.state == "cancelled"
    assert time.monotonic() - asked < 12
    time.sleep(0.5)
    assert not [
        pid for pid in begun if alive(pid) and "resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_text()
    ]


def test_a_killed_worker_takes_its_job_along_and_another_one_takes_it_up(
    store: Store, start: Start, tmp_path: Path, parts_folder: Path
) -> None:
    worker, number = long_job(store, start, tmp_path, parts_folder)
    begun = [pid for pid in children(worker.pid) if "resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_text()]
    assert begun
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    until = time.monotonic() + 10
    while any(alive(pid) for pid in begun):
        assert time.monotonic() < until, "the job goes on without its worker"
        time.sleep(0.1)
    store.jobs.requeue_lost(lost_s=-1)
    start()
    job = wait_for(store, number, lambda job: job.state == "running" and job.attempts == 2)
    store.jobs.cancel(job.id, "bob")
    wait_for(store, number, ended, seconds=60)


def test_a_worker_that_is_told_to_end_gives_its_job_back(
    store: Store, start: Start, tmp_path: Path, parts_folder: Path
) -> None:
    worker, number = long_job(store, start, tmp_path, parts_folder)
    worker.terminate()
    assert worker.wait(20) == 0
    job = store.jobs.get(number)
    assert (job.state, job.attempts) == ("queued", 0)
