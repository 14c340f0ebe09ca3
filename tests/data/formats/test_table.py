"""CSV tables: forgiving about spelling, strict about meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.formats import table


def _read(folder: Path, text: str, encoding: str = "utf-8") -> list[Sample]:
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding)
    assert table.found(path)
    return table.read(path)


def test_every_column_reaches_the_sample(tmp_path: Path) -> None:
    (sample,) = _read(
        tmp_path,
        "image,label,mask,grade,type,group,lot,split,Camera\n"
        "pics/a 1.png,defect,masks/a.png,2,crack;Dellen & 部品,part 7,lot 3,Test,left\n",
    )
    assert sample == Sample(
        path=tmp_path / "pics/a 1.png",
        defective=True,
        types=("crack", "Dellen & 部品"),
        mask=tmp_path / "masks/a.png",
        grade=2,
        group="part 7",
        lot="lot 3",
        split="test",
        metadata={"camera": "left"},
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_and_spelling_do_not_matter(encoding: str, tmp_path: Path) -> None:
    (sample,) = _read(tmp_path, ' Image , LABEL\n" sub\\ä.png ", Good \n', encoding)
    assert sample.path == tmp_path / "sub/ä.png"
    assert sample.defective is False


@pytest.mark.parametrize(
    ("row", "defective", "types"),
    [
        ("good,,", False, ()),
        ("OK,,", False, ()),
        ("defect,,", True, ()),
        ("NG,,", True, ()),
        ("Scratch,,", True, ("Scratch",)),
        ("defect,crack; dent ;,", True, ("crack", "dent")),
        (",crack,", True, ("crack",)),
        (",,0", False, ()),
        (",,3", True, ()),
        ("good,,2", False, ()),
        (",,", None, ()),
    ],
)
def test_label_type_and_grade_say_what_is_defective(
    row: str, defective: bool | None, types: tuple[str, ...], tmp_path: Path
) -> None:
    (sample,) = _read(tmp_path, f"image,label,type,grade\na.png,{row}\n")
    assert (sample.defective, sample.types) == (defective, types)


def test_a_grade_alone_is_enough(tmp_path: Path) -> None:
    samples = _read(tmp_path, "image,grade\na.png,0\nb.png,1\nc.png,4\nd.png,\n")
    assert [(sample.grade, sample.defective) for sample in samples] == [(0, False), (1, True), (4, True), (None, None)]


@pytest.mark.parametrize("text", ["train", "Training", "TEST", "testing"])
def test_a_split_has_two_sides(text: str, tmp_path: Path) -> None:
    (sample,) = _read(tmp_path, f"image,label,split\na.png,good,{text}\n")
    assert sample.split == text.lower().removesuffix("ing")


@pytest.mark.parametrize(
    ("rows", "place", "said"),
    [
        ("a.png,good,,\n,good,,\n", "row 3", "column 'image' is empty. Give a path relative to the table"),
        ("a.png,,1.5,\n", "row 2", "grade '1.5' is not a whole number. Use 0 for the best grade"),
        ("a.png,,A,\n", "row 2", "grade 'A' is not a whole number"),
        ("a.png,good,,\nb.png,good,,\nc.png,good,,val\n", "row 4", "split 'val' is unknown. Use train, test"),
        ("a.png,good,,\n\n\nb.png,,x,\n", "row 5", "grade 'x'"),
    ],
)
def test_a_bad_row_is_named_as_an_editor_counts(rows: str, place: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as error:
        _read(tmp_path, f"image,label,grade,split\n{rows}")
    assert f"{tmp_path / 'labels.csv'}, {place}: " in str(error.value)


def test_rows_of_another_length_are_read(tmp_path: Path) -> None:
    short, long = _read(tmp_path, "image,label,group\na.png,good\nb.png,good,g,what,more\n")
    assert (short.group, long.group) == (None, "g")


@pytest.mark.parametrize("text", ["file,label\na.png,good\n", "image,colour\na.png,red\n", "", "image\na.png\n"])
def test_other_tables_are_not_taken_for_datasets(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(text)
    assert not table.found(tmp_path)
    assert not table.found(tmp_path / "other.csv")


def test_a_folder_with_one_table_is_that_table(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("when,who\nnow,me\n")
    (tmp_path / "labels.csv").write_text("image,label\na.png,good\n")
    assert [sample.path for sample in table.read(tmp_path)] == [tmp_path / "a.png"]


def test_several_tables_are_an_error_that_names_them(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("image,label\na.png,good\n")
    with pytest.raises(InputError, match=r"holds several tables \(a.csv, b.csv\). Name the one to use"):
        table.read(tmp_path)
    assert len(table.read(tmp_path / "b.csv")) == 1


def test_a_table_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a header and no rows"):
        _read(tmp_path, "image,label\n")


@pytest.mark.parametrize("content", [b"image,label\n\xe4.png,good\n", b"image,label\na.png,\xff\xfe\n"])
def test_a_table_in_another_encoding_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not a readable CSV .* Save it as UTF-8 CSV") as error:
        table.read(path)
    assert str(path) in str(error.value)


def test_masks_are_only_named_never_opened(tmp_path: Path, write: Any) -> None:
    (sample,) = _read(tmp_path, "image,label,mask\na.png,defect,gone.png\n")
    assert sample.mask == tmp_path / "gone.png"
