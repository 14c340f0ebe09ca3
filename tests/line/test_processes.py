"""Restarts are counted, and end."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from sightline.line.processes import STATION_MODULES, WORKER_MODULES, RestartBudget, open_log


@pytest.mark.parametrize("name", [*STATION_MODULES, *WORKER_MODULES])
def test_what_processes_find_imported_already_is_there(name: str) -> None:
    """The server that they are forked from passes over what it cannot import: every restart would take that longer."""
    assert find_spec(name) is not None


def test_five_within_a_minute_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget = RestartBudget()
    assert [budget.spend() for _ in range(6)] == [True] * 5 + [False]
    now[0] += 61
    assert budget.spend()


def test_a_reset_renews_it() -> None:
    budget = RestartBudget(restarts=1)
    assert budget.spend() and not budget.spend()
    budget.renew()
    assert budget.spend()


# One JSON object per line, in a file that is rotated.


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger("sightline")
    before = root.handlers[:], root.level, root.propagate
    open_log("desk", tmp_path)
    yield tmp_path / "desk.log"
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, root.propagate = before[0], before[1], before[2]


def test_lines_have_what_a_search_needs(log: Path) -> None:
    logger = logging.getLogger("sightline.line.station")
    logger.error("part %s is NG: %s", "7", "lost", extra={"part": "7", "error": 2, "cause": "lost"})
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("part %s", "8")
    first, second = map(json.loads, log.read_text().splitlines())
    assert first | {"time": ""} == {
        **{"time": "", "level": "error", "logger": "sightline.line.station", "station": "desk"},
        **{"message": "part 7 is NG: lost", "part": "7", "error": 2, "cause": "lost"},
    }
    assert "ValueError: why" in second["exception"]
