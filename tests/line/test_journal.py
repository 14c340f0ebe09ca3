"""The journal: nothing that was appended is lost, in order, whatever happens to the database or the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import InputError, StoreError
from sightline.line.journal import Journal

Entry = dict[str, Any]


def test_entries_arrive_in_order(tmp_path: Path) -> None:
    got: list[int] = []
    journal = Journal(tmp_path / "j.db", lambda entries: got.extend(e["n"] for e in entries))
    for number in range(1000):
        journal.append({"n": number})
    assert journal.flush(10)
    journal.close()
    assert got == list(range(1000))


def test_a_database_that_is_away_holds_up_nothing_and_loses_nothing(tmp_path: Path) -> None:
    got: list[int] = []
    back = threading.Event()

    def deliver(entries: Sequence[Entry]) -> None:
        if not back.is_set():
            raise StoreError("the database is locked")
        got.extend(e["n"] for e in entries)

    journal = Journal(tmp_path / "j.db", deliver)
    for number in range(500):
        journal.append({"n": number})
    assert not journal.flush(0.5) and "locked" in journal.error and journal.waiting == 500
    back.set()
    assert journal.flush(10) and journal.error == ""
    journal.close()
    assert got == list(range(500))


def test_what_was_not_delivered_is_delivered_by_the_next_one(tmp_path: Path) -> None:
    def never(entries: Sequence[Entry]) -> None:
        raise StoreError("away")

    journal = Journal(tmp_path / "j.db", never)
    journal.append({"n": 1})
    journal.close(timeout_s=0.1)
    got: list[Entry] = []
    again = Journal(tmp_path / "j.db", got.extend)
    assert again.flush(5)
    again.close()
    assert got == [{"n": 1}]


def test_an_entry_that_can_never_be_recorded_is_set_apart(tmp_path: Path) -> None:
    got: list[int] = []

    def deliver(entries: Sequence[Entry]) -> None:
        if any(e["n"] == 3 for e in entries):
            raise InputError("3 is not a number")
        got.extend(e["n"] for e in entries)

    journal = Journal(tmp_path / "j.db", deliver)
    for number in range(6):
        journal.append({"n": number})
    assert journal.flush(5)
    journal.close()
    assert got == [0, 1, 2, 4, 5]


def test_a_full_journal_refuses(tmp_path: Path) -> None:
    def never(entries: Sequence[Entry]) -> None:
        raise StoreError("away")

    journal = Journal(tmp_path / "j.db", never, most=2)
    journal.append({})
    journal.append({})
    with pytest.raises(StoreError, match="which is the limit"):
        journal.append({})
    journal.close(timeout_s=0)


KILLED = """
import os, signal, sys
from contextlib import closing
from pathlib import Path
from sightline.core.errors import StoreError
from sightline.line.journal import Journal
def never(entries): raise StoreError("away")
journal = Journal(Path(sys.argv[1]), never)
for number in range(10_000):
    journal.append({"n": number})
    os.write(1, f"{number}\\n".encode())
"""


def test_kill_9_loses_no_entry_that_was_acknowledged(tmp_path: Path) -> None:
    for round_ in range(3):
        path = tmp_path / f"{round_}.db"
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(50 + 40 * round_):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = 50 + 40 * round_ + len(process.stdout.readlines())
        process.wait()
        process.stdout.close()
        got: list[int] = []
        journal = Journal(path, lambda entries, got=got: got.extend(e["n"] for e in entries))  # type: ignore[misc]
        assert journal.flush(10)
        journal.close()
        assert got[:acknowledged] == list(range(acknowledged))


def test_a_transaction_that_breaks_off_is_rolled_back(tmp_path: Path) -> None:
    """What is appended after it must not lie in it, where it would go with the process."""
    tried = threading.Event()
    journal = Journal(tmp_path / "j.db", lambda entries: tried.set())
    journal._file.execute("CREATE TRIGGER no BEFORE DELETE ON entries BEGIN SELECT RAISE(FAIL, 'no space'); END")
    journal.append({"n": 1})
    assert tried.wait(5)
    while not journal.error:
        time.sleep(0.01)
    journal.append({"n": 2})
    with closing(sqlite3.connect(tmp_path / "j.db")) as other:
        assert other.execute("SELECT COUNT(*) FROM entries").fetchone() == (2,)
    with journal._changed:
        journal._file.execute("DROP TRIGGER no")
    assert journal.flush(10)
    journal.close()


def test_whatever_the_database_raises_the_journal_goes_on(tmp_path: Path) -> None:
    got: list[Entry] = []
    broken = threading.Event()

    def deliver(entries: Sequence[Entry]) -> None:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("a driver's own mistake")
        got.extend(entries)

    journal = Journal(tmp_path / "j.db", deliver)
    journal.append({"n": 1})
    assert journal.flush(5)
    journal.close()
    assert got == [{"n": 1}]


def test_a_text_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    got: list[Entry] = []
    journal = Journal(tmp_path / "j.db", got.extend)
    journal.append({"n": "\ud800"})
    assert journal.flush(5)
    journal.close()
    assert got == [{"n": "\ud800"}]


def test_a_fault_of_ours_does_not_end_the_delivery(tmp_path: Path) -> None:
    got: list[int] = []
    faults = [KeyError("station"), AttributeError("no")]

    def deliver(entries: Sequence[Entry]) -> None:
        if faults:
            raise faults.pop()
        got.extend(e["n"] for e in entries)

    journal = Journal(tmp_path / "j.db", deliver)
    journal.append({"n": 1})
    assert journal.flush(10)
    journal.close()
    assert got == [1]
