"""Programs that are killed at any moment, and what is found afterwards. Run by test_kill.py, in a process of its own.

victim.py KIND URL IMAGES PARTS TIMES: prints one JSON value.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sightline.core.result import Verdict
from sightline.core.sample import Sample
from sightline.store import ingest
from sightline.store.inspections import Record
from sightline.store.store import Store
from sightline.store.tables.labels import SampleRow
from sightline.store.tables.line import InspectionRow

START = datetime(2026, 3, 1, tzinfo=UTC)


def killed(work: Callable[[Callable[[int], None]], None], after_s: float) -> list[int]:
    """Fork, work, kill -9; returns what the child had acknowledged by then."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        work(lambda number: os.write(writing, b"%d\n" % number) and None)
        os._exit(0)
    os.close(writing)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return [int(line) for line in pipe.read().splitlines()]


def longest_s(work: Callable[[Callable[[int], None]], None], least_s: float) -> float:
    """How long a child may live: enough to have acknowledged something, however slow the machine is today."""
    while len(killed(work, least_s)) < 3:
        least_s *= 1.5
        assert least_s < 5, "the work acknowledges nothing"
    return least_s


def ingesting(url: str, images: str, parts: Path, times: int) -> dict[str, object]:
    ingest.BATCH = 4
    samples = [Sample(path, defective=False, split="train") for path in sorted(parts.glob("*.png"))]
    randomly, rows, acknowledged = random.Random(0), 0, 0

    def work(tell: Callable[[int], None]) -> None:
        with Store.open(url, images) as store:
            store.add(samples, "plates", progress=lambda stage, done, of: tell(done))

    longest = longest_s(work, 0.12)
    for _ in range(times):
        told = killed(work, randomly.uniform(0.01, longest))
        with Store.open(url, images) as store, store.reading() as session:
            found = session.query(SampleRow.hash, SampleRow.media_type).all()
        for digest, kind in found:
            assert store.images.path(digest, kind).is_file()
        assert len(found) >= max([rows, *told]), "an acknowledged row was lost"
        rows, acknowledged = len(found), acknowledged + len(told)
    with Store.open(url, images) as store:
        repaired = store.check(repair=True, grace_s=0)
        clean = store.check(grace_s=0)
        assert clean.ok, clean
        again = store.add(samples, "plates")
        assert again.present >= rows
        assert store.catalogue.products() == {"plates": len(samples)}
        assert store.check(grace_s=0).ok
    return {"acknowledged": acknowledged, "rows": rows, "orphans": len(repaired.orphaned)}


def recording(url: str, images: str, parts: Path, times: int) -> dict[str, object]:
    randomly, acknowledged = random.Random(1), 0

    def work(tell: Callable[[int], None]) -> None:
        with Store.open(url, images) as store:
            kept = store.images.put(parts / "part-0.png")
            while True:
                record = Record(station="a", verdict=Verdict.NG, triggered=START, image_hash=kept.hash)
                tell(store.inspections.record(record))

    longest = longest_s(work, 0.1)
    for _ in range(times):
        told = killed(work, randomly.uniform(0.02, longest))
        with Store.open(url, images) as store, store.reading() as session:
            found = {number for (number,) in session.query(InspectionRow.id)}
            assert found.issuperset(told), "an acknowledged row was lost"
        with Store.open(url, images) as store:
            hours = store.inspections.hourly_yield(START, START + timedelta(hours=1))
            assert sum(hour.parts for hour in hours) == len(found), "rows and hours disagree"
        acknowledged += len(told)
    with Store.open(url, images) as store:
        store.check(repair=True, grace_s=0)
        assert store.check(grace_s=0).ok
    return {"acknowledged": acknowledged, "rows": len(found)}


if __name__ == "__main__":
    kind, url, images, parts, times = sys.argv[1:]
    done = {"ingesting": ingesting, "recording": recording}[kind](url, images, Path(parts), int(times))
    sys.stdout.write(json.dumps(done) + "\n")
