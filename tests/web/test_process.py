"""The web process as people run it: none of the lab's packages is in it, whatever it is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.evaluate.test_preview import KNOWN
from tests.test_base_install import HIDDEN
from tests.web.conftest import PASSWORD

from sightline.runtime.recipe import Recipe
from sightline.store.store import Store
from sightline.web.client import Client

HIDE = f"import sys; sys.modules.update(dict.fromkeys({HIDDEN!r})); from sightline.cli import main; main()"
MONTH = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-31T00:00:00Z"}


def test_exact_bounds_and_charts_come_from_a_process_without_the_lab(
    made_store: Callable[[Path], Store], recipe: Recipe, tmp_path: Path
) -> None:
    with made_store(tmp_path) as store:
        card = recipe.card.model_dump(mode="json")
        kept = store.recipes.register(recipe.data, "plates", "plates.onnx", "ann", card=card).hash
        store.evaluations.add(kept, "plates@1", {}, KNOWN.to_json(), "eve")
    options = ["--port", "0", "--no-browser", "--db", str(tmp_path / "store.db"), "--set", "worker=false"]
    process = subprocess.Popen([sys.executable, "-c", HIDE, "serve", *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        url = process.stderr.readline().partition(" is on ")[2].strip()
        assert url, "the server did not start"
        with Client(url) as client:
            client.log_in("administrator", PASSWORD)
            told = client.post(f"/recipes/{kept}/preview-thresholds", {"ok": 6.0, "ng": 8.0})
            assert told["escape"]["upper"] > told["escape"]["value"]
            assert client.get("/statistics/p-chart", **MONTH)["points"] == []
            assert client.get("/reviews/summary")["reviewers"] is not None
        loaded = Path(f"/proc/{process.pid}/maps").read_text()
        assert "/onnxruntime/" in loaded or "/numpy/" in loaded  # compiled parts are seen in this way
        assert [name for name in ("torch", "scipy", "sklearn", "matplotlib") if f"/{name}/" in loaded] == []
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
