"""YOLO: boxes and polygons in shares of the image, parts from data.yaml or from the folders."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.region import Polygons
from sightline.core.sample import Sample
from sightline.data.formats import yolo
from sightline.data.formats.document import DatasetWarning


def _put(folder: Path, write: Any, image: str, label: str | None) -> None:
    write(folder / image, np.zeros((20, 40), np.uint8))
    if label is not None:
        path = (folder / image.replace("images", "labels")).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(label)


@pytest.fixture
def folder(tmp_path: Path, write: Any) -> Path:
    (tmp_path / "classes.txt").write_text("crack\ndent\n")
    _put(tmp_path, write, "images/1.png", "1 0.5 0.5 0.25 0.5\n\n0 0 0 0.5 0 0.5 0.5\n")
    _put(tmp_path, write, "images/2.png", "\n")
    return tmp_path


def _named(folder: Path) -> dict[str, Sample]:
    return {sample.path.relative_to(folder).as_posix(): sample for sample in yolo.read(folder)}


def test_boxes_and_polygons_are_shares_of_the_image(folder: Path) -> None:
    assert yolo.found(folder)
    bad, good = yolo.read(folder)
    assert (bad.defective, bad.types, bad.split) == (True, ("crack", "dent"), None)
    assert bad.regions[0].box == (15, 5, 10, 10)
    assert isinstance(bad.regions[1].shape, Polygons)
    assert bad.regions[1].box == (0, 0, 20, 10)
    assert (good.defective, good.types) == (False, ())


def test_an_image_without_a_label_file_has_no_label(folder: Path, write: Any) -> None:
    _put(folder, write, "images/3.png", None)
    with pytest.warns(DatasetWarning, match="pictures without annotations: nobody has said that they are good"):
        assert _named(folder)["images/3.png"].defective is None


@pytest.mark.parametrize("names", ["names: [crack, dent]", "names:\n  0: crack\n  1: dent"])
@pytest.mark.parametrize("layout", ["images/{}", "{}/images"])
def test_parts_come_from_the_folders(names: str, layout: str, tmp_path: Path, write: Any) -> None:
    (tmp_path / "data.yaml").write_text(names)
    for part in ("train", "val", "test"):
        _put(tmp_path, write, f"{layout.format(part)}/1.png", "1 0.5 0.5 0.2 0.2")
    split = {name: (sample.split, sample.types) for name, sample in _named(tmp_path).items()}
    assert split == {
        f"{layout.format(part)}/1.png": (side, ("dent",))
        for part, side in (("train", "train"), ("val", "train"), ("test", "test"))
    }


@pytest.mark.parametrize(
    "text",
    [
        "train: images/a\nval: images/b",
        "path: .\ntrain: [images/a]\nval: [images/b]",
        "train: ../images/a\nval: ../images/b",
        "path: /datasets/parts\ntrain: ./images/a/\nval: images/b/",
        "train: a.txt\nval: images/b",
    ],
)
def test_parts_come_from_data_yaml(text: str, tmp_path: Path, write: Any) -> None:
    (tmp_path / "data.yaml").write_text(f"{text}\ntest:\nnc: 1\nnames: [dent]\n")
    (tmp_path / "a.txt").write_text("./images/a/1.png\n")
    for part in "ab":
        _put(tmp_path, write, f"images/{part}/1.png", "0 0.5 0.5 0.2 0.2")
    for path in (tmp_path, tmp_path / "data.yaml"):
        assert yolo.found(path)
        split = {sample.path.relative_to(tmp_path).as_posix(): sample.split for sample in yolo.read(path)}
        assert split == {"images/a/1.png": "train", "images/b/1.png": "test"}


def test_one_image_in_two_parts_is_refused(tmp_path: Path, write: Any) -> None:
    (tmp_path / "data.yaml").write_text("names: [dent]\ntrain: images\nval: images/a\n")
    _put(tmp_path, write, "images/a/1.png", "")
    _put(tmp_path, write, "images/2.png", "")
    with pytest.raises(InputError, match=r"1.png is listed before .* good \(train\) there, good \(test\) here"):
        yolo.read(tmp_path)


def test_parts_that_name_the_same_images_are_one_without_a_split(tmp_path: Path, write: Any) -> None:
    (tmp_path / "data.yaml").write_text("names: [dent]\ntrain: images\nval: images\n")
    _put(tmp_path, write, "images/1.png", "")
    with pytest.warns(DatasetWarning, match="train and val name the same images, so a split is made"):
        (sample,) = yolo.read(tmp_path)
    assert sample.split is None


def test_a_list_of_images_may_come_from_another_computer(tmp_path: Path, write: Any) -> None:
    (tmp_path / "data.yaml").write_text("names: [dent]\ntrain: train.txt\n")
    (tmp_path / "train.txt").write_text("/content/set/images/1.png\n./images/2.png\n")
    for number in (1, 2):
        _put(tmp_path, write, f"images/{number}.png", "0 0.5 0.5 0.2 0.2")
    with pytest.warns(DatasetWarning, match="1 file names lead out of the dataset"):
        assert list(_named(tmp_path)) == ["images/1.png", "images/2.png"]


def test_folders_below_the_images_are_read(tmp_path: Path, write: Any) -> None:
    (tmp_path / "data.yaml").write_text("names: [dent]\ntrain: images/train\n")
    _put(tmp_path, write, "images/train/2026-01-05/1.png", "0 0.5 0.5 0.2 0.2")
    assert [sample.types for sample in yolo.read(tmp_path)] == [("dent",)]


@pytest.mark.parametrize(
    "text", ["names: " + "[" * 20000, "names:\n" + "- " * 5000 + "x", "names: [" + "dent, " * 200_000]
)
def test_settings_that_would_take_minutes_are_refused_at_once(text: str, tmp_path: Path, write: Any) -> None:
    (tmp_path / "data.yaml").write_text(text)
    _put(tmp_path, write, "images/1.png", "")
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"nested too deeply|larger than any list of class names"):
        yolo.read(tmp_path)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"1.txt, line 2: the class 2 does not exist \(known: 0 crack, 1 dent\)"),
        ("-1 0.5 0.5 0.1 0.1", "line 2: '-1' is not a whole number"),
        ("dent 0.5 0.5 0.1 0.1", "line 2: 'dent' is not a number"),
        ("0 20 10 8 8", "line 2: 20 is not a share of an image's side, so these may be pixels"),
        ("0 0.5 0.5 0.1", "line 2: 3 numbers after the class. Give 4"),
        ("0 0.5 0.5 0.1 0.1 0.9", "line 2: 5 numbers after the class"),
        ("0 0.5 nan 0.1 0.1", "line 2: 'nan' is not a number"),
    ],
)
def test_a_bad_line_is_named(line: str, message: str, folder: Path) -> None:
    (folder / "labels/1.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(InputError, match=message):
        yolo.read(folder)


@pytest.mark.parametrize(
    ("line", "message", "left"),
    [
        ("0 0 0.5 0.5 0.5", "reach outside", (0, 5, 10, 10)),
        ("0 1.5 0.5 0.5 0.5", "wholly outside", None),
        ("0 0.5 0.5 0 0.5", "without an area", None),
        ("0 0.5 0.5 0.6 0.6 0.7 0.7", "without an area", None),
    ],
)
def test_places_that_do_not_fit(line: str, message: str, left: Any, folder: Path) -> None:
    (folder / "labels/1.txt").write_text(line)
    with pytest.warns(DatasetWarning, match=message):
        sample = yolo.read(folder)[0]
    assert [region.box for region in sample.regions] == ([left] if left else [])
    assert (sample.defective, sample.types) == (True, ("crack",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a\n", "not readable YAML"),
        ("names: dent", "'names' is not a list of class names. Write names"),
        ("names: []", "'names' is not a list"),
        ("names: {x: a}", "names: 'x' is not a number"),
        ("names: ['']", "names: names no class"),
        ("- names", "expected an object"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]", "has YAML aliases"),
        ("names: [!!python/object/apply:os.getcwd []]", "not readable YAML"),
        ("names: [a]\ntrain: ../../elsewhere", "train: the file name '../../elsewhere' leads out"),
        ("names: [a]\ntrain: /etc", "train: the file name '/etc' leads out"),
        ("names: [a]\ntrain: gone", "no images where 'train', 'val' and 'test' say"),
    ],
)
def test_a_bad_data_yaml_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        yolo.read(tmp_path)
    assert "data.yaml" in str(error.value)


def test_an_image_that_cannot_be_read_has_no_places(folder: Path) -> None:
    (folder / "images/1.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"1.txt: shares of an image whose size is unknown: .*1.png"):
        yolo.read(folder)
