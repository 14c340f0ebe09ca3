"""Training where torch cannot be imported: the same recipe, and what is left out is said."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sightline
from sightline.core.errors import WeightsError
from sightline.models.pretrained import VARIANTS, read_weights, weights_file
from sightline.train.backbone.lite_graph import lite_onnx
from sightline.train.backbone.torch_extractor import TorchExtractor

HIDDEN = ("torch", "onnxscript", "sklearn", "scipy", "matplotlib", "jinja2", "optuna")
SETTINGS = {"side_px": 96, "bank_size": 128, "sample_patches": 2000, "threads": 1, "synthetic": 48, "classify": False}
CODE = f"""
import sys; sys.modules.update(dict.fromkeys({HIDDEN!r}))
import sightline
sightline.train(sightline.Dataset.open(sys.argv[1]).train, progress=False, **{SETTINGS!r}).save(sys.argv[2])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, draw: Any, write: Any) -> Path:
    folder = tmp_path_factory.mktemp("plates") / "plates"
    (folder / "good").mkdir(parents=True)
    for index in range(9):
        write(folder / "good" / f"{index}.png", draw(index)[0])
    return folder


@pytest.fixture(scope="module")
def without(folder: Path) -> tuple[Path, str]:
    """A recipe trained where torch is hidden, and what was said meanwhile."""
    path = folder.parent / "without.onnx"
    command = [sys.executable, "-c", CODE, str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path, done.stderr


def test_the_same_parts_score_the_same(folder: Path, without: tuple[Path, str], draw: Any) -> None:
    recipe = sightline.train(sightline.Dataset.open(folder).train, progress=False, **SETTINGS)
    ours, other = (sightline.Inspector(made, threads=1) for made in (without[0], recipe))
    for seed in (100, 101, 102, 903):
        assert ours.inspect(draw(seed)[0]).score == pytest.approx(other.inspect(draw(seed)[0]).score, abs=1e-4)
    assert ours.card.band == other.card.band and ours.card.choices == other.card.choices


def test_what_is_left_out_is_said_at_once_and_the_proof_names_its_reference(without: tuple[Path, str]) -> None:
    path, said = without
    assert "torch is not installed" in said and "pip install" not in said.split("torch is not installed")[0]
    parity = sightline.Inspector(path, threads=1).card.parity
    assert parity is not None and parity.verdict_flips == 0
    assert parity.reference.startswith("backbone, not optimised")


def test_what_needs_torch_names_the_extra(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))  # where another backbone was exported before, it runs
    code = CODE.replace("progress=False", "progress=False, backbone='dinov2-s'")
    command = [sys.executable, "-c", code, str(folder), "x.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "MissingExtraError: the package 'torch'" in done.stderr, done.stderr


# The published weights and the graph that is written from them


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_written_graph_equals_the_network(variant: str) -> None:
    from sightline.runtime.session import OnnxSession

    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3)).astype(np.uint8)
    written = OnnxSession(lite_onnx(variant), threads=1).run({"image": images})
    for name, expected in TorchExtractor(variant)(images).items():
        assert np.abs(written[name] - expected).max() < 1e-5 * np.abs(expected).max(), name


def test_the_numbers_are_read_as_torch_reads_them() -> None:
    ours, theirs = read_weights(weights_file("lite0")), torch.load(weights_file("lite0"), weights_only=True)
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], values.numpy()) for name, values in theirs.items())


class _Evil:
    def __reduce__(self) -> Any:
        return print, ("run by a file of weights",)


@pytest.mark.parametrize("spoil", [_Evil(), OrderedDict(weight=_Evil())])
def test_a_file_that_names_other_code_is_refused(
    spoil: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"".join(pickle.dumps(x, 2) for x in (1, 1001, {}, spoil, [])))
    with pytest.raises(WeightsError, match=r"not a file of weights \(it names __builtin__.print"):
        read_weights(path)
    assert capsys.readouterr().out == ""


def test_a_file_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(weights_file("lite0").read_bytes()[:-100])
    with pytest.raises(WeightsError, match="ends too early"):
        read_weights(path)
