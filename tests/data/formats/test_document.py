"""Annotation files come from strangers: what is wrong is named, and nothing harmful is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.core.errors import InputError
from sightline.data.formats import document

BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
STEALER = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>'


@pytest.mark.parametrize("text", [BOMB, STEALER, "<!DOCTYPE a><a/>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(InputError, match=r"a.xml, line 1: has a document type .* Remove it"):
        document.read_xml(path)


@pytest.mark.parametrize(
    "text", ["", "<a>", "<a></b>", "no xml", "<a>\x01</a>", "<a/><b/>", '<?xml version="1.0" encoding="utf-1"?><a/>']
)
def test_broken_xml_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match=r"a.xml: not readable XML .* Export"):
        document.read_xml(tmp_path / "a.xml")


def test_xml_keeps_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<?xml version="1.0"?><a k="ü"><b>1 &amp; 2</b></a>', encoding="utf-8")
    root = document.read_xml(tmp_path / "a.xml")
    assert (root.get("k"), root.findtext("b")) == ("ü", "1 & 2")


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe{}", b'"a"', b"[" * 200_000])
def test_broken_json_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=r"a.json: .*(Export the annotations again|Save the file as UTF-8)"):
        document.read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "name", ["../1.png", "a/../../1.png", "/etc/passwd", "C:\\1.png", "..\\1.png", "c:1.png", "\\1.png", "//host/1.png"]
)
def test_a_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"here: the file name .* leads out of the dataset"):
        document.within(tmp_path, name, "here")


@pytest.mark.parametrize("name", ["", " ", None, 3, "a\0b"])
def test_what_is_no_name_is_refused(name: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"here: .* is not a file name"):
        document.within(tmp_path, name, "here")


def test_a_name_inside_is_taken(tmp_path: Path) -> None:
    assert document.within(tmp_path, " sub\\ä 1..png ", "here") == tmp_path / "sub/ä 1..png"


@pytest.mark.parametrize("value", ["x", None, True, float("nan"), float("inf"), 1e300, 10**400, [], "1e999"])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"here: .* is not a number"):
        document.as_number(value, "here")
    with pytest.raises(InputError):
        document.as_numbers([value], 1, "here")


@pytest.mark.parametrize("value", [1.5, -1, "-3"])
def test_counts_are_whole(value: Any) -> None:
    with pytest.raises(InputError, match=r"here: .* is not a whole number"):
        document.as_count(value, "here")
    assert document.as_count("7.0", "here") == 7


@pytest.mark.parametrize("value", ["", "  ", None, 3, "\n\x00"])
def test_a_class_needs_a_name(value: Any) -> None:
    with pytest.raises(InputError, match=r"here: names no class. Give every marked place"):
        document.as_name(value, "here")
    assert document.as_name(" deep\n dent\x07", "here") == "deep dent"


def test_a_size_that_no_image_has_is_refused() -> None:
    assert document.as_size("20000", 30000.0, "here") == (20000, 30000)
    with pytest.raises(InputError, match=r"here: 100000 x 100000 px is larger than any image"):
        document.as_size(100_000, 100_000, "here")
