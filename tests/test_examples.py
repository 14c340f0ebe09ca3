"""The examples run as written; what a notebook's cells end with shows itself."""

from __future__ import annotations

import ast
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
