"""The MVTec layout brings its own split and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.data.formats import mvtec

BLANK = np.zeros((32, 32), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, write: Any) -> Path:
    for name in (
        *("train/good/000.png", "train/good/001.png", "test/good/000.png"),
        *("test/crack/000.png", "test/crack/001.png", "test/hole/000.png"),
        *("ground_truth/crack/000_mask.png", "ground_truth/hole/000.png"),
    ):
        write(tmp_path / name, BLANK)
    return tmp_path


def test_the_layout_is_found_by_its_good_training_parts(folder: Path, tmp_path: Path) -> None:
    assert mvtec.found(folder)
    assert not mvtec.found(folder / "train")
    assert not mvtec.found(folder / "gone")


def test_every_image_comes_with_split_type_and_mask(folder: Path) -> None:
    rows = {
        str(s.path.relative_to(folder)): (s.split, s.defective, s.types, s.mask and str(s.mask.relative_to(folder)))
        for s in mvtec.read(folder)
    }
    assert rows == {
        "train/good/000.png": ("train", False, (), None),
        "train/good/001.png": ("train", False, (), None),
        "test/good/000.png": ("test", False, (), None),
        "test/crack/000.png": ("test", True, ("crack",), "ground_truth/crack/000_mask.png"),
        "test/crack/001.png": ("test", True, ("crack",), None),
        "test/hole/000.png": ("test", True, ("hole",), "ground_truth/hole/000.png"),
    }


def test_a_set_without_a_test_part_is_read(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "train/good/1.png", BLANK)
    assert [sample.split for sample in mvtec.read(tmp_path)] == ["train"]


def test_no_training_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train/good").mkdir(parents=True)
    assert mvtec.found(tmp_path)
    with pytest.raises(InputError, match=r"train: holds no images. Put photos of good parts into train/good/"):
        mvtec.read(tmp_path)


def test_a_validation_part_is_the_test_part_where_there_is_no_other(tmp_path: Path, write: Any) -> None:
    for name in ("train/good/1.png", "train/bad/1.png", "val/good/2.png", "val/bad/2.png"):
        write(tmp_path / name, BLANK)
    assert [(s.split, s.defective) for s in mvtec.read(tmp_path)] == [
        *(("train", True), ("train", False)),
        *(("test", True), ("test", False)),
    ]
    write(tmp_path / "test/good/3.png", BLANK)
    assert [sample.split for sample in mvtec.read(tmp_path)] == ["train"] * 4 + ["test"]


def test_folders_below_a_class_are_read_and_stray_ones_refused(folder: Path, write: Any) -> None:
    write(folder / "train/good/lot 2/003.png", BLANK)
    write(folder / "test/crack/lot 2/003.png", BLANK)
    write(folder / "ground_truth/crack/lot 2/003_mask.png", BLANK)
    samples = {str(sample.path.relative_to(folder)): sample for sample in mvtec.read(folder)}
    assert samples["train/good/lot 2/003.png"].defective is False
    assert samples["test/crack/lot 2/003.png"].mask == folder / "ground_truth/crack/lot 2/003_mask.png"
    write(folder / "test/overlays/003.png", BLANK)
    with pytest.raises(InputError, match="overlays: looks like pictures that an inspection made"):
        mvtec.read(folder)
