"""A flat folder of photos: all good, unless anything in it says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.data.formats import flat
from sightline.data.formats.document import DatasetWarning

BLANK = np.zeros((32, 32), np.uint8)


def test_photos_alone_are_taken_as_good_and_it_is_said(tmp_path: Path, write: Any) -> None:
    for name in ("IMG_1.jpg", "IMG_2.JPG", "badge 3.png", ".hidden.png"):
        write(tmp_path / name, BLANK)
    (tmp_path / "notes.txt").write_text("lot 7")
    (tmp_path / "empty").mkdir()
    assert flat.found(tmp_path)
    with pytest.warns(
        DatasetWarning, match=r"3 photos, all used as good parts. If some show defective parts, move them. Put"
    ):
        samples = flat.read(tmp_path)
    assert [(sample.path.name, sample.defective) for sample in samples] == [
        *(("IMG_1.jpg", False), ("IMG_2.JPG", False), ("badge 3.png", False)),
    ]


@pytest.mark.parametrize("name", ["labels.csv", "result.json", "1.txt", "list.xlsx", "1.xml"])
def test_a_file_that_may_hold_labels_is_a_reason_to_refuse(name: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / "1.png", BLANK)
    (tmp_path / name).write_text("")
    with pytest.raises(
        InputError, match=rf"{name}: may hold the labels of these photos.* Put photos of good parts into good/"
    ):
        flat.read(tmp_path)


@pytest.mark.parametrize(
    "name", ["NG_3.png", "bad 7.jpg", "part12-NG.png", "ausschuss4.png", "x_defect.png", "n.i.O. 3.png"]
)
def test_a_name_that_speaks_of_a_defect_is_a_reason_to_refuse(name: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / "1.png", BLANK)
    write(tmp_path / name, BLANK)
    with pytest.raises(InputError, match="its name suggests a defect, and no folder says what is good"):
        flat.read(tmp_path)


@pytest.mark.parametrize("name", ["1_mask.png", "1_GT.png", "masks/1.png"])
def test_masks_are_a_reason_to_refuse(name: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / "1.png", BLANK)
    write(tmp_path / name, BLANK)
    assert flat.found(tmp_path)
    with pytest.raises(InputError, match=r"masks say that some of the photos in .* show defects"):
        flat.read(tmp_path)


@pytest.mark.parametrize("name", ["scratch/1.png", "2026-01-05/2.png"])
def test_a_folder_with_more_pictures_is_another_layout(name: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / "1.png", BLANK)
    write(tmp_path / name, BLANK)
    assert not flat.found(tmp_path)
