"""kill -9, fifty times on each database, while samples come in and while inspections are recorded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

VICTIM = Path(__file__).with_name("victim.py")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ingesting", "recording"])
def test_nothing_acknowledged_is_lost_and_nothing_is_left_over(database, make_parts, tmp_path, kind):
    make_parts(tmp_path / "parts", 300)
    words = [
        sys.executable,
        str(VICTIM),
        kind,
        database("open"),
        str(tmp_path / "images"),
        str(tmp_path / "parts"),
        "25",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["acknowledged"] > 25
