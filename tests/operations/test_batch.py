"""Any number of images in blocks: one row each, whatever is interrupted, here and on a Ray cluster of two nodes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import Cancelled, InputError, SettingError
from sightline.operations.batch import BatchSummary, batch
from sightline.runtime.cluster import Cluster

GOOD, FLAWED = 14, 6


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.fixture
def images(parts_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change, masks and all."""
    return Path(shutil.copytree(parts_folder, tmp_path / "photos"))


def judged(recipe_file: Path, images: Path, output: Path, **options: Any) -> BatchSummary:
    return batch(recipe_file, str(images), output, block=4, **options)


def test_every_image_has_one_row_and_masks_have_none(recipe_file: Path, images: Path, tmp_path: Path) -> None:
    (images / "images/good/broken.png").write_text("not an image")
    summary = judged(recipe_file, images, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert len(found) == summary.images == GOOD + FLAWED + 1
    assert len({row["image"] for row in found}) == len(found)
    assert {row["verdict"] for row in found if "/stain/" in row["image"]} == {"NG"}
    (broken,) = [row for row in found if row["image"].endswith("broken.png")]
    assert broken["verdict"] == "NG" and broken["error"] and summary.not_inspected == 1
    assert {row["recipe"] for row in found} == {summary.recipe}
    assert all(len(row["sha256"]) == 64 for row in found)
    assert sum(summary.verdicts.values()) == summary.images


def test_what_was_interrupted_goes_on_and_nothing_is_computed_twice(
    recipe_file: Path, images: Path, tmp_path: Path
) -> None:
    def stop(stage: str, done: int, of: int) -> None:
        if done >= 8:
            raise Cancelled

    with pytest.raises(Cancelled):
        judged(recipe_file, images, tmp_path / "out", progress=stop)
    assert not (tmp_path / "out/results.jsonl").exists()
    summary = judged(recipe_file, images, tmp_path / "out")
    assert (summary.blocks, summary.computed) == (5, 3)
    judged(recipe_file, images, tmp_path / "whole")
    for left, right in zip(rows(tmp_path / "out"), rows(tmp_path / "whole"), strict=True):
        assert {**left, "times_ms": None} == {**right, "times_ms": None}
    assert judged(recipe_file, images, tmp_path / "out").computed == 0


def test_changed_and_removed_images_leave_no_row_behind(recipe_file: Path, images: Path, tmp_path: Path) -> None:
    judged(recipe_file, images, tmp_path / "out")
    shutil.copyfile(images / "images/stain/100.png", images / "images/good/13.png")
    (images / "images/stain/105.png").unlink()
    summary = judged(recipe_file, images, tmp_path / "out")
    found = {row["image"]: row["verdict"] for row in rows(tmp_path / "out")}
    assert len(found) == summary.images == GOOD + FLAWED - 1
    assert found["images/good/13.png"] == "NG"
    assert len(list((tmp_path / "out/blocks").iterdir())) == summary.blocks
    assert 0 < summary.computed < summary.blocks


def test_an_empty_folder_and_a_file_in_the_way_are_refused(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        judged(recipe_file, tmp_path / "empty", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="cannot be written"):
        judged(recipe_file, tmp_path / "empty", tmp_path / "file")


def test_images_of_a_bucket_are_judged_as_those_of_a_folder(
    recipe_file: Path, parts_folder: Path, tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec
    from moto.server import ThreadedMotoServer

    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        remote = fsspec.filesystem("s3", skip_instance_cache=True)
        remote.mkdir("plant")
        remote.put(str(parts_folder / "images"), "plant/press", recursive=True)
        summary = batch(recipe_file, "s3://plant/press", tmp_path / "out", block=7)
        judged(recipe_file, parts_folder / "images", tmp_path / "local")
        assert summary.images == GOOD + FLAWED
        left, right = ({row["image"]: row["score"] for row in rows(tmp_path / name)} for name in ("out", "local"))
        assert left == right
        assert batch(recipe_file, "s3://plant/press", tmp_path / "out", block=7).computed == 0
    finally:
        server.stop()


# A Ray cluster of two nodes with one core each, started as a person would.


@pytest.fixture(scope="module")
def nodes(free_port: Callable[[], int]) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    port, folder = free_port(), tempfile.mkdtemp(prefix="ray", dir="/tmp")
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1"]
    common = ["--node-ip-address=127.0.0.1", "--disable-usage-stats", "--object-store-memory=100000000"]
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
    running: list[subprocess.Popen[bytes]] = []

    def start(arguments: list[str]) -> None:
        with Path(folder, f"{len(running)}.log").open("wb") as log:
            command = [*ray, *common, *arguments]
            running.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

    try:
        start([*head, f"--ray-client-server-port={free_port()}"])
        deadline = time.monotonic() + 90
        while b"Ray runtime started" not in Path(folder, "0.log").read_bytes():
            assert running[0].poll() is None and time.monotonic() < deadline, Path(folder, "0.log").read_text()
            time.sleep(0.2)
        start([f"--address=127.0.0.1:{port}"])
        while b"Ray runtime started" not in Path(folder, "1.log").read_bytes():
            assert running[1].poll() is None and time.monotonic() < deadline, Path(folder, "1.log").read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}", running
    finally:
        for node in running:
            if node.poll() is None:
                os.killpg(node.pid, signal.SIGKILL)
            node.wait()
        shutil.rmtree(folder, ignore_errors=True)


COUNTED = """
import sys, time
from pathlib import Path
from sightline.runtime.cluster import Cluster

def slow(folder, task):
    with Path(folder, "runs").open("a") as runs:
        runs.write(f"{task}\\n")
    time.sleep(0.3)
    return task

if __name__ == "__main__":
    for task, answer in Cluster(sys.argv[1]).map(slow, sys.argv[2], range(24)):
        print(answer, flush=True)
"""


@pytest.mark.slow
def test_a_cluster_gives_the_same_rows_and_a_killed_node_costs_two_blocks_at_most(
    nodes: tuple[str, list[subprocess.Popen[bytes]]], recipe_file: Path, images: Path, tmp_path: Path
) -> None:
    address, running = nodes
    command = [sys.executable, "-m", "sightline", "batch", recipe_file, images, "-o", tmp_path / "out", "--block", "4"]
    done = subprocess.run([*command, "--on", address, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    judged(recipe_file, images, tmp_path / "local", cluster=Cluster(processes=2))
    for left, right in zip(rows(tmp_path / "out"), rows(tmp_path / "local"), strict=True):
        assert {**left, "times_ms": None} == {**right, "times_ms": None}

    script = tmp_path / "counted.py"
    script.write_text(COUNTED)
    with subprocess.Popen([sys.executable, script, address, tmp_path], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        answers = [next(driver.stdout) for _ in range(6)]
        os.killpg(running[1].pid, signal.SIGKILL)
        answers += list(driver.stdout)
    assert driver.returncode == 0
    assert sorted(map(int, answers)) == list(range(24))
    assert len((tmp_path / "runs").read_text().split()) <= 24 + 2
