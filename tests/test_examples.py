"""The examples run as written; what a notebook's cells end with shows itself."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK = EXAMPLES / "03_notebook.ipynb"


@pytest.mark.slow
def test_the_first_example_ends_with_a_verdict_and_a_picture() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", EXAMPLES / "01_verdict.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.split()[-1]).read_bytes().startswith(b"\x89PNG")


def shown(source: str, names: dict[str, Any]) -> Any:
    """Run a cell as a notebook does; what its last expression gives."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NOTEBOOK.name, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:an outlier")  # that is said of a part is no fault of the notebook's
def test_the_notebook_runs_and_shows_tables_and_pictures() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    ends = {cell["id"]: shown("".join(cell["source"]), names) for cell in cells}
    assert ends["parts"][0] > 10
    for name in ("recipe", "figures"):
        assert "<" in ends[name]._repr_html_()
    for name, wide in (("result", 256), ("worst", 4 * 256)):
        picture = cv2.imdecode(np.frombuffer(ends[name]._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (256, wide, 3)
        assert picture.std() > 10
    assert ends["values"][0] in ("NG", "REVIEW", "OK")


def test_the_notebook_is_one_for_jupyter_and_stays_small() -> None:
    """As nbformat 4.5 wants it: every cell with an id of its own; nothing that somebody's machine left in it."""
    notebook = json.loads(NOTEBOOK.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert NOTEBOOK.stat().st_size < 200_000
    names = [cell["id"] for cell in notebook["cells"]]
    assert len(set(names)) == len(names)
    for cell in notebook["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        assert set(cell) == wanted | ({"outputs", "execution_count"} if cell["cell_type"] == "code" else set())
        assert not cell.get("outputs")


@pytest.fixture
def year(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The year's script as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    spec = importlib.util.spec_from_file_location("year_script", EXAMPLES / "04_year.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DAYS", 2)
    monkeypatch.setattr("sightline.improve.charts.FIRST", 30)
    return module


@pytest.mark.slow
def test_a_short_year_finds_names_and_learns_what_is_new(year: Any, tmp_path: Path) -> None:
    """Another lens and a defect that nobody knew, through the server's API: found, named, learned, recognised.

    A year as short as this says nothing of what the loop saves: docs/how-to/a-year.md has one of 1,080 parts.
    """
    from year.page import escapes, overkills, phases, write_page
    from year.parts import NEW
    from year.plant import NEW_NAME

    short = year.Year(parts=288, size=128, new=0.3)
    tiny = {"effort": "quick", "side_px": 128, "bank_size": 512, "sample_patches": 8000, "synthetic": 24}
    how = {"settings": tiny, "good": 50, "each": 4, "ask_ok": 0.05, "ask_ng": 0.2}
    parts, events, answers = year.run(short, tmp_path, 0.03, **how)
    page = write_page(tmp_path / "year.html", short, parts, events, answers).read_text()
    alarms = [one.text for one in events if one.kind == "alarm"]
    assert any("softer or sharper" in text for text in alarms), alarms
    recipes = [one for one in events if one.kind == "recipe"]
    assert any("promoted" in one.text for one in recipes)
    (taught,) = (one for one in recipes if NEW_NAME in one.text)
    later = [one.called == NEW_NAME for one in parts if one.kind == NEW and one.index > taught.index]
    assert sum(later) > 0.7 * len(later) > 5
    after = phases(short, parts)[2][1]
    for measure in (escapes, overkills):  # nothing shows that either has become worse
        assert measure(after, "loop").lower <= measure(after, "frozen").upper
    assert page.count("<svg") == 3 and "http" not in page.replace("http-equiv", "")
    assert len(parts) == short.parts
