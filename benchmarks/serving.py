"""Uploaded pictures judged in batches: pictures per second and latency against the largest batch.

    python benchmarks/serving.py RECIPE.onnx PICTURE [PICTURE ...]

Clients ask without a pause; a client's picture is decoded in its own thread, as in the server. HTTP is left out.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

from sightline.core.errors import LateError
from sightline.imaging.image import read_image
from sightline.operations.batching import Batcher, Limits
from sightline.runtime.inspector import Inspector

CLIENTS, SECONDS, DEADLINE_S = 8, 8.0, 2.0
HERE = Path(__file__).parent


def measure(inspector: Inspector, pictures: list[bytes], most: int) -> dict[str, float]:
    batcher = Batcher(lambda images: list(inspector.inspect_many(images, most)), Limits(most, 0.005, 64))
    times: list[float] = []
    late, end = [0], time.monotonic() + SECONDS

    def client(turn: int) -> None:
        while (start := time.monotonic()) < end:
            turn += 1
            pixels, _ = read_image(pictures[turn % len(pictures)], inspector.card.full_scale)
            try:
                batcher.submit(pixels, start + DEADLINE_S).result()
                times.append(time.monotonic() - start)
            except LateError:
                late[0] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    ms = np.array(times) * 1e3
    figures = {"p50_ms": np.median(ms), "p99_ms": np.quantile(ms, 0.99), "per_s": len(ms) / SECONDS}
    return {"batch": most, "pictures": len(ms), "late": late[0], **{k: round(float(v), 1) for k, v in figures.items()}}


def main() -> None:
    inspector = Inspector(sys.argv[1], threads=2)
    pictures = [Path(name).read_bytes() for name in sys.argv[2:]]
    inspector.warm_up()
    rows = [measure(inspector, pictures, most) for most in (1, 2, 4, 8, 8, 4, 2, 1)]  # there and back: loads drift
    found = {
        "input": [inspector.card.width, inspector.card.height], "clients": CLIENTS, "deadline_s": DEADLINE_S,
        "cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1), "rows": rows,
    }  # fmt: skip
    (HERE / "serving.json").write_text(json.dumps(found, indent=1) + "\n")
    load = f"{found['cores']} cores with a load of {found['load']} from other work"
    lines = [f"| {r['batch']} | {r['per_s']} | {r['p50_ms']} | {r['p99_ms']} | {r['late']} |" for r in rows]
    table = "\n".join(lines)
    (HERE / "serving.md").write_text(
        f"""# Uploaded pictures in batches
{CLIENTS} clients that ask without a pause, a deadline of {DEADLINE_S:g} s, a recipe of {inspector.card.width} x
{inspector.card.height} px, two threads on {load}; no HTTP.
By `benchmarks/serving.py`, each size twice, there and back.

| largest batch | pictures per s | median, ms | p99, ms | late (no verdict) |
|---|---|---|---|---|
{table}
"""
    )
    print(table)


if __name__ == "__main__":
    main()
