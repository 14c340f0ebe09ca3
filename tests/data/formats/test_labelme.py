"""LabelMe: a JSON beside each image, shapes with an area are places."""

from __future__ import annotations

import base64
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.formats import labelme
from sightline.data.formats.document import DatasetWarning

PNG = base64.b64encode(cv2.imencode(".png", np.eye(4, dtype=np.uint8))[1].tobytes()).decode()


def _shape(kind: str | None, *points: Any, label: Any = "dent", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": list(points), "shape_type": kind} | more


def _read(folder: Path, *shapes: Any, **more: Any) -> Sample:
    data = {"shapes": list(shapes), "imagePath": "1.png", "imageData": "AAAA", "imageHeight": 20, "imageWidth": 30}
    (folder / "1.json").write_text(json.dumps(data | more))
    assert labelme.found(folder)
    (sample,) = labelme.read(folder)
    return sample


@pytest.mark.parametrize(
    ("shape", "box", "area"),
    [
        (_shape("polygon", [2, 3], [8, 3], [8, 7], [2, 7]), (2, 3, 6, 4), 24),
        (_shape(None, [2, 3], [8, 3], [8, 7], [2, 7]), (2, 3, 6, 4), 24),
        (_shape("rectangle", [8, 7], [2, 3]), (2, 3, 6, 4), 24),
        (_shape("rectangle", [2, 3], [8, 3], [8, 7], [2, 7]), (2, 3, 6, 4), 24),
        (_shape("rectangle", [10, 3], [14, 7], [10, 11], [6, 7]), (6, 3, 8, 8), 32),
        (_shape("rotation", [10, 3], [14, 7], [10, 11], [6, 7], direction=0.8), (6, 3, 8, 8), 32),
        (_shape("circle", [10, 10], [13, 14]), (5, 5, 10, 10), 80),
        (_shape("mask", [3, 2], [6, 5], mask=PNG), (3, 2, 4, 4), 4),
    ],
)
def test_every_shape_with_an_area_is_a_place(shape: Any, box: Any, area: int, tmp_path: Path) -> None:
    sample = _read(tmp_path, shape)
    assert (sample.defective, sample.types) == (True, ("dent",))
    assert sample.regions[0].box == pytest.approx(box)
    assert sample.regions[0].mask(20, 30).sum() == area


def test_a_json_without_shapes_is_good_and_an_image_without_json_is_not(tmp_path: Path, write: Any) -> None:
    assert _read(tmp_path).defective is False
    write(tmp_path / "2.png", np.zeros((20, 30), np.uint8))
    with pytest.warns(DatasetWarning, match="pictures without annotations"):
        assert [sample.defective for sample in labelme.read(tmp_path)] == [False, None]


@pytest.mark.parametrize("kind", ["point", "line", "linestrip", "points"])
def test_a_shape_without_an_area_keeps_its_type(kind: str, tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match="marks without an area: the type was kept"):
        sample = _read(tmp_path, _shape(kind, [2, 3]))
    assert (sample.defective, sample.types, sample.regions) == (True, ("dent",), ())


def test_flags_are_types_without_a_place(tmp_path: Path) -> None:
    sample = _read(tmp_path, _shape("rectangle", [1, 1], [2, 2]), flags={"rust": True, "dust": False, "good": True})
    assert (sample.types, len(sample.regions)) == (("dent", "rust"), 1)
    assert _read(tmp_path, flags={"good": True}).defective is False


def test_folders_give_the_split(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.json").write_text('{"shapes": [], "imagePath": "1.png"}')
    assert labelme.found(tmp_path)
    assert [(sample.path.parent.name, sample.split) for sample in labelme.read(tmp_path)] == [
        ("train", "train"),
        ("val", "test"),
    ]


def test_an_image_that_was_renamed_with_its_json_is_found(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "1.bmp", np.zeros((20, 30), np.uint8))
    assert _read(tmp_path, imagePath="photo 17.jpg").path == tmp_path / "1.bmp"


@pytest.mark.parametrize(
    ("shape", "more", "message"),
    [
        (_shape("polygon", [1, 1], [2, 2]), {}, "shape 1: 2 points are too few for a polygon. Draw it again"),
        (_shape("rectangle", [1, 1], [2]), {}, "shape 1: 1 numbers where 2 belong"),
        (_shape("rectangle", [1, 1], [2, "x"]), {}, "shape 1: 'x' is not a number"),
        (_shape("rectangle", [1, 1], [2, 2], label=""), {}, "shape 1: names no class"),
        (_shape("point", [1, 1], label=None), {}, "shape 1: names no class"),
        (3, {}, "shape 1: expected an object"),
        (_shape("mask", [3, 2], [6, 5], mask="!"), {}, "shape 1: the mask is not a readable PNG"),
        (_shape("mask", [3, 2], [6, 5], mask="AAAA"), {}, "shape 1: the mask is not a readable PNG"),
        (_shape("mask", [28, 2], [31, 5], mask=PNG), {}, "shape 1: .* reaches outside the image"),
        (_shape("mask", [3, 2], [6, 5], mask=PNG), {"imageWidth": None}, "shape 1: a mask needs imageHeight"),
        (_shape("rectangle", [1, 1], [2, 2]), {"imagePath": "../1.png"}, "imagePath: the file name '../1.png' leads"),
        (_shape("rectangle", [1, 1], [2, 2]), {"imageWidth": -3}, "image size, width: -3 is not a whole number"),
        (_shape("rectangle", [1, 1], [2, 2]), {"flags": [1]}, "flags: expected an object"),
    ],
)
def test_what_cannot_be_used_is_named(shape: Any, more: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        _read(tmp_path, shape, **more)
    assert str(tmp_path / "1.json") in str(error.value)


@pytest.mark.parametrize(
    ("shape", "message", "left"),
    [
        (_shape("rectangle", [-5, 2], [5, 6]), "reach outside", (0, 2, 5, 4)),
        (_shape("polygon", [40, 2], [50, 6], [40, 9]), "wholly outside", None),
        (_shape("rectangle", [5, 2], [5, 6]), "without an area", None),
    ],
)
def test_places_that_do_not_fit(shape: Any, message: str, left: Any, tmp_path: Path) -> None:
    with pytest.warns(DatasetWarning, match=message):
        sample = _read(tmp_path, shape)
    assert [region.box for region in sample.regions] == ([left] if left else [])
    assert (sample.defective, sample.types) == (True, ("dent",))


def test_two_files_about_one_image_must_agree(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "1.png", np.zeros((20, 30), np.uint8))
    _read(tmp_path)
    (tmp_path / "2.json").write_text(
        json.dumps({"shapes": [_shape("rectangle", [1, 1], [2, 2])], "imagePath": "1.png", "imageWidth": 30})
    )
    with pytest.raises(InputError, match=r"2.json: 1.png is listed before .*1.json.* good there, dent here"):
        labelme.read(tmp_path)


@pytest.mark.parametrize("name", ["..\\pictures\\1.png", "C:\\line\\1.png", "/home/x/1.png", "old/1.png"])
def test_a_path_from_another_computer_is_the_picture_beside(name: str, tmp_path: Path, write: Any) -> None:
    image = write(tmp_path / "1.png", np.zeros((20, 30), np.uint8))
    with pytest.warns(DatasetWarning, match="1 file names lead out") if "old" not in name else nullcontext():
        assert _read(tmp_path, _shape("rectangle", [8, 7], [2, 3]), imagePath=name).path == image
    assert _read(tmp_path, _shape("rectangle", [8, 7], [2, 3]), imagePath=name.replace("1", "0")).path == image
