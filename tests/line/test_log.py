"""One JSON object per line, in a file that is rotated."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.line.log import open_log


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
