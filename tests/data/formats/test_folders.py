"""Class folders, with or without `images/`, masks and groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.formats import folders

BLANK = np.zeros((32, 32), np.uint8)


def _by_name(folder: Path) -> dict[str, Sample]:
    return {sample.path.relative_to(folder).as_posix(): sample for sample in folders.read(folder)}


@pytest.mark.parametrize("base", ["", "images/"])
def test_a_folders_name_is_the_label(base: str, tmp_path: Path, write: Any) -> None:
    for name in ("good/1.png", "good/2.JPG", "scratch/1.png", "deep dent/1.bmp"):
        write(tmp_path / f"{base}{name}", BLANK)
    samples = _by_name(tmp_path)
    assert folders.found(tmp_path)
    labels = {name.removeprefix(base): (sample.defective, sample.types) for name, sample in samples.items()}
    assert labels == {
        "good/1.png": (False, ()),
        "good/2.JPG": (False, ()),
        "scratch/1.png": (True, ("scratch",)),
        "deep dent/1.bmp": (True, ("deep dent",)),
    }
    assert all(sample.split is None for sample in samples.values())


@pytest.mark.parametrize("name", ["good", "OK", "Normal", "normals"])
def test_good_has_several_names(name: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / name / "1.png", BLANK)
    assert folders.found(tmp_path)
    assert [sample.defective for sample in folders.read(tmp_path)] == [False]


def test_masks_belong_to_defective_images_only(tmp_path: Path, write: Any) -> None:
    for name in ("images/good/1.png", "images/dent/1.png", "images/dent/2.jpg", "images/dent/3.png"):
        write(tmp_path / name, BLANK)
    for name in ("masks/good/1.png", "masks/dent/1.png", "masks/dent/2_mask.png"):
        write(tmp_path / name, BLANK)
    masks = {name: sample.mask for name, sample in _by_name(tmp_path).items()}
    assert masks == {
        "images/good/1.png": None,
        "images/dent/1.png": tmp_path / "masks/dent/1.png",
        "images/dent/2.jpg": tmp_path / "masks/dent/2_mask.png",
        "images/dent/3.png": None,
    }


def test_masks_and_hidden_things_are_no_classes(tmp_path: Path, write: Any) -> None:
    for name in ("good/1.png", "masks/1.png", "ground_truth/1.png", ".cache/1.png", "good/.1.png", "good/sub/2.png"):
        write(tmp_path / name, BLANK)
    (tmp_path / "good/notes.txt").write_text("")
    assert list(_by_name(tmp_path)) == ["good/1.png"]


def test_groups_come_from_a_table(tmp_path: Path, write: Any) -> None:
    for name in ("images/good/a 1.png", "images/good/2.png", "images/dent/1.png"):
        write(tmp_path / name, BLANK)
    table = "image,group\nimages/good/a 1.png, part 7 \nimages\\dent\\1.png,part 8\nimages/good/2.png,\n"
    (tmp_path / "groups.csv").write_text(table, encoding="utf-8-sig")
    groups = {name: sample.group for name, sample in _by_name(tmp_path).items()}
    assert groups == {"images/good/a 1.png": "part 7", "images/good/2.png": None, "images/dent/1.png": "part 8"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"file,part\n1.png,a\n", r"has the columns \['file', 'part'\]. Expected: image, group"),
        (b"", "Expected: image, group"),
        (b"image,group\ngood/\xe4.png,a\n", "not a readable CSV .* Save it as UTF-8 CSV"),
    ],
)
def test_a_bad_table_of_groups_is_named(content: bytes, said: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    (tmp_path / "groups.csv").write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        folders.read(tmp_path)
    assert str(tmp_path / "groups.csv") in str(error.value)


def test_a_row_that_is_too_short_groups_nothing(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    (tmp_path / "groups.csv").write_text("group,image\npart 7\npart 8,good/1.png\n")
    assert [sample.group for sample in folders.read(tmp_path)] == ["part 8"]


def test_class_folders_without_images_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    with pytest.raises(InputError, match=r"the class folders hold no images. Expected files ending in .bmp, .jp2"):
        folders.read(tmp_path)
