"""CVAT for images 1.1: every mark with an area is a place, tags are types without one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.formats import cvat
from sightline.data.formats.document import DatasetWarning

META = "<meta><task><labels><label><name>dent</name></label><label><name>rust</name></label></labels></task></meta>"
BOX = '<box label="dent" xtl="2" ytl="3" xbr="8" ybr="7"/>'


def _image(marks: str = "", name: str = "1.png", more: str = "") -> str:
    return f'<image id="0" name="{name}" width="30" height="20" {more}>{marks}</image>'


def _read(folder: Path, images: str, meta: str = META) -> list[Sample]:
    (folder / "annotations.xml").write_text(f"<annotations><version>1.1</version>{meta}{images}</annotations>")
    assert cvat.found(folder)
    assert cvat.found(folder / "annotations.xml")
    return cvat.read(folder)


@pytest.mark.parametrize(
    ("mark", "box", "area"),
    [
        (BOX, (2, 3, 6, 4), 24),
        ('<box label="dent" xtl="2" ytl="3" xbr="8" ybr="7" rotation="90"/>', (3, 2, 4, 6), 24),
        ('<polygon label="dent" points="2,3;8,3;8,7;2,7"/>', (2, 3, 6, 4), 24),
        ('<ellipse label="dent" cx="10" cy="10" rx="8" ry="4"/>', (2, 6, 16, 8), 100),
        ('<ellipse label="dent" cx="15" cy="10" rx="8" ry="4" rotation="90"/>', (11, 2, 8, 16), 100),
        ('<mask label="dent" rle="1, 2, 3" left="4" top="5" width="3" height="2"/>', (5, 5, 2, 1), 2),
    ],
)
def test_every_mark_with_an_area_is_a_place(mark: str, box: Any, area: int, tmp_path: Path) -> None:
    (sample,) = _read(tmp_path, _image(mark))
    assert (sample.defective, sample.types) == (True, ("dent",))
    assert sample.regions[0].box == pytest.approx(box)
    assert sample.regions[0].mask(20, 30).sum() == pytest.approx(area, rel=0.05)


def test_an_image_without_marks_is_good(tmp_path: Path) -> None:
    good, tagged = _read(tmp_path, _image() + _image('<tag label="rust"/>', "2.png"))
    assert (good.defective, good.types, good.split) == (False, (), None)
    assert (tagged.defective, tagged.types, tagged.regions) == (True, ("rust",), ())


def test_a_line_keeps_its_type(tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match="marks without an area"):
        (sample,) = _read(tmp_path, _image('<polyline label="dent" points="1,1;2,2"/>'))
    assert (sample.defective, sample.types) == (True, ("dent",))


def test_subsets_give_the_split(tmp_path: Path) -> None:
    images = [_image(name=f"{part}.png", more=f'subset="{part}"') for part in ("Train", "Validation", "default")]
    assert [sample.split for sample in _read(tmp_path, "".join(images))] == ["train", "test", None]


def test_images_may_lie_in_a_folder_of_their_subset(tmp_path: Path) -> None:
    (tmp_path / "images/Train").mkdir(parents=True)
    (tmp_path / "images/Train/1.png").touch()
    (sample,) = _read(tmp_path, _image(more='subset="Train"'))
    assert sample.path == tmp_path / "images/Train/1.png"


def test_without_a_list_of_labels_every_label_is_taken(tmp_path: Path) -> None:
    assert _read(tmp_path, _image(BOX), meta="")[0].types == ("dent",)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_image(BOX.replace("dent", "bump")), r"image 1.png, box .* 'bump' does not exist \(known: dent, rust\)"),
        (_image(BOX.replace("dent", "")), r"image 1.png, box \(mark 1\): names no class"),
        (_image(BOX.replace("xtl", "x")), "xtl: None is not a number"),
        (_image('<polygon label="dent" points="1,1;2"/>'), "1 numbers where 2 belong"),
        (_image('<blob label="dent"/>'), "marks of the kind 'blob' are unknown"),
        (_image('<mask label="dent" rle="1,2" left="0" top="0" width="9" height="2"/>'), "cover 3 px of 9 x 2 px"),
        (_image('<mask label="dent" rle="6" left="29" top="0" width="3" height="2"/>'), "reaches outside the image"),
        (_image(name="../1.png"), "the file name '../1.png' leads out"),
        (_image(more='subset="../.."'), "subset: the file name '../..' leads out"),
        ('<image name="1.png" width="x" height="2"/>', "image 1.png, width: 'x' is not a number"),
        ("<track/>", "holds the tracks of a video. Export as"),
        ("", "the annotations list no images"),
        (_image() + _image(BOX), r"1.png is listed before .* good there, dent here"),
    ],
)
def test_what_cannot_be_used_is_named(images: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        _read(tmp_path, images)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("mark", "message", "left"),
    [
        (BOX.replace('"2"', '"-5"'), "reach outside", (0, 3, 8, 4)),
        (BOX.replace('"2"', '"40"').replace('"8"', '"50"'), "wholly outside", None),
        (BOX.replace('"8"', '"2"'), "without an area", None),
        ('<polygon label="dent" points=""/>', "without an area", None),
    ],
)
def test_places_that_do_not_fit(mark: str, message: str, left: Any, tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match=message):
        (sample,) = _read(tmp_path, _image(mark))
    assert [region.box for region in sample.regions] == ([left] if left else [])
    assert (sample.defective, sample.types) == (True, ("dent",))


def test_a_mask_larger_than_its_picture_could_need_is_not_drawn(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "images/1.png", np.zeros((20, 30), np.uint8))
    mark = '<mask label="dent" rle="0, 1000000000" left="0" top="0" width="31250" height="32000"/>'
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"a mask of 31250 x 32000 px is larger than its picture"):
        _read(tmp_path, f'<image id="0" name="1.png" width="31250" height="32000">{mark * 12}</image>')
    assert time.perf_counter() - start < 2


def test_a_small_mask_in_a_large_picture_is_not_drawn_as_a_whole(tmp_path: Path) -> None:
    mark = '<mask label="dent" rle="1, 2, 3" left="30000" top="30000" width="3" height="2"/>'
    start = time.perf_counter()
    (sample,) = _read(tmp_path, f'<image id="0" name="1.png" width="31250" height="32000">{mark * 12}</image>')
    assert sample.regions[0].box == (30001, 30000, 2, 1)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("name", ["C:\\line\\1.png", "../1.png", "/media/upload/1.png"])
def test_a_name_from_another_computer_is_the_file_inside(name: str, tmp_path: Path, write: Any) -> None:
    image = write(tmp_path / "images/1.png", np.zeros((20, 30), np.uint8))
    with pytest.warns(DatasetWarning, match="1 file names lead out of the dataset; the files of that name inside"):
        assert [sample.path for sample in _read(tmp_path, _image(BOX, name))] == [image]
