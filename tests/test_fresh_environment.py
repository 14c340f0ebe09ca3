"""The base install judges parts without torch, in an environment of its own; the web app adds little to it."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import sightline

ROOT = Path(__file__).parents[1]


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with the base install alone."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    assert run(sys.executable, "-m", "venv", folder).returncode == 0
    python = folder / "bin" / "python"
    add(python, ROOT)
    return python


def add(python, what):
    install = run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", what)
    assert install.returncode == 0, install.stderr


def megabytes(python):
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    return int(run("du", "-sm", packages).stdout.split()[0])


@pytest.mark.slow
def test_a_recipe_runs_where_there_is_no_torch(tmp_path, python):
    rng = np.random.default_rng(0)
    good = tmp_path / "data" / "good"
    good.mkdir(parents=True)
    for index in range(7):
        cv2.imwrite(str(good / f"{index}.png"), rng.integers(100, 150, (64, 64, 3), np.uint8))
    parts = sightline.Dataset.open(good.parent, test_fraction=0.1)
    sightline.train(parts.train, side_px=64, bank_size=64, brightness=0).save(tmp_path / "r.onnx")
    expected = sightline.Inspector(tmp_path / "r.onnx").inspect(good / "0.png")

    assert run(python, "-c", "import torch").returncode != 0
    result = run(python, "-m", "sightline", "inspect", tmp_path / "r.onnx", good / "0.png", "--json")
    assert result.returncode == 0, result.stderr
    judged = json.loads(result.stdout)
    assert judged["score"] == pytest.approx(expected.score, abs=1e-4)
    assert judged["verdict"] == expected.verdict
    refused = run(python, "-m", "sightline", "train", good.parent, "-o", tmp_path / "x.onnx")
    assert refused.returncode == 1
    assert "pip install 'sightline[train]'" in refused.stderr


@pytest.mark.slow
def test_the_web_app_adds_at_most_60_mb(python):  # the last one here: it adds to the environment
    before = megabytes(python)
    add(python, f"{ROOT}[web]")
    assert megabytes(python) - before <= 60
    missing = "import importlib.util; print([n for n in ('torch', 'scipy', 'sklearn') if importlib.util.find_spec(n)])"
    assert run(python, "-c", missing).stdout.strip() == "[]"
    loads = run(python, "-c", "import sightline.web.api.app")
    assert loads.returncode == 0, loads.stderr
