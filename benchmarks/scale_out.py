"""Batches over processes and over a Ray cluster of two nodes on this machine: images a second, and what it costs.

    python benchmarks/scale_out.py [--images 5000]

Copies real cookies under other names until there are enough, and judges them with the default recipe. Writes
scale_out.json and scale_out.md. Ray's nodes have one core each; run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
COOKIES = HERE.parents[1] / "shared/data/cookies"
RAY = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1", "--node-ip-address=127.0.0.1"]
SIGHTLINE = [sys.executable, "-m", "sightline"]


def node(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A node of one core, ready to work."""
    log = folder / f"{len(list(folder.glob('*.log')))}.log"
    command = [*RAY, "--disable-usage-stats", "--object-store-memory=200000000", *arguments]
    with log.open("wb") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    while b"Ray runtime started" not in log.read_bytes():
        if running.poll() is not None:
            raise RuntimeError(log.read_text())
        time.sleep(0.2)
    return running


def judged(recipe: Path, images: Path, output: Path, *where: str) -> dict[str, float]:
    """Wall seconds of one batch, start and end included, and what it says."""
    start = time.perf_counter()
    command = [*SIGHTLINE, "batch", str(recipe), str(images), "-o", str(output), "--json", *where]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout), "wall_s": round(time.perf_counter() - start, 2)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    count = parser.parse_args().images
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="scale", dir="/tmp") as desk:
        folder = Path(desk)
        recipe = folder / "cookies.onnx"
        subprocess.run(
            [*SIGHTLINE, "train", str(COOKIES), "-o", str(recipe), "--json"], check=True, capture_output=True
        )
        real = sorted((COOKIES / "test").rglob("*.jpg"))
        images = folder / "images"
        images.mkdir()
        for number in range(count):
            shutil.copyfile(real[number % len(real)], images / f"{number:06}.jpg")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        rows = {"this process": judged(recipe, images, folder / "one")}
        rows["two local processes"] = judged(recipe, images, folder / "two", "--processes", "2")
        head = node(folder, "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder / 'ray'}")
        nodes = [head]
        try:
            on = ("--on", f"127.0.0.1:{port}")
            rows["Ray, one node"] = judged(recipe, images, folder / "ray1", *on)
            nodes.append(node(folder, f"--address=127.0.0.1:{port}"))
            rows["Ray, two nodes"] = judged(recipe, images, folder / "ray2", *on)
        finally:
            for each in nodes:
                os.killpg(each.pid, signal.SIGKILL)
                each.wait()
        same = {(folder / name / "results.jsonl").read_bytes().count(b"\n") for name in ("one", "two", "ray1", "ray2")}
    one, two, ray1, ray2 = (rows[name]["wall_s"] for name in rows)
    found = {
        "images": count, "load_before": load, "cores": os.cpu_count(), "rows": same == {count},
        "wall_s": {name: row["wall_s"] for name, row in rows.items()},
        "two nodes to one": ray1 / ray2, "Ray's overhead": ray1 / one - 1, "two processes to one": one / two,
    }  # fmt: skip
    (HERE / "scale_out.json").write_text(json.dumps(found, indent=1) + "\n")
    (HERE / "scale_out.md").write_text(table(found))


def table(found: dict[str, object]) -> str:
    """The page."""
    wall = found["wall_s"]
    assert isinstance(wall, dict)
    count = found["images"]
    assert isinstance(count, int)
    lines = "".join(f"| {name} | {seconds} | {count / seconds:.1f} |\n" for name, seconds in wall.items())
    return f"""# Batches over processes and a cluster

`python benchmarks/scale_out.py --images {count}`: {count} JPEGs of cookies, default recipe, one thread a
process, from the start of the command to its end. {found["cores"]} cores, load {found["load_before"]:.1f} before. Every
way wrote one row per image: {found["rows"]}.

| where | s | images a second |
|---|---|---|
{lines}
| figure | goal | measured |
|---|---|---|
| two nodes of one core against one | 1.7 | {found["two nodes to one"]:.2f} |
| Ray on one node against this process | at most +10 % | {found["Ray's overhead"]:+.1%} |
| two local processes against one | - | {found["two processes to one"]:.2f} |

A node that is killed half-way costs its two blocks under way at most, and no row: `tests/operations/test_batch.py`.
Both nodes are on one machine here: the network between machines, and object storage over it, were not measured.
"""


if __name__ == "__main__":
    main()
