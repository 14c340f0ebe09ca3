"""CSV tables: forgiving about spelling, strict about meaning."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.core.errors import InputError
from sightline.core.sample import Sample
from sightline.data.curation.check import write_table
from sightline.data.dataset import Dataset
from sightline.data.export import export
from sightline.data.formats import table
from sightline.data.formats.document import DatasetWarning


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
        ("reject,,", True, ()),
        ("Scratch,deep,", True, ("deep",)),
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


@pytest.mark.parametrize(
    ("good", "defective"),
    [
        *(("0", "1"), ("False", "True"), ("pass", "fail"), ("i.O.", "n.i.O."), ("IO", "NIO"), ("OK", "NOK")),
        *(("negative", "positive"), ("accepted", "rejected"), ("gut", "schlecht"), ("in Ordnung", "Ausschuss")),
        *(
            ("bon", "mauvais"),
            ("bueno", "malo"),
            ("buono", "scarto"),
            ("良品", "不良品"),
            ("годен", "брак"),
            ("합격", "불량"),
        ),
    ],
)
def test_the_words_of_plants_say_what_is_good_and_what_is_defective(good: str, defective: str, tmp_path: Path) -> None:
    samples = _read(tmp_path, f"image,label\na.png,{good}\nb.png,{defective}\n")
    assert [(sample.defective, sample.types) for sample in samples] == [(False, ()), (True, ())]
    assert table.meanings(tmp_path) == {good: "good", defective: "defective"}


@pytest.mark.parametrize("good", ["no defect", "defect-free", "good_part", "none", "0", "fehlerfrei"])
def test_beside_a_good_label_every_other_word_is_a_type(good: str, tmp_path: Path) -> None:
    samples = _read(tmp_path, f"image,label\na.png,{good}\nb.png,scratch\nc.png,\nd.png,n/a\n")
    assert [sample.defective for sample in samples] == [False, True, None, None]
    assert samples[1].types == ("scratch",)
    assert table.meanings(tmp_path) == {good: "good", "scratch": "type 'scratch'", "n/a": "no label"}


@pytest.mark.parametrize(
    "labels", [("A", "B"), ("1", "2"), ("True", "True"), ("class 0", "class 1"), ("Scratch", "NG")]
)
def test_a_table_whose_labels_mean_no_good_part_is_refused_with_the_remedy(
    labels: tuple[str, str], tmp_path: Path
) -> None:
    rows = "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels))
    if labels == ("True", "True"):  # says that all are defective, and nothing that nobody knows
        assert all(sample.defective for sample in _read(tmp_path, f"image,label\n{rows}"))
        return
    with pytest.raises(InputError, match=r"no label means a good part. Labels found: '.*Write 'good' \(or ") as error:
        _read(tmp_path, f"image,label\n{rows}")
    assert f"'{labels[0]}' 1" in str(error.value)


def test_a_table_of_defects_alone_says_so_by_its_types(tmp_path: Path) -> None:
    samples = _read(tmp_path, "image,label,type\na.png,defect,scratch\nb.png,,dent\nc.png,NG,\n")
    assert [(sample.defective, sample.types) for sample in samples] == [
        (True, ("scratch",)),
        (True, ("dent",)),
        (True, ()),
    ]


def test_a_weak_word_beside_a_clear_one_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'none' may mean good or not, beside other labels .*'good' 1, 'none' 1"):
        _read(tmp_path, "image,label\na.png,good\nb.png,none\n")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image;label;type\na.png;good;\nb.png;defect;dent\n", "utf-8"),
        ("image\tlabel\ttype\na.png\tgood\t\nb.png\tdefect\tdent\n", "utf-16"),
        ("sep=;\nimage;label;type\na.png;good;\nb.png;defect;dent\n", "utf-8-sig"),
        ('"sep=|"\r\nimage|label|type\r\na.png|good|\r\nb.png|defect|dent\r\n', "utf-16-le"),
        ("Dateiname,category,type\na.png,good,\nb.png,bad,dent\n".replace("Dateiname", "Datei"), "utf-16-be"),
    ],
)
def test_separators_and_encodings_of_spreadsheets_are_read(text: str, encoding: str, tmp_path: Path) -> None:
    samples = _read(tmp_path, text, encoding)
    assert [(s.path.name, s.defective, s.types) for s in samples] == [("a.png", False, ()), ("b.png", True, ("dent",))]


def test_grades_may_be_written_as_decimal_numbers(tmp_path: Path) -> None:
    samples = _read(tmp_path, "image;grade\na.png;0,0\nb.png;1.0\nc.png;2\n")
    assert [(sample.grade, sample.defective) for sample in samples] == [(0, False), (1, True), (2, True)]


def test_a_validation_part_is_the_test_part_where_there_is_no_other(tmp_path: Path) -> None:
    rows = "image,label,split\na.png,good,train\nb.png,good,Val\n"
    assert [sample.split for sample in _read(tmp_path, rows)] == ["train", "test"]
    assert [sample.split for sample in _read(tmp_path, f"{rows}c.png,good,test\n")] == ["train", "train", "test"]


def test_several_rows_of_one_image_are_its_defects(tmp_path: Path, write: Any) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[4:9, 4:9] = 255
    write(tmp_path / "m1.png", mask)
    write(tmp_path / "m2.png", mask.T[::-1])
    samples = _read(
        tmp_path,
        "image,label,type,grade,mask\na.png,good,,,\nb.png,defect,scratch,1,\nb.png,defect,dent,3,m1.png\n"
        "c.png,defect,dent,1,m1.png\nc.png,defect,scratch,1,m2.png\n",
    )
    good, with_one_mask, with_two = samples
    assert (good.defective, with_one_mask.types, with_one_mask.grade) == (False, ("scratch", "dent"), 3)
    assert with_one_mask.mask == tmp_path / "m1.png"
    assert [(region.type, region.box) for region in with_two.regions] == [
        ("dent", (4, 4, 5, 5)),
        ("scratch", (4, 23, 5, 5)),
    ]


@pytest.mark.parametrize("second", ["a.png,good,", "a.png,defect,test", "a.png,,train"])
def test_rows_of_one_image_that_contradict_each_other_are_refused(second: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 3: a.png is listed before \(row 2\) with another label, split"):
        _read(tmp_path, f"image,label,split\na.png,defect,train\n{second}\nb.png,good,train\n")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "C:\\line\\secret.png", "sub/../../secret.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused_unless_allowed(name: str, tmp_path: Path, write: Any) -> None:
    write(tmp_path / "secret.png", np.zeros((32, 32), np.uint8))
    (folder := tmp_path / "set").mkdir()
    for columns, row in (("image,label", f"{name},good"), ("image,label,mask", f"a.png,good,{name}")):
        with pytest.raises(InputError, match=r"row 2.* leads out of the dataset. .* --outside allows it"):
            _read(folder, f"{columns}\n{row}\n")
    (sample,) = table.read(folder, outside=True)
    assert sample.mask == folder / name.replace("\\", "/")


@pytest.mark.parametrize("columns", ["image,label", "mask,label,image"])
def test_a_pipe_is_not_waited_for(columns: str, tmp_path: Path, write: Any) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    write(tmp_path / "a.png", np.zeros((32, 32), np.uint8))
    row = {"image": "a.png", "label": "defect", "mask": ""} | {columns.partition(",")[0]: "pipe.png"}
    with pytest.raises(InputError, match=r"row 2.*pipe\.png is a pipe or a device, not a file"):
        _read(tmp_path, f"{columns}\n{','.join(row[name] for name in columns.split(','))}\n")


def test_a_device_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,label\n/dev/zero,good\n")
    with pytest.raises(InputError, match=r"row 2: /dev/zero is a pipe or a device"):
        table.read(tmp_path / "t.csv", outside=True)


def test_a_name_from_another_computer_is_the_file_inside_with_the_longest_like_end(tmp_path: Path, write: Any) -> None:
    for name in ("img/1.png", "1.png", "img/2.png"):
        write(tmp_path / name, np.zeros((32, 32), np.uint8))
    inside = (tmp_path / "img/2.png").absolute()
    with pytest.warns(DatasetWarning, match=r"1 file names lead out .* Check that they are the same pictures"):
        samples = _read(tmp_path, f"image,label\nC:\\line\\img\\1.png,good\n{inside},good\nimg/../1.png,good\n")
    assert [sample.path.relative_to(tmp_path).as_posix() for sample in samples] == ["img/1.png", "img/2.png", "1.png"]
    with pytest.raises(InputError, match=r"and .*img/1.png may be either"):
        _read(tmp_path, "image,label\nC:\\a\\img\\1.png,good\nC:\\b\\img\\1.png,good\n")


def test_what_a_spreadsheet_would_compute_is_quoted_and_comes_back(tmp_path: Path, write: Any) -> None:
    image = write(tmp_path / "in/1.png", np.zeros((32, 32), np.uint8))
    given = Sample(image, True, types=("=1+1", "-x"), group="@SUM(A1)", lot="-3.5", metadata={"+note": "=HYPERLINK(1)"})
    for path in (export([given], tmp_path / "out", "csv") / "labels.csv", write_table([given], tmp_path / "in/t.csv")):
        text = path.read_text()
        assert not [cell for row in csv.reader(text.splitlines()) for cell in row if cell[:1] in tuple("=+@")]
        (again,) = table.read(path)
        assert (again.types, again.group, again.lot, again.metadata) == (
            *(given.types, given.group, given.lot),
            given.metadata,
        )


@pytest.mark.parametrize("text", ["dent; =1+1", "a,-x", " @SUM(A1)", "\uff1d1", "1e5", "-3.5", "+", "a,'-x", "'=x"])
def test_every_name_comes_back_from_a_table(text: str, tmp_path: Path, write: Any) -> None:
    given = Sample(write(tmp_path / "1.png", np.zeros((32, 32), np.uint8)), True, types=("dent",), group=text.strip())
    (again,) = table.read(write_table([given], tmp_path / "t.csv"))
    assert again.group == text.strip()
    written = next(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))["group"]
    assert not written.startswith(("=", "@", "\uff1d"))


def test_a_table_that_may_not_be_read_is_an_error_and_not_passed_over(
    tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "good/1.png", np.zeros((32, 32), np.uint8))
    (tmp_path / "labels.csv").write_text("image,label\ngood/1.png,good\n")
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.suffix == ".csv":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"labels\.csv: cannot be read \(Permission denied\)"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("text", ["train", "Training", "TEST", "testing"])
def test_a_split_has_two_sides(text: str, tmp_path: Path) -> None:
    (sample,) = _read(tmp_path, f"image,label,split\na.png,good,{text}\n")
    assert sample.split == text.lower().removesuffix("ing")


@pytest.mark.parametrize(
    ("rows", "place", "message"),
    [
        ("a.png,good,,\n,good,,\n", "row 3", "column 'image' is empty. Give a path relative to the table"),
        ("a.png,,1.5,\n", "row 2", "grade '1.5' is not a whole number. Use 0 for the best grade"),
        ("a.png,,A,\n", "row 2", "grade 'A' is not a whole number"),
        ("a.png,good,,\nb.png,good,,\nc.png,good,,left\n", "row 4", "split 'left' is unknown. Use train, val, test"),
        ("a.png,good,,\n\n\nb.png,,x,\n", "row 5", "grade 'x'"),
    ],
)
def test_a_bad_row_is_named_as_an_editor_counts(rows: str, place: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        _read(tmp_path, f"image,label,grade,split\n{rows}")
    assert f"{tmp_path / 'labels.csv'}, {place}: " in str(error.value)


def test_rows_of_another_length_are_read(tmp_path: Path) -> None:
    short, long = _read(tmp_path, "image,label,group\na.png,good\nb.png,good,g,what,more\n")
    assert (short.group, long.group) == (None, "g")


@pytest.mark.parametrize("text", ["part,label\na.png,good\n", "image,colour\na.png,red\n", "", "image\na.png\n"])
def test_other_tables_are_not_taken_for_datasets(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text(text)
    assert not table.found(tmp_path)
    assert not table.found(tmp_path / "other.csv")


def test_lines_that_end_as_on_an_old_macintosh_are_lines(tmp_path: Path) -> None:
    samples = _read(tmp_path, "sep=;\rimage;label\ra.png;good\rb.png;bad\r")
    assert [(sample.path.name, sample.defective) for sample in samples] == [("a.png", False), ("b.png", True)]


@pytest.mark.parametrize("text", ["x" * 200_000, "1.5," + "7" * 140_000 + "\n1,2\n", "a,b\rc,d\r"])
def test_a_csv_of_another_kind_keeps_no_folder_from_being_opened(text: str, tmp_path: Path) -> None:
    (tmp_path / "a curve.csv").write_text(text)
    assert not table.found(tmp_path)
    (tmp_path / "labels.csv").write_text("image,label\na.png,good\n")
    assert len(table.read(tmp_path)) == 1


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
