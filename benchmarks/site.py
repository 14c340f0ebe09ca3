"""Stations over HTTP: how many records a site takes, that none is lost or doubled while it is killed, and a bad recipe.

    python benchmarks/site.py [--seconds 60] [--only paced,backlog,thousand,rollout]

Simulated stations use the station's own journal and forwarder; the server is `sightline serve` in a process of its own.
Writes site.json and site.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import platform
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.sending import HASH, part, settings_of  # noqa: E402

from sightline.core.errors import SightlineError  # noqa: E402
from sightline.line.forwarding import Forwarder  # noqa: E402
from sightline.line.journal import Journal  # noqa: E402
from sightline.operations import fleet, rollouts  # noqa: E402
from sightline.store.store import Store  # noqa: E402

STATIONS, RATE = 50, 1200  # of the paced run, records per second of all stations together
KILLS = 3
NG = 0.02


class Served:
    """The server in its own process, which can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        words = ["serve", "--port", str(self.port), "--no-browser", "--set", "worker=false", "--set", "free_mb=100"]
        place = ["--db", str(self.folder / "site.db"), "--images", str(self.folder / "images")]
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "sightline", *words, *place], stderr=log, stdout=log)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "server.log").read_text())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Memory:
    """Entries in memory, as a journal has them (`sightline.line.forwarding.Entries`)."""

    def __init__(self, station: str) -> None:
        self.name, self.opened, self.station = f"journal of {station}", 0, station
        self._bodies: list[str] = []
        self._done = 0
        self._lock = threading.Lock()

    @property
    def to_forward(self) -> int:
        return len(self._bodies) - self._done

    def append(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self._bodies.append(json.dumps(entry))

    def peek(self, count: int, most_bytes: int) -> list[tuple[int, str]]:
        with self._lock:
            return [(self._done + at + 1, body) for at, body in enumerate(self._bodies[self._done :][:count])]

    def forwarded(self, number: int) -> None:
        with self._lock:
            self._done = number

    def rename(self) -> None:
        raise AssertionError("no power cut here")

    def wait(self, timeout_s: float, enough: int) -> None:
        time.sleep(timeout_s)


def no_images() -> Store:
    raise AssertionError("no pictures here")


def send(folder: Path, url: str, tokens: dict[str, str], rate: float, seconds: float, before: int) -> None:
    """A process of stations: each has `before` records waiting, and records at its share of the rate for a while."""
    logging.disable(logging.ERROR)
    rng = random.Random(os.getpid())
    journals, forwarders = [], []
    for name, token in tokens.items():
        settings = settings_of(
            folder / name, url, token, name, every_s=1.0, backoff={"first_ms": 200, "longest_ms": 2000}
        )
        journals.append(Journal(folder / name / "journal.db", lambda entries: None, site_bytes=10**9))
        forwarders.append(Forwarder(settings, journals[-1], no_images))
    numbers = [0] * len(journals)

    def one(at: int, name: str) -> None:
        journals[at].append(part(numbers[at], "NG" if rng.random() < NG else "OK", name))
        numbers[at] += 1

    names = list(tokens)
    for at, name in enumerate(names):
        for _ in range(before):
            one(at, name)
    for forwarder in forwarders:
        forwarder.start()
    begun, made = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        while made < rate * passed:
            one(made % len(names), names[made % len(names)])
            made += 1
        time.sleep(0.005)
    while any(journal.to_forward for journal in journals):
        time.sleep(0.05)
    (folder / f"made-{os.getpid()}.json").write_text(json.dumps(dict(zip(names, numbers, strict=True))))
    for forwarder, journal in zip(forwarders, journals, strict=True):
        forwarder.close()
        journal.close(1.0)


def many(work: Any, folder: Path, url: str, tokens: dict[str, str], processes: int, *more: Any) -> list[Any]:
    """Have processes do the work of some stations each; what each put into its queue."""
    context = multiprocessing.get_context("spawn")
    names = list(tokens)
    shares = [{name: tokens[name] for name in names[at::processes]} for at in range(processes)]
    started = [context.Process(target=work, args=(folder, url, share, *more)) for share in shares]
    for process in started:
        process.start()
    return started


def tokens_of(store: Store, count: int) -> dict[str, str]:
    return {f"s{number:04}": fleet.token(store, f"s{number:04}")["token"] for number in range(count)}


def counted(folder: Path) -> tuple[int, int, int]:
    """Rows, different keys, and parts counted by hour."""
    with closing(sqlite3.connect(folder / "site.db")) as db:
        rows, keys = db.execute("SELECT COUNT(*), COUNT(DISTINCT key) FROM inspections").fetchone()
        (hours,) = db.execute("SELECT SUM(count) FROM hours").fetchone()
    return int(rows), int(keys), int(hours or 0)


def made(folder: Path) -> int:
    return sum(sum(json.loads(file.read_text()).values()) for file in folder.glob("made-*.json"))


def paced(seconds: float) -> dict[str, Any]:
    """Stations record all the time, and the server is killed and started again in between."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.open(folder / "site.db", folder / "images") as store:
            tokens = tokens_of(store, STATIONS)
        served = Served(folder)
        begun = time.monotonic()
        senders = many(send, folder, served.url, tokens, 2, RATE / 2, seconds, 0)
        kills = []
        for number in range(KILLS):
            time.sleep(max(0.0, begun + 5 + (number + 1) * seconds / (KILLS + 1) - time.monotonic()))
            served.kill()
            kills.append(round(time.monotonic() - begun, 1))
            time.sleep(2.0)
            served.start()
        for sender in senders:
            sender.join(seconds + 300)
        took = time.monotonic() - begun
        served.kill()
        total = made(folder)
        rows, keys, hours = counted(folder)
        return {
            "stations": STATIONS, "recorded": total, "seconds": round(took, 1), "rows_per_s": round(total / took),
            "killed_at_s": kills, "rows": rows, "lost": total - keys, "doubled": rows - keys, "counted": hours,
        }  # fmt: skip


def backlog() -> dict[str, Any]:
    """All stations come back at once with what they have kept: how fast the server takes it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.open(folder / "site.db", folder / "images") as store:
            tokens = tokens_of(store, STATIONS)
        served = Served(folder)
        senders = many(send, folder, served.url, tokens, 2, 0.0, 0.0, 1200)
        with closing(sqlite3.connect(folder / "site.db", timeout=30)) as db:
            times: list[tuple[float, int, float]] = []
            while any(sender.is_alive() for sender in senders):
                times.append(
                    (time.monotonic(), db.execute("SELECT MAX(id) FROM inspections").fetchone()[0] or 0, served.cpu_s())
                )
                time.sleep(0.25)
        total = made(folder)
        first = next(one for one in times if one[1] > 0.1 * total)
        last = next(one for one in times if one[1] >= 0.9 * total)
        size = sum(file.stat().st_size for file in folder.glob("site.db*"))
        rows, keys, _ = counted(folder)
        served.kill()
        return {
            "stations": STATIONS, "recorded": total, "rows_per_s": round((last[1] - first[1]) / (last[0] - first[0])),
            "server_cpu_us_per_row": round((last[2] - first[2]) / (last[1] - first[1]) * 1e6, 1),
            "bytes_per_row": round(size / rows), "lost": total - keys, "doubled": rows - keys,
        }  # fmt: skip


def call(folder: Path, url: str, tokens: dict[str, str], every_s: float, each: int, seconds: float) -> None:
    """A process of stations that each send `each` records every so often; the milliseconds of each call."""
    took: list[float] = []
    failed: list[str] = []
    logging.disable(logging.ERROR)
    barrier = time.monotonic() + 8

    def station(name: str, token: str) -> None:
        settings = settings_of(folder / name, url, token, name, timeout_ms=60_000)
        entries = Memory(name)
        forwarder = Forwarder(settings, entries, no_images)
        number, at = 0, barrier + random.random() * every_s
        while at < barrier + seconds:
            time.sleep(max(0.0, at - time.monotonic()))
            for _ in range(each):
                entries.append(part(number, "NG" if random.random() < NG else "OK", name))
                number += 1
            begun = time.monotonic()
            try:
                forwarder.send_some()
            except SightlineError as error:  # counted, and sent again with the next
                failed.append(str(error)[:200])
            if at > barrier + every_s:  # the first has a second call in it, and opens the connection
                took.append((time.monotonic() - begun) * 1e3)
            at += every_s
        while entries.to_forward:
            try:
                forwarder.send_some()
            except SightlineError:
                time.sleep(random.random() * 5)
        forwarder.close()
        (folder / f"made-{name}.json").write_text(json.dumps({name: number}))

    threads = [threading.Thread(target=station, args=one) for one in tokens.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (folder / f"took-{os.getpid()}.json").write_text(json.dumps({"took": took, "failed": failed}))


def thousand(every_s: float, each: int, seconds: float, count: int = 1000) -> dict[str, Any]:
    """A thousand stations against the real route, each with a connection of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.open(folder / "site.db", folder / "images") as store:
            tokens = tokens_of(store, count)
        served = Served(folder)
        cpu, begun = served.cpu_s(), time.monotonic()
        for sender in many(call, folder, served.url, tokens, 4, every_s, each, seconds):
            sender.join(seconds + 300)
        wall, cpu = time.monotonic() - begun, served.cpu_s() - cpu
        found = [json.loads(file.read_text()) for file in folder.glob("took-*.json")]
        took = np.array([ms for one in found for ms in one["took"]])
        total = made(folder)
        rows, keys, _ = counted(folder)
        served.kill()
        return {
            "stations": count, "every_s": every_s, "records_each": each, "rows_per_s": round(rows / seconds),
            "calls": len(took), "p50_ms": round(float(np.percentile(took, 50)), 1),
            "p99_ms": round(float(np.percentile(took, 99)), 1), "max_ms": round(float(took.max()), 1),
            "failed_calls": sum(len(one["failed"]) for one in found), "server_cores": round(cpu / wall, 2),
            "server_cpu_ms_per_call": round(cpu / (rows / each) * 1e3, 2),
            "lost": total - keys, "doubled": rows - keys,
        }  # fmt: skip


def bad_recipe() -> dict[str, Any]:
    """A rollout to 50 stations of a recipe that calls a fifth of the parts NG; the rule looks as the worker does."""
    bad = "b" * 64
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store.open(folder / "site.db", folder / "images") as store:
            tokens = tokens_of(store, STATIONS)
            served = Served(folder)
            stations = []
            for station, token in tokens.items():
                entries = Memory(station)
                forwarder = Forwarder(settings_of(folder / station, served.url, token, station), entries, no_images)
                stations.append((station, entries, forwarder))
            rng = random.Random(0)
            runs, numbers = dict.fromkeys(tokens, HASH), dict.fromkeys(tokens, 0)

            def parts(count: int) -> None:
                for station, entries, forwarder in stations:
                    wanted = (forwarder.wanted or {}).get("plates")
                    if wanted is not None and wanted.recipe_hash not in (None, runs[station]):
                        entries.append(
                            {"kind": "running", "product": "plates", "running_hash": runs[station], "fault": ""}
                        )
                        runs[station] = str(wanted.recipe_hash)
                        entries.append({"kind": "running", "product": "plates", "running_hash": bad, "fault": ""})
                    for _ in range(count):
                        share = 0.2 if runs[station] == bad else NG
                        verdict = "NG" if rng.random() < share else "OK"
                        entries.append(part(numbers[station], verdict, station, runs[station]))
                        numbers[station] += 1
                    forwarder.send_some()

            parts(200)
            begun = store.rollouts.begin("plates", bad, list(tokens), 200, "benchmark")
            looks = 0
            while not rollouts.advance(store) and looks < 100:
                parts(10)
                looks += 1
            inspected = store.rollouts.tally(next(iter(tokens)), bad).parts
            others = sum(hash == bad for hash in list(runs.values())[1:])
            served.kill()
            ended = store.rollouts.get(begun.id)
            return {
                "stations": STATIONS, "state": ended.state, "reason": ended.reason, "looks": looks,
                "parts_at_the_canary": inspected, "stations_beyond_the_canary": others,
            }  # fmt: skip


def report(found: dict[str, Any]) -> str:
    lines = ["# Stations over HTTP", "", f"Written by `python benchmarks/site.py`. {found['machine']}"]
    lines += [
        "Senders and server share the two cores with other work (`load before`), and with each other.",
        "",
        "Goals: 1,000 records a second from 50 stations, none lost or doubled while the server is killed three times;",
        "a bad recipe that stops at the canary. For 1,000 stations there was no goal but to say what they see.",
        "",
        *LIMITS,
    ]
    for name, title in TITLES.items():
        if name in found:
            lines += ["", f"## {title}", "", "| figure | value |", "|---|---|"]
            lines += [f"| {key.replace('_', ' ')} | {told(value)} |" for key, value in found[name].items()]
    return "\n".join(lines) + "\n"


def told(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


LIMITS = [
    "**What it does not show.** One server on SQLite with records alone: no pictures, no pages looked at meanwhile,",
    "no TLS. PostgreSQL is tested, not measured. The thousand stations are threads of four processes, which compete",
    "with the server for two cores; they send at a fixed rate, and all of it was taken.",
]
TITLES = {
    "paced": "50 stations record; the server is killed (-9) three times",
    "backlog": "50 stations come back with a backlog",
    "thousand": "1,000 stations, each with its connection",
    "rollout": "a bad recipe, rolled out to 50 stations",
}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default=",".join(TITLES))
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two calls of the thousand stations")
    parser.add_argument("--each", type=int, default=10, help="records in each of these calls")
    asked = parser.parse_args(words)
    only = asked.only.split(",")
    file = Path(__file__).with_suffix(".json")
    found = json.loads(file.read_text()) if file.exists() else {}
    found["machine"] = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, SQLite."
    logging.disable(logging.ERROR)
    works = {"paced": lambda: paced(asked.seconds), "backlog": backlog, "rollout": bad_recipe}
    works["thousand"] = lambda: thousand(asked.every, asked.each, 30.0)
    for name in only:
        load = os.getloadavg()[0]
        found[name] = works[name]() | {"load_before": round(load, 1)}
        file.write_text(json.dumps(found, indent=1) + "\n")
        file.with_suffix(".md").write_text(report(found))


if __name__ == "__main__":
    main()
