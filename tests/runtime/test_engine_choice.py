"""engine=auto: the fastest engine that says the same, chosen once; whatever goes wrong there leaves onnxruntime."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.core.errors import SettingError
from sightline.operations.doctor import doctor
from sightline.operations.inspection import Judging
from sightline.runtime import engine_choice
from sightline.runtime.engine_choice import Answer, Choice, choose_engine
from sightline.runtime.inspector import Inspector
from sightline.runtime.recipe import Recipe
from sightline.runtime.session import TOLERANCE, Engine, Precision, open_session

F32: tuple[Engine, Precision] = ("openvino", "f32")
BF16: tuple[Engine, Precision] = ("openvino", "bf16")
FIRST: tuple[Engine, Precision] = ("onnxruntime", "f32")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where choices of a machine that has made none yet will lie."""
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'sightline[openvino]'")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


def _instead_of_python(monkeypatch: pytest.MonkeyPatch, folder: Path, words: str) -> None:
    """What is started to measure does this instead."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def _keep(folder: Path, recipe: Recipe, **choice: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{engine_choice._key(recipe.data, 1)}.json").write_text(json.dumps(choice))


def _chosen(choice: Choice) -> tuple[str, str]:
    return choice.engine, choice.precision


def test_what_was_measured_is_remembered(
    recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "TIME_S", 600)  # beside other work, too
    found = choose_engine(recipe.data, 1)
    assert "openvino f32 takes" in found.reason, found.reason
    assert len(list(folder.iterdir())) == 1
    _instead_of_python(monkeypatch, tmp_path, "exit 3")
    assert choose_engine(recipe.data, 1) == found
    other = choose_engine(recipe.data, 2)  # with other threads, another engine may be the fastest
    assert other.reason.startswith("beside onnxruntime f32, openvino f32: ended with 3")


def test_a_recipe_says_the_same_in_the_engine_that_was_chosen(recipe: Recipe, judge: Inspector, draw: Any) -> None:
    inspector = Inspector(recipe, 1, "auto")
    for seed in range(4):
        image = draw(760 + seed, flawed=seed % 2 == 1)[0]
        one, other = inspector.inspect(image), judge.inspect(image)
        assert one.verdict is other.verdict
        assert one.score == pytest.approx(other.score, abs=1e-3 * max(1.0, abs(other.score)))


@pytest.mark.parametrize(
    ("answers", "best"),
    [
        ({F32: (1.5, 1e-6, 0), BF16: (1.2, 1e-6, 0)}, F32),
        ({F32: (1.5, 1e-6, 0), BF16: (2.5, 1e-4, 0)}, BF16),
        ({F32: (1.04, 1e-6, 0), BF16: (0.5, 1e-6, 0)}, FIRST),
        ({F32: (9.0, 2e-3, 0), BF16: (9.0, float("nan"), 0)}, FIRST),
        ({F32: (9.0, 1e-6, 1), BF16: (9.0, float("inf"), 0)}, FIRST),
        ({F32: "does not load", BF16: (2.0, 1e-6, 0)}, BF16),
        ({F32: "does not load", BF16: "does not load"}, FIRST),
    ],
)
def test_the_fastest_is_taken_that_says_the_same(
    answers: dict[tuple[Engine, Precision], Answer], best: tuple[Engine, Precision]
) -> None:
    found = engine_choice._best(answers, "load 0.1")
    assert _chosen(found) == best
    assert "openvino f32" in found.reason
    assert "openvino bf16" in found.reason


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("kill -SEGV $$", "ended with -11"),
        ("sleep 9", "not measured within 0.5 s"),
        ("echo '[9.9]'", "not measured"),
        ("echo no JSON", "not measured"),
    ],
)
def test_an_engine_that_fails_while_it_is_measured_is_not_taken(
    words: str, reason: str, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_choice, "TIME_S", 0.5)
    _instead_of_python(monkeypatch, tmp_path, words)
    found = choose_engine(recipe.data, 1)
    assert _chosen(found) == FIRST
    assert found.reason.count(reason) == 2


def test_the_gate_looks_at_every_output(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is off in the heat alone does not pass."""

    def off(*given: Any) -> Any:
        session = open_session(*given)
        run = session.run

        def slightly_off(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            found = run(arrays)
            return {**found, "heatmap": found["heatmap"] + np.float32(0.1)}

        session.run = slightly_off  # type: ignore[method-assign]
        return session

    exact = engine_choice._compare(recipe.data, *F32, 1)
    assert isinstance(exact, tuple)
    assert exact[1] < TOLERANCE
    assert exact[2] == 0
    monkeypatch.setattr(engine_choice, "open_session", off)
    shifted = engine_choice._compare(recipe.data, *F32, 1)
    assert isinstance(shifted, tuple)
    assert shifted[1] > TOLERANCE


def test_where_nothing_can_be_remembered_nothing_is_measured(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))
    _instead_of_python(monkeypatch, tmp_path, f"touch {tmp_path / 'started'}")
    found = choose_engine(recipe.data, 1)
    assert _chosen(found) == FIRST
    assert "could not be remembered" in found.reason
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kept", [{"engine": "abacus", "precision": "f32", "reason": ""}, {"engine": "openvino"}, {}])
def test_what_was_not_remembered_by_us_is_measured_anew(
    kept: dict[str, str], recipe: Recipe, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep(folder, recipe, **kept)
    _instead_of_python(monkeypatch, tmp_path, "exit 3")
    assert "ended with 3" in choose_engine(recipe.data, 1).reason


def test_an_engine_that_no_longer_opens_leaves_onnxruntime(
    recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep(folder, recipe, engine="openvino", precision="f32", reason="measured")
    assert _chosen(Inspector(recipe, 1, "auto").engine) == F32
    monkeypatch.setitem(sys.modules, "openvino", None)
    found = Inspector(recipe, 1, "auto").engine
    assert _chosen(found) == FIRST
    assert "pip install 'sightline[openvino]'" in found.reason


def test_a_precision_beside_auto_is_refused(recipe: Recipe) -> None:
    with pytest.raises(SettingError, match="engine 'auto' also chooses the precision"):
        Inspector(recipe, 1, "auto", "bf16")


def test_people_are_told_what_was_chosen(recipe: Recipe, recipe_file: Path, folder: Path) -> None:
    _keep(folder, recipe, engine="openvino", precision="f32", reason="measured")
    told: list[str] = []
    Judging(recipe_file, threads=1, engine="auto").open(told.append)
    assert told == ["engine: openvino f32 (measured)"]
    Judging(recipe_file, recipe_file, threads=1, engine="auto").open(told.append)
    assert told == ["engine: openvino f32 (measured)"] * 3
    (check,) = (check for check in doctor() if check.name == "engine=auto")
    assert check.detail == "measured recipes: openvino f32 for 1"
