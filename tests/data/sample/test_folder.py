"""Folders of sample parts: their layout, their table, and the refusal to touch what is there."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import pytest

from sightline.core.errors import InputError
from sightline.data.sample import defect_types, write
from sightline.data.sample.folder import COLUMNS

SIZE = 64


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "parts.csv").open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_layout_and_table_agree(tmp_path: Path) -> None:
    folder = write(tmp_path / "caps", "cap", good=20, defects_per_type=2, size=SIZE)
    rows = _rows(folder)
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 20 + 2 * len(defect_types("cap"))
    listed = {row["image"] for row in rows} | {row["mask"] for row in rows if row["mask"]}
    assert listed == {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert len({row["group"] for row in rows}) == len(rows)
    for row in rows:
        image = cv2.imread(str(folder / row["image"]))
        assert image is not None
        assert image.shape == (SIZE, SIZE, 3)
        stem = row["image"].split("/", 1)[1]
        if row["label"] == "good":
            assert stem.startswith("good/")
            assert (row["mask"], row["type"], row["grade"]) == ("", "", "0")
            continue
        assert row["label"] == "defect"
        assert stem.startswith(row["type"] + "/")
        assert row["mask"] == f"masks/{stem}"
        assert row["grade"] in {"1", "2", "3"}
        mask = cv2.imread(str(folder / row["mask"]), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert mask.shape == (SIZE, SIZE)
        assert set(mask.ravel().tolist()) == {0, 255}


def test_split_holds_out_all_defects_and_a_third_of_the_good(tmp_path: Path) -> None:
    rows = _rows(write(tmp_path / "caps", "cap", good=30, defects_per_type=1, size=SIZE))
    good = [row["split"] for row in rows if row["label"] == "good"]
    assert (good.count("test"), good.count("train")) == (9, 21)
    assert {row["split"] for row in rows if row["label"] == "defect"} == {"test"}


def test_neither_lot_nor_time_gives_a_defect_away(tmp_path: Path) -> None:
    rows = _rows(write(tmp_path / "caps", "cap", good=30, defects_per_type=3, size=SIZE, lots=2))
    serials = sorted((row["group"], row["label"]) for row in rows)
    halves = [{label for _, label in part} for part in (serials[:15], serials[-15:])]
    assert halves == [{"good", "defect"}, {"good", "defect"}]
    assert {row["lot"] for row in rows if row["label"] == "defect"} == {"L01", "L02"}


def test_equal_seeds_write_equal_files(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, "board", good=3, defects_per_type=1, size=SIZE) for name in "ab")
    for path in sorted(one.rglob("*.*")):
        assert path.read_bytes() == (other / path.relative_to(one)).read_bytes()


def test_an_empty_folder_and_a_name_outside_ascii_are_welcome(tmp_path: Path) -> None:
    folder = tmp_path / "Prüfteile 検査"
    folder.mkdir()
    write(folder, "cap", good=1, defects_per_type=0, size=SIZE)
    assert (folder / "images" / "good" / "0000.png").stat().st_size > 1000


def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"not empty.*new or an empty"):
        write(tmp_path, size=SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]
    with pytest.raises(InputError, match="is a file"):
        write(tmp_path / "mine.png", size=SIZE)


def test_wrong_arguments_leave_no_folder_behind(tmp_path: Path) -> None:
    for wrong in ({"product": "bolt"}, {"good": -1}, {"size": 1}, {"drift": 9.0}):
        with pytest.raises(InputError):
            write(tmp_path / "new", **{"size": SIZE, **wrong})  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
