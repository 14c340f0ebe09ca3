"""Class folders, with or without `images/`, masks and groups."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.formats import folders, read

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


@pytest.mark.parametrize(
    "name", ["good", "OK", "Normal", "normals", "pass", "IO", "i.O.", "gut", "Gutteile", "buono", "良品"]
)
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
    for name in ("good/1.png", "masks/1.png", "ground_truth/1.png", ".cache/1.png", "good/.1.png", "good/.sub/2.png"):
        write(tmp_path / name, BLANK)
    (tmp_path / "good/notes.txt").write_text("")
    assert list(_by_name(tmp_path)) == ["good/1.png"]


def test_pipes_are_no_pictures_and_hold_up_nobody(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    os.mkfifo(tmp_path / "good/2.png")
    (tmp_path / "good/3.png").symlink_to(tmp_path / "good/2.png")
    (tmp_path / "good/4.png").symlink_to(tmp_path / "good/1.png")
    assert set(_by_name(tmp_path)) == {"good/1.png", "good/4.png"}


def test_folders_below_a_class_belong_to_it(tmp_path: Path, write: Any) -> None:
    names = (
        "good/2026-01-05/1.png",
        "good/lot 2/am/1.png",
        "scratch/lot 2/1.png",
        "bad/dent/1.png",
        "bad/2026-01-05/1.png",
    )
    for name in (*names, "bad/2.png"):
        write(tmp_path / name, BLANK)
    assert {name: (sample.defective, sample.types) for name, sample in _by_name(tmp_path).items()} == {
        "good/2026-01-05/1.png": (False, ()),
        "good/lot 2/am/1.png": (False, ()),
        "scratch/lot 2/1.png": (True, ("scratch",)),
        "bad/dent/1.png": (True, ("dent",)),
        "bad/2026-01-05/1.png": (True, ("bad",)),
        "bad/2.png": (True, ("bad",)),
    }


@pytest.mark.parametrize(
    ("name", "what"),
    [
        *((name, "pictures that an inspection made") for name in ("overlays", "Heatmaps", "results", "predictions")),
        *(
            (name, "a copy")
            for name in ("good (copy)", "good (2)", "scratch - Kopie", "backup", "good_old", "Good.bak")
        ),
        *(
            (name, "pictures that nobody has labelled")
            for name in ("unlabelled", "Unlabeled", "unsorted", "review", "todo")
        ),
        *((name, "a part of a split") for name in ("test", "val", "train")),
        *((f"good/{name}", "") for name in ("overlays", "unlabelled", "bad", "n.i.O.", "scratch", "copy")),
        ("scratch/good", "good parts"),
    ],
)
def test_what_is_no_class_is_refused_with_the_remedy(name: str, what: str, tmp_path: Path, write: Any) -> None:
    for path in ("good/1.png", "scratch/1.png", f"{name}/2.png", f"{name}/3.png"):
        write(tmp_path / path, BLANK)
    last = name.rpartition("/")[2]
    message = rf"looks like {what}.*, and its 2 pictures would be learned as .*call it '{re.escape(last)} defect'"
    with pytest.raises(InputError, match=message) as error:
        folders.read(tmp_path)
    assert str(error.value).startswith(str(tmp_path / name))


def test_a_type_may_be_called_like_a_copy_where_its_name_says_that_it_is_a_defect(tmp_path: Path, write: Any) -> None:
    for path in ("good/1.png", "overlays defect/1.png", "copy defect/1.png"):
        write(tmp_path / path, BLANK)
    assert {sample.types for sample in folders.read(tmp_path)} == {(), ("overlays defect",), ("copy defect",)}


def test_an_empty_folder_is_no_reason_to_refuse(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    (tmp_path / "overlays").mkdir()
    assert len(folders.read(tmp_path)) == 1


@pytest.mark.parametrize("verdict", ["OK", "NG", "REVIEW"])
def test_overlays_among_the_pictures_are_refused(verdict: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / f"good/7-{verdict}.png", BLANK)
    assert len(folders.read(tmp_path)) == 1, "a camera may name its pictures so"
    write(tmp_path / "good/7.png", BLANK)
    with pytest.raises(InputError, match=rf"7-{verdict}.png: looks like a picture that an inspection made"):
        folders.read(tmp_path)


@pytest.mark.parametrize("ending", ["_mask", "-mask", "_gt", "_GT", "_seg", "_label", "_Mask"])
def test_masks_are_found_under_their_usual_names(ending: str, tmp_path: Path, write: Any) -> None:
    for name in ("good/1.png", "dent/1.jpg", "dent/2.png", "dent/3.png", "dent/4.png", "dent/lot 2/5.png"):
        write(tmp_path / name, BLANK)
    where = {
        *("good/1{}.png", "dent/1{}.png", "ground_truth/dent/2{}.png", "masks/dent/3{}.bmp"),
        *("dent/masks/4{}.png", "masks/dent/lot 2/5{}.png"),
    }
    for name in where:
        write(tmp_path / name.format(ending), BLANK)
    masks = {
        name: sample.mask and sample.mask.relative_to(tmp_path).as_posix()
        for name, sample in _by_name(tmp_path).items()
    }
    assert masks == {
        "good/1.png": None,
        "dent/1.jpg": f"dent/1{ending}.png",
        "dent/2.png": f"ground_truth/dent/2{ending}.png",
        "dent/3.png": f"masks/dent/3{ending}.bmp",
        "dent/4.png": f"dent/masks/4{ending}.png",
        "dent/lot 2/5.png": f"masks/dent/lot 2/5{ending}.png",
    }


def test_one_folder_of_masks_for_all_classes_is_used_where_names_are_unique(tmp_path: Path, write: Any) -> None:
    for name in ("good/1.png", "dent/1.png", "dent/b2.png", "masks/1.png", "masks/b2.png"):
        write(tmp_path / name, BLANK)
    masks = {name: sample.mask and sample.mask.name for name, sample in _by_name(tmp_path).items()}
    assert masks == {"good/1.png": None, "dent/1.png": None, "dent/b2.png": "b2.png"}


def test_a_mask_without_its_picture_is_refused(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    write(tmp_path / "dent/1_label.png", BLANK)
    assert len(folders.read(tmp_path)) == 2, "the picture of a label"
    write(tmp_path / "dent/9_mask.png", BLANK)
    with pytest.raises(
        InputError, match=r"9_mask.png: looks like a mask by its name, but its picture is not beside it"
    ):
        folders.read(tmp_path)


def test_names_in_old_encodings_become_text(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    write(tmp_path / "rot/1.png", BLANK)
    (tmp_path / "rot").rename(os.fsdecode(os.fsencode(tmp_path) + b"/R\xf6tung"))
    assert folders.read(tmp_path)[0].types == ("R\xf6tung",)


def test_groups_come_from_a_table(tmp_path: Path, write: Any) -> None:
    for name in ("images/good/a 1.png", "images/good/2.png", "images/dent/1.png"):
        write(tmp_path / name, BLANK)
    table = "image,group\nimages/good/a 1.png, part 7 \nimages\\dent\\1.png,part 8\nimages/good/2.png,\n"
    (tmp_path / "groups.csv").write_text(table, encoding="utf-8-sig")
    groups = {name: sample.group for name, sample in _by_name(tmp_path).items()}
    assert groups == {"images/good/a 1.png": "part 7", "images/good/2.png": None, "images/dent/1.png": "part 8"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,part\n1.png,a\n", r"has the columns \['file', 'part'\]. Expected: image, group"),
        (b"", "Expected: image, group"),
        (b"image,group\ngood/\xe4.png,a\n", "not a readable CSV .* Save it as UTF-8 CSV"),
    ],
)
def test_a_bad_table_of_groups_is_named(content: bytes, message: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    (tmp_path / "groups.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        folders.read(tmp_path)
    assert str(tmp_path / "groups.csv") in str(error.value)


def test_a_row_that_is_too_short_groups_nothing(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    (tmp_path / "groups.csv").write_text("group,image\npart 7\npart 8,good/1.png\n")
    assert [sample.group for sample in folders.read(tmp_path)] == ["part 8"]


def test_class_folders_without_images_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    with pytest.raises(InputError, match=r"the class folders hold no images. Expected files ending in .bmp"):
        folders.read(tmp_path)


@pytest.mark.parametrize("folder", ["good", "."])
def test_photos_of_a_kind_that_is_not_read_come_with_the_remedy(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    for number in range(3):
        (tmp_path / folder / f"IMG_{number}.HEIC").write_bytes(b"")
    with pytest.raises(InputError, match=r"There are 3 files like IMG_0.HEIC \(HEIC is not read: export as JPEG"):
        read(tmp_path)
