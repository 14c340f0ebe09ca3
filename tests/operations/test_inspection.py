"""Which images `inspect` judges, and what their pictures are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.data.formats.document import DatasetWarning
from sightline.operations.inspection import Judging, expand, inspect, picture_names

BLANK = np.zeros((32, 32), np.uint8)


def test_folders_below_a_folder_are_inspected_and_overlays_are_not(tmp_path: Path, write: Any) -> None:
    for name in ("good/0.png", "scratch/lot 2/0.jfif.png", "0.png", "seen/0-NG.png"):
        write(tmp_path / name, BLANK)
    found = expand([tmp_path], leave_out=tmp_path / "seen")
    assert [path.relative_to(tmp_path).as_posix() for path in found if "seen" not in path.parts] == [
        *("0.png", "good/0.png", "scratch/lot 2/0.jfif.png"),
    ]
    assert len(found) == 3


def test_what_is_not_judged_in_a_folder_is_counted(tmp_path: Path, write: Any) -> None:
    for name in ("0.png", "0_GT.png"):
        write(tmp_path / name, BLANK)
    (tmp_path / "1.heic").write_bytes(b"")
    with pytest.warns(DatasetWarning, match=r"3 picture files: 1 read, 1 mask, 1 not read \(1: HEIC is not read"):
        assert expand([tmp_path]) == [tmp_path / "0.png"]


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no images. Name image files, or a folder of them"):
        expand([tmp_path])


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["day"], ["early/0", "late/0"]),
        (["day/early", "day/late"], ["early/0", "late/0"]),
        (["day/early/0.png", "day/late/0.png"], ["early/0", "late/0"]),
        (["day/early/0.png"], ["0"]),
        (["day/early/0.png", "day/early/0.png"], ["early/0", "early/0-2"]),
        (["day/early/0.png", "other/early"], ["0", "early/0"]),
        (["twice"], ["0", "0-2"]),
    ],
)
def test_no_picture_overwrites_another(
    given: list[str], names: list[str], tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("day/early/0.png", "day/late/0.png", "other/early/0.png", "twice/0.png", "twice/0.jpg"):
        write(tmp_path / name, BLANK)
    monkeypatch.chdir(tmp_path)
    paths = [Path(name) for name in given]
    assert picture_names(expand(paths), paths) == names


def test_two_folders_with_equal_names_of_files_have_their_own_overlays(
    parts_folder: Path, recipe_file: Path, tmp_path: Path
) -> None:
    for shift, number in (("early", "00"), ("late", "01")):
        (tmp_path / shift).mkdir()
        (tmp_path / shift / "0.png").write_bytes((parts_folder / f"images/good/{number}.png").read_bytes())
    results = list(inspect(Judging(recipe_file), [tmp_path / "early", tmp_path / "late"], tmp_path / "o"))
    written = {path.relative_to(tmp_path / "o").as_posix() for path in (tmp_path / "o").rglob("*.png")}
    assert written == {f"{Path(r['image']).parent.name}/0-{r['verdict']}.png" for r in results}
    assert len(written) == 2
