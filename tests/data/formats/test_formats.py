"""The table of layouts: the right one is found, and a wrong one is answered with what was expected."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.export import export
from sightline.data.formats import FORMATS, read

BLANK = np.zeros((32, 32), np.uint8)


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Root reads everything; permissions show only to others."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_each_layout_is_recognised(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "mvtec/train/good/1.png", BLANK)
    write(tmp_path / "folders/good/1.png", BLANK)
    write(tmp_path / "flat/1.png", BLANK)
    write(tmp_path / "csv/1.png", BLANK)
    (tmp_path / "csv/labels.csv").write_text("image,label\n1.png,good\n")
    good = Sample(write(tmp_path / "1.png", BLANK), False)
    for name in ("coco", "cvat", "voc", "yolo", "labelme"):
        export([good], tmp_path / name, name)
    for name in FORMATS:
        with pytest.warns(match="1 photos, all used as good parts") if name == "flat" else nullcontext():
            layout, (sample,) = read(tmp_path / name)
        assert layout == name
        assert sample.defective is False
        assert sample.path.is_file()


def test_a_table_goes_before_folders(tmp_path: Path, write: Any) -> None:
    write(tmp_path / "good/1.png", BLANK)
    (tmp_path / "labels.csv").write_text("image,label,type\ngood/1.png,defect,scratch\n")
    layout, (sample,) = read(tmp_path)
    assert layout == "csv"
    assert sample.types == ("scratch",)


def test_an_unknown_layout_names_what_was_found_and_expected(tmp_path: Path) -> None:
    for name in ("photos", "raw"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError) as error:
        read(tmp_path)
    message = str(error.value)
    assert message.startswith(f"{tmp_path}: no dataset layout recognised. Found: notes.txt, photos/, raw/.")
    assert all(layout.expected in message for layout in FORMATS.values())


def test_a_long_list_of_what_was_found_is_cut(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.txt").touch()
    with pytest.raises(InputError, match=r"11.txt, \.\.\.\. Expected one of"):
        read(tmp_path)


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Found: nothing. Expected one of"):
        read(tmp_path)


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "part.png"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"Found: a file. Expected one of"):
        read(path)


def test_a_table_without_the_needed_columns_names_its_own(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("part;colour\n1.png;red\n")
    with pytest.raises(InputError, match=r"Found: a file. Expected one of:\n  - a CSV table with the columns 'image'"):
        read(path)


@pytest.mark.parametrize("name", ["gone", "x" * 300, "no\0name"])
def test_a_path_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Check the path"):
        read(tmp_path / name)


@pytest.mark.parametrize("locked", [".", "images", "images/good"])
def test_a_folder_that_may_not_be_read_is_named(locked: str, write: Any) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to others
        top = Path(name)
        top.chmod(0o755)
        write(top / "set/images/good/1.png", BLANK)
        folder = top / "set" / locked
        folder.chmod(0)
        try:
            with (
                _as_nobody(),
                pytest.raises(InputError, match=r"cannot be read .* Check the path and its permissions") as error,
            ):
                read(top / "set")
        finally:
            folder.chmod(0o755)
        assert str(top / "set") in str(error.value)
