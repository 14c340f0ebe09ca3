"""COCO: every way of marking is read, and every wrong reference is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.region import Polygons, Rectangle, Runs
from sightline.core.sample import Sample
from sightline.data.formats import coco
from sightline.data.formats.coco import counts_from_text, text_from_counts
from sightline.data.formats.document import DatasetWarning

# A 5 x 3 block at (2, 1) with a hole at (4, 2), as the reference implementation encodes it.
TEXT, COUNTS = "=3300NN02200;", (13, 3, 3, 3, 3, 1, 1, 1, 3, 3, 3, 3, 14)


def _image(number: int = 1, name: str = "1.png", **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 9, "height": 6} | more


def _mark(image: int = 1, category: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": 7, "image_id": image, "category_id": category, "bbox": [1, 1, 4, 3]} | more


def _data(images: Any, annotations: Any, **more: Any) -> dict[str, Any]:
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dent"}]} | more


def _read(folder: Path, data: Any, name: str = "annotations/instances.json") -> list[Sample]:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(data))
    assert coco.found(folder)
    return coco.read(folder)


def test_an_image_without_annotations_is_good(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "images/2.png", np.zeros((20, 20), np.uint8))
    bad, good = _read(tmp_path, _data([_image(), _image(2, "2.png")], [_mark()]))
    assert (bad.defective, bad.types, bad.regions[0].shape) == (True, ("dent",), Rectangle(1, 1, 4, 3))
    assert (good.defective, good.types, good.regions) == (False, (), ())
    assert good.path == tmp_path / "images/2.png"


@pytest.mark.parametrize("counts", [TEXT, list(COUNTS)])
def test_run_lengths_are_read_as_text_and_as_numbers(counts: Any, tmp_path: Path) -> None:
    (sample,) = _read(tmp_path, _data([_image()], [_mark(segmentation={"size": [6, 9], "counts": counts})]))
    mask = sample.regions[0].mask(6, 9)
    expected = np.zeros((6, 9), bool)
    expected[1:4, 2:7] = True
    expected[2, 4] = False
    assert np.array_equal(mask, expected)
    assert sample.regions[0].box == (2, 1, 5, 3)


def test_the_text_of_run_lengths_is_the_reference_one() -> None:
    assert counts_from_text(TEXT) == COUNTS == Runs(6, 9, COUNTS).counts
    assert text_from_counts(COUNTS) == TEXT
    counts = tuple(np.random.default_rng(0).integers(0, 10**6, 200).tolist())
    assert counts_from_text(text_from_counts(counts)) == counts


def test_polygons_add_up_whichever_way_they_were_drawn(tmp_path: Path) -> None:
    rings = [[1, 1, 4, 1, 4, 4, 1, 4], [6, 1, 6, 4, 8, 4, 8, 1]]
    (sample,) = _read(tmp_path, _data([_image()], [_mark(segmentation=rings)]))
    assert isinstance(sample.regions[0].shape, Polygons)
    assert sample.regions[0].mask(6, 9).sum() == 9 + 6


def test_a_file_per_part_gives_the_split(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "val", "test")):
        data = _data([_image(1, f"{number}.png")], [])
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / f"annotations/instances_{part}2017.json").write_text(json.dumps(data))
    (tmp_path / "annotations/captions_val2017.json").write_text('{"images": 3, "annotations": 4}')
    split = {sample.path.name: sample.split for sample in coco.read(tmp_path)}
    assert split == {"0.png": "train", "1.png": "train", "2.png": "test"}
    (tmp_path / "annotations/instances_test2017.json").unlink()
    split = {sample.path.name: sample.split for sample in coco.read(tmp_path)}
    assert split == {"0.png": "train", "1.png": "test"}


def test_a_folder_per_part_is_read_too(tmp_path: Path, write: Any) -> None:
    for part in ("train", "valid"):
        write(tmp_path / part / "1.png", np.zeros((20, 20), np.uint8))
        samples = _read(tmp_path, _data([_image()], []), f"{part}/_annotations.coco.json")
    assert [(s.path.relative_to(tmp_path).as_posix(), s.split) for s in samples] == [
        ("train/1.png", "train"),
        ("valid/1.png", "test"),
    ]


def test_an_id_is_the_same_as_text_and_as_a_number(tmp_path: Path) -> None:
    mark = _mark(bbox=[1, 1, 3, 2]) | {"image_id": "1", "category_id": "1"}
    (sample,) = _read(tmp_path, _data([_image()], [mark]))
    assert len(sample.regions) == 1 and sample.types == (sample.regions[0].type,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_data([_image()], [_mark(category=9)]), r"annotation 7: the category id 9 does not exist \(known: 1\)"),
        (_data([_image()], [_mark()], categories=[]), "the category id 1 does not exist .known: none"),
        (_data([_image()], [_mark(image=9)]), "annotation 7: the image id 9 does not exist. Add the image"),
        (_data([_image()], [_mark(category=None)]), "annotation 7: an id is missing"),
        (_data([_image(), _image(1, "2.png")], []), "1 image ids occur more than once. Number"),
        (_data([_image()], [], categories=[{"id": 1, "name": " "}]), "category 1: names no class"),
        (_data([_image()], [], categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "means 'a' and 'b'"),
        (_data([_image()], [_mark(bbox=[1, 2, 3])]), "annotation 7: 3 numbers where 4 belong"),
        (_data([_image()], [_mark(bbox=[1, 2, None, 4])]), "annotation 7: None is not a number"),
        (_data([_image()], [_mark(segmentation=[[1, 2, 3, 4, 5]])]), "annotation 7: 5 numbers where 4 belong"),
        (_data([_image()], [_mark(segmentation="x")]), "annotation 7: expected a list"),
        (
            _data([_image()], [_mark(segmentation={"size": [6, 9], "counts": "=3"})]),
            "annotation 7: the run lengths cover",
        ),
        (_data([_image()], [_mark(segmentation={"size": [6, 9], "counts": "=é"})]), "annotation 7: .* hold 'é'"),
        (_data([_image()], [_mark(segmentation={"size": [6, 9], "counts": "o"})]), "annotation 7: .* cut off"),
        (
            _data([_image()], [_mark(segmentation={"size": [6, 9], "counts": [3, "x"]})]),
            "annotation 7: 'x' is not a number",
        ),
        (_data([_image()], [_mark(segmentation={"size": [2, 2], "counts": [1, 3]})]), "does not fit an image of 9 x 6"),
        (_data([_image(name="../../1.png")], []), "image 1: the file name '../../1.png' leads out"),
        (_data([_image(name=None)], []), "image 1: None is not a file name"),
        (_data({"a": 1}, []), "images: expected a list"),
        (_data([3], []), "images: expected an object, found 3"),
        (_data([_image()], [3]), "annotation 1: expected an object"),
        (_data([], []), "the annotations list no images"),
    ],
)
def test_what_cannot_be_used_is_named(data: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        _read(tmp_path, data)
    assert str(tmp_path) in str(error.value)


def test_a_cut_off_file_is_still_recognised_and_named(tmp_path: Path) -> None:
    (tmp_path / "instances_default.json").write_text('{"images": [')
    assert coco.found(tmp_path)
    with pytest.raises(InputError, match=r"instances_default.json: not readable JSON"):
        coco.read(tmp_path)


def test_boxes_are_cut_at_the_border_and_it_is_said_once(tmp_path: Path) -> None:
    marks = [_mark(bbox=[-4, 1, 8, 3]), _mark(bbox=[5, 2, 90, 90], id=8)]
    with pytest.warns(DatasetWarning, match=r"reach outside their image .*\(2 in all, .* annotation 7") as told:
        (sample,) = _read(tmp_path, _data([_image()], marks))
    assert [region.box for region in sample.regions] == [(0, 1, 4, 3), (5, 2, 4, 4)]
    assert len(told) == 1


def test_rounding_at_the_border_is_no_mistake(tmp_path: Path) -> None:
    (sample,) = _read(tmp_path, _data([_image()], [_mark(bbox=[-0.6, 0, 10, 6])]))
    assert sample.regions[0].box == (0, 0, 9, 6)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"bbox": [20, 1, 4, 3]}, "marks wholly outside their image were left out"),
        ({"bbox": [-9, -9, 4, 3]}, "marks wholly outside"),
        ({"segmentation": [[20, 1, 24, 1, 24, 9]]}, "marks wholly outside"),
        ({"bbox": [2, 2, 0, 3]}, "marks without an area"),
        ({"bbox": [2, 2, 3, -3]}, "marks without an area"),
        ({"segmentation": [[1, 1, 4, 4]]}, "marks without an area"),
        ({"segmentation": {"size": [6, 9], "counts": [54]}}, "marks without an area"),
    ],
)
def test_a_mark_that_cannot_be_used_never_makes_its_image_good(bad: Any, message: str, tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match=message):
        (sample,) = _read(tmp_path, _data([_image()], [_mark(**bad)]))
    assert (sample.defective, sample.types, sample.regions) == (True, ("dent",), ())


def test_without_a_size_the_image_is_asked(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "1.png", np.zeros((20, 30), np.uint8))
    entry = {"id": 1, "file_name": "1.png"}
    with pytest.warns(DatasetWarning, match="reach outside"):
        (sample,) = _read(tmp_path, _data([entry], [_mark(bbox=[20, 10, 40, 40])]))
    assert sample.regions[0].box == (20, 10, 10, 10)


def test_a_class_that_means_good_marks_no_defect(tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match=r"marks of a class that means good mark no defect.*\(1 in all"):
        (sample,) = _read(tmp_path, _data([_image()], [_mark()], categories=[{"id": 1, "name": "OK"}]))
    assert (sample.defective, sample.types) == (False, ())


def test_an_image_listed_twice_with_other_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1.png is listed before .* good there, dent here. Keep one"):
        _read(tmp_path, _data([_image(), _image(2)], [_mark(image=2)]))


def test_an_image_listed_twice_with_the_same_labels_is_taken_once(tmp_path: Path) -> None:
    marks = [_mark(), _mark(image=2), _mark(image=2, bbox=[5, 2, 2, 2])]
    with pytest.warns(DatasetWarning, match=r"pictures listed twice.*\(1 in all"):
        (sample,) = _read(tmp_path, _data([_image(), _image(2)], marks))
    assert [region.box for region in sample.regions] == [(1, 1, 4, 3), (5, 2, 2, 2)]


def test_an_image_on_both_sides_of_the_split_is_refused(tmp_path: Path) -> None:
    _read(tmp_path, _data([_image()], []), "annotations/instances_train.json")
    with pytest.raises(InputError, match=r"good \(test\) there, good \(train\) here"):
        _read(tmp_path, _data([_image()], []), "annotations/instances_test.json")
