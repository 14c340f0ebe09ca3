"""A recipe runs in Node, without Python: examples/node scores as Python's runtime does, within the parity gate."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import pytest

from sightline.core.card import EXPLANATION_KEY
from sightline.core.files import cache_folder
from sightline.core.result import Verdict
from sightline.operations.exporting import export
from sightline.runtime.inspector import Inspector
from sightline.runtime.session import TOLERANCE

EXAMPLE = Path(__file__).parents[1] / "examples" / "node"
LOCK = EXAMPLE / "package-lock.json"  # names every package with its version and its integrity


@pytest.fixture(scope="module")
def modules() -> Path:
    """The example's packages, fetched from npm once, checked against the lock, and kept in the cache folder."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = cache_folder() / f"node-{digest}"
    if not (folder / "complete").is_file():
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            pytest.skip("node and npm are not installed")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(EXAMPLE / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
            said = done.stderr if done.returncode else ""
        except subprocess.TimeoutExpired:
            said = "it took too long"
        if said and os.environ.get("CI") == "true":
            pytest.fail(f"the packages of examples/node could not be fetched: {said}")
        if said:
            pytest.skip(f"the packages of examples/node could not be fetched: {said.strip()[:200]}")
        (folder / "complete").touch()
    return folder / "x.js"


def run(modules: Path, recipe: Path, picture: Path) -> subprocess.CompletedProcess[str]:
    command = ["node", str(EXAMPLE / "inspect.mjs"), str(recipe), str(picture)]
    environment = {**os.environ, "SIGHTLINE_NODE_MODULES": str(modules)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def picture(parts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ppm") / "part.ppm"
    image = cv2.imread(str(parts_folder / "images/good/00.png"))
    assert cv2.imwrite(str(path), cv2.resize(image, None, fx=1.3, fy=1.3))
    return path


def test_node_scores_as_python_does(modules: Path, picture: Path, good_recipe: Path) -> None:
    done = run(modules, good_recipe, picture)
    assert done.returncode == 0, done.stderr
    said, expected = json.loads(done.stdout), Inspector(good_recipe, threads=1).inspect(picture)
    assert abs(said["score"] - expected.score) <= TOLERANCE * max(1, abs(expected.score))
    assert said["p_value"] == pytest.approx(expected.p_value, abs=1e-6)
    assert Verdict(said["verdict"]) is expected.verdict


def test_a_web_export_runs_there_and_shows_no_picture_of_the_training(
    modules: Path, picture: Path, good_recipe: Path, tmp_path: Path
) -> None:
    export(good_recipe, "web", tmp_path / "web.onnx")
    done, whole = run(modules, tmp_path / "web.onnx", picture), run(modules, good_recipe, picture)
    assert done.returncode == 0, done.stderr
    said, expected = json.loads(done.stdout), json.loads(whole.stdout)
    assert said["verdict"] == expected["verdict"]
    assert abs(said["score"] - expected["score"]) <= TOLERANCE * max(1, abs(expected["score"]))
    assert EXPLANATION_KEY.encode() in good_recipe.read_bytes()
    assert EXPLANATION_KEY.encode() not in (tmp_path / "web.onnx").read_bytes()


@pytest.fixture(scope="module")
def good_recipe(parts_folder: Path, tmp_path_factory: pytest.TempPathFactory, train_tiny: object) -> Path:
    import sightline

    path = tmp_path_factory.mktemp("recipe") / "plates.onnx"
    train_tiny(sightline.Dataset.open(parts_folder).train, classify=False).save(path)  # type: ignore[operator]
    return path


def test_what_it_cannot_judge_it_refuses(modules: Path, picture: Path, good_recipe: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ppm"
    cut.write_bytes(picture.read_bytes()[:-9])
    no_recipe = tmp_path / "other.onnx"
    no_recipe.write_bytes(b"")
    cases = ((good_recipe, cut, "its end is missing"), (no_recipe, picture, "no recipe of Sightline"))
    for recipe, image, why in cases:
        done = run(modules, recipe, image)
        assert done.returncode != 0 and why in done.stderr and done.stdout == ""
