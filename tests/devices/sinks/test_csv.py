"""CSV files: a line per part, a file per day, and nothing half."""

from __future__ import annotations

import csv
import time

import pytest

from sightline.core.errors import SinkError
from sightline.devices.sinks.table import open_sink

QUICK = {"backoff": {"first_ms": 20, "longest_ms": 50}}
DAY = 1_700_000_000  # 2023-11-14, 22:13 UTC


def opened(folder, **options):
    return open_sink({"kind": "csv", "folder": folder, **QUICK, **options})


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_part_is_a_line_of_its_day(tmp_path, signal, until):
    sink = opened(tmp_path / "out")
    for number, at in enumerate((DAY, DAY + 1, DAY + 86_400)):
        sink.send(signal(f"P{number}", decided=at, triggered=at))
    until(lambda: sink.health().waiting == 0)
    first = rows(tmp_path / "out" / "results-2023-11-14.csv")
    assert [(row["part_id"], row["verdict"], row["score"]) for row in first] == [
        ("P0", "NG", "3.5"),
        ("P1", "NG", "3.5"),
    ]
    assert [row["part_id"] for row in rows(tmp_path / "out" / "results-2023-11-15.csv")] == ["P2"]
    sink.close()


def test_a_line_cut_off_by_a_kill_does_not_spoil_the_next(tmp_path, signal):
    sink = opened(tmp_path)
    sink.send(signal("one", decided=DAY))
    sink.close()
    path = tmp_path / "results-2023-11-14.csv"
    path.write_bytes(path.read_bytes() + b"2023-11-14T22:13:20,half")
    sink = opened(tmp_path)
    sink.send(signal("two", decided=DAY))
    sink.close()
    assert [row["part_id"] for row in rows(path)] == ["one", "half", "two"]


def test_no_cell_is_a_formula(tmp_path, signal):
    sink = opened(tmp_path)
    sink.send(signal('=cmd|"/c calc"!A1', decided=DAY))
    sink.send(signal("a,b\n", decided=DAY, score=-1.5))
    sink.close()
    first, second = rows(tmp_path / "results-2023-11-14.csv")
    assert first["part_id"] == '\'=cmd|"/c calc"!A1'
    assert (second["part_id"], second["score"]) == ("a,b\n", "-1.5")


def test_a_disk_that_takes_nothing_is_waited_for_and_bounded(tmp_path, signal, until):
    blocked = tmp_path / "out"
    blocked.write_text("a file where the folder should be")
    sink = opened(blocked, waiting_max=3)
    start = time.monotonic()
    for number in range(3):
        sink.send(signal(f"{number}", decided=DAY))
    with pytest.raises(SinkError, match="3 messages are already waiting"):
        sink.send(signal("4"))
    assert time.monotonic() - start < 1
    until(lambda: sink.health().error)
    blocked.unlink()
    until(lambda: sink.health().waiting == 0)
    assert [row["part_id"] for row in rows(blocked / "results-2023-11-14.csv")] == ["0", "1", "2"]
    sink.close()


def test_old_files_go(tmp_path, signal):
    for name in ("results-2023-01-01.csv", "results-2023-11-10.csv", "other-2023-01-01.csv", "results-x.csv"):
        (tmp_path / name).write_text("")
    sink = opened(tmp_path, keep_days=30)
    sink.send(signal(decided=DAY))
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "other-2023-01-01.csv",
        "results-2023-11-10.csv",
        "results-2023-11-14.csv",
        "results-x.csv",
    ]


@pytest.mark.parametrize("part", ["a;=1+1", "a\t@SUM(1)", " =1", "x|+1", 'y"-1', "\uff1d1", "\n=1"])
def test_no_cell_is_a_formula_for_spreadsheets_of_other_languages_either(tmp_path, signal, part):
    sink = opened(tmp_path)
    sink.send(signal(part, decided=DAY))
    sink.close()
    text = (tmp_path / "results-2023-11-14.csv").read_text()
    for separator in ",;\t|":
        for line in text.splitlines()[1:]:
            cells = [cell.lstrip('" ') for cell in line.split(separator)]
            assert not any(cell.startswith(("=", "+", "-", "@", "\uff1d")) for cell in cells), cells


def test_a_day_that_began_with_other_columns_goes_on_in_another_file(tmp_path, signal):
    (tmp_path / "results-2023-11-14.csv").write_text("decided,part_id,verdict\n2023-11-14T22:00:00,old,OK\n")
    for name in ("new", "newer"):
        sink = opened(tmp_path, keep_days=1)
        sink.send(signal(name, decided=DAY))
        sink.close()
    assert [row["part_id"] for row in rows(tmp_path / "results-2023-11-14.csv")] == ["old"]
    assert [row["part_id"] for row in rows(tmp_path / "results-2023-11-14-2.csv")] == ["new", "newer"]
    sink = opened(tmp_path, keep_days=1)
    sink.send(signal("later", decided=DAY + 3 * 86_400))
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["results-2023-11-17.csv"]
