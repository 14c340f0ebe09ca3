"""A recipe per product of a folder: each once, whatever becomes of the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.conftest import TINY

from sightline.core.errors import InputError, SettingError
from sightline.operations.retraining import train_all
from sightline.runtime.cluster import Cluster
from sightline.runtime.recipe import Recipe


@pytest.fixture
def folder(parts_folder: Path, tmp_path: Path) -> Path:
    """Two products, and one that nothing can be learned from."""
    for name in ("caps", "plates"):
        shutil.copytree(parts_folder / "images/good", tmp_path / "photos" / name / "good")
    (tmp_path / "photos/empty").mkdir()
    return tmp_path / "photos"


def test_each_product_has_its_recipe_and_one_that_fails_ends_no_other(folder: Path, tmp_path: Path) -> None:
    settings = {"effort": "quick", **TINY}
    found = {one.product: one for one in train_all(folder, tmp_path / "out", settings, Cluster(processes=2))}
    assert set(found) == {"caps", "empty", "plates"}
    assert found["empty"].figures is None and str(folder / "empty") in str(found["empty"].error)
    for name in ("caps", "plates"):
        assert Recipe.load(tmp_path / "out" / f"{name}.onnx").card.product == name
        assert found[name].figures and found[name].figures["recipe"] == found[name].recipe

    (folder / "caps/good/00.png").unlink()
    again = [one.product for one in train_all(folder, tmp_path / "out", settings)]
    assert again == ["caps", "empty"]  # the plates' files and settings are what they were


def test_what_cannot_work_is_said_before_anything_is_trained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        list(train_all(folder, tmp_path / "out", {"effort": "heroic"}))
    with pytest.raises(InputError, match="holds no folders"):
        list(train_all(folder / "empty", tmp_path / "out", {}))
    assert not (tmp_path / "out").exists()
