"""Pascal VOC: pixels from 1, splits from lists, a file without objects is a good part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.formats import voc
from sightline.data.formats.document import DatasetWarning


def _object(name: str = "dent", box: tuple[Any, ...] = (3, 2, 6, 4)) -> str:
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{sides}</bndbox></object>"


def _xml(folder: Path, stem: str, objects: str = "", name: str | None = None, size: str = "20,20") -> None:
    width, height = size.split(",")
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    (folder / f"Annotations/{stem}.xml").write_text(
        f"<annotation><filename>{f'{stem}.png' if name is None else name}</filename>"
        f"<size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"
    )


@pytest.fixture
def folder(tmp_path: Path, write: Any) -> Path:
    for number in range(4):
        write(tmp_path / f"JPEGImages/{number}.png", np.zeros((20, 20), np.uint8))
        _xml(tmp_path, str(number), _object() if number % 2 else "")
    return tmp_path


def _by_stem(folder: Path) -> dict[str, Sample]:
    return {sample.path.stem: sample for sample in voc.read(folder)}


def test_boxes_count_from_one_and_include_both_ends(folder: Path) -> None:
    assert voc.found(folder)
    samples = _by_stem(folder)
    assert samples["1"].regions[0].box == (2, 1, 4, 3)
    assert {stem: (sample.defective, sample.types) for stem, sample in samples.items()} == {
        "0": (False, ()),
        "1": (True, ("dent",)),
        "2": (False, ()),
        "3": (True, ("dent",)),
    }


@pytest.mark.parametrize(
    ("lists", "split"),
    [
        ({"train": "0 1", "test": "2"}, {"0": "train", "1": "train", "2": "test", "3": None}),
        ({"train": "0", "val": "1"}, {"0": "train", "1": "test", "2": None, "3": None}),
        ({"train": "0", "val": "1", "trainval": "0 1"}, {"0": "train", "1": "test", "2": None, "3": None}),
        (
            {"train": "0", "val": "1", "trainval": "0 1", "test": "2 3"},
            {"0": "train", "1": "train", "2": "test", "3": "test"},
        ),
        ({"dent_train": "0"}, dict.fromkeys("0123")),
    ],
)
def test_lists_give_the_split(lists: dict[str, str], split: dict[str, Any], folder: Path) -> None:
    (folder / "ImageSets/Main").mkdir(parents=True)
    for name, stems in lists.items():
        (folder / f"ImageSets/Main/{name}.txt").write_text("\n".join(f"{stem} -1" for stem in stems.split()))
    assert {stem: sample.split for stem, sample in _by_stem(folder).items()} == split


def test_an_image_in_two_lists_is_refused(folder: Path) -> None:
    (folder / "ImageSets/Main").mkdir(parents=True)
    for name in ("train", "test"):
        (folder / f"ImageSets/Main/{name}.txt").write_text("0\n")
    with pytest.raises(InputError, match=r"'0' is in train.txt and on the other side"):
        voc.read(folder)


def test_an_image_without_a_file_has_no_label(folder: Path) -> None:
    (folder / "Annotations/0.xml").unlink()
    with pytest.warns(DatasetWarning, match=r"pictures without annotations.* \(1 in all, first: 0.png\)"):
        assert _by_stem(folder)["0"].defective is None


@pytest.mark.parametrize("name", ["", "1", "renamed.png", "1.jpg"])
def test_a_stale_file_name_does_not_matter(name: str, folder: Path) -> None:
    _xml(folder, "1", _object(), name)
    assert _by_stem(folder)["1"].defective is True


@pytest.mark.parametrize(
    ("stem", "objects", "name", "message"),
    [
        ("1", _object(" "), None, r"1.xml, object 1: names no class"),
        ("1", _object() + _object(box=(1, "x", 3, 4)), None, r"1.xml, object 2, ymin: 'x' is not a number"),
        ("1", "<object><name>a</name></object>", None, r"1.xml, object 1, xmin: '' is not a number"),
        ("1", "", "../1.png", r"1.xml, filename: the file name '../1.png' leads out"),
        ("1", "", "2.png", r"1.xml, filename: '2.png' is another image than 1.png"),
        ("x", "", "1.png", r"x.xml: 1.png is listed before .* dent there, good here"),
    ],
)
def test_what_cannot_be_used_is_named(stem: str, objects: str, name: str | None, message: str, folder: Path) -> None:
    _xml(folder, stem, objects, name)
    with pytest.raises(InputError, match=message):
        voc.read(folder)


@pytest.mark.parametrize(
    ("box", "message", "left"),
    [
        ((-9, 2, 6, 4), "reach outside", (0, 1, 6, 3)),
        ((30, 2, 40, 4), "wholly outside", None),
        ((6, 2, 5, 4), "without an area", None),
        ((9, 9, 3, 3), "without an area", None),
    ],
)
def test_boxes_that_do_not_fit(box: Any, message: str, left: Any, folder: Path) -> None:
    _xml(folder, "1", _object(box=box))
    with pytest.warns(DatasetWarning, match=message):
        sample = _by_stem(folder)["1"]
    assert [region.box for region in sample.regions] == ([left] if left else [])
    assert (sample.defective, sample.types) == (True, ("dent",))


def test_without_a_size_the_image_is_asked(folder: Path) -> None:
    _xml(folder, "1", _object(box=(11, 11, 90, 90)), size="0,0")
    with pytest.warns(DatasetWarning, match="reach outside"):
        assert _by_stem(folder)["1"].regions[0].box == (10, 10, 10, 10)
