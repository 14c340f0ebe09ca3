"""Reading annotation files as what they are: data from strangers. Every error names file, place and remedy."""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from sightline.core.errors import InputError

_LARGEST = 1e10  # no pixel count or id is larger, and products of such numbers stay finite

_MOST_PX = 1 << 30  # OpenCV's own limit; a mask of any size that a file states could fill the memory


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark. Raises InputError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}). Save the file as UTF-8") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises InputError."""
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: not readable JSON ({error}). Export the annotations again") from error
    except RecursionError as error:
        raise InputError(f"{path}: the JSON is nested too deeply. Export the annotations again") from error
    return as_object(value, str(path))


def read_xml(path: Path) -> Element:
    """The root of an XML file. A document type is refused: its entities can grow without bound or read other files."""
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise InputError(
            f"{path}, line {parser.CurrentLineNumber}: has a document type (DOCTYPE), which annotations do not need "
            "and which can hide harmful entities. Remove it, or export the annotations again"
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except (expat.ExpatError, LookupError, ValueError) as error:  # LookupError: a character set that nobody knows
        raise InputError(f"{path}: not readable XML ({error}). Export the annotations again") from error


def as_object(value: Any, place: str) -> dict[str, Any]:
    """`value` as a JSON object. Raises InputError."""
    if not isinstance(value, dict):
        raise InputError(f"{place}: expected an object, found {_shown(value)}. Export the annotations again")
    return value


def as_list(value: Any, place: str) -> list[Any]:
    """`value` as a list; none is an empty one. Raises InputError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{place}: expected a list, found {_shown(value)}. Export the annotations again")
    return value


def as_number(value: Any, place: str) -> float:
    """`value` as a finite number of a sane size. Raises InputError."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= _LARGEST:
        raise InputError(
            f"{place}: {_shown(value)} is no number that can be used. Correct it, or export the annotations again"
        )
    return number


def as_count(value: Any, place: str) -> int:
    """`value` as a whole number of 0 or more. Raises InputError."""
    number = as_number(value, place)
    if number != int(number) or number < 0:
        raise InputError(f"{place}: {_shown(value)} is no whole number of 0 or more. Correct it")
    return int(number)


def as_size(height: Any, width: Any, place: str) -> tuple[int, int]:
    """(height, width) in px. Raises InputError, for an image larger than any that can be decoded as well."""
    size = as_count(height, f"{place}, height"), as_count(width, f"{place}, width")
    if size[0] * size[1] > _MOST_PX:
        raise InputError(f"{place}: {size[1]} x {size[0]} px is larger than any image that can be read. Correct it")
    return size


def as_numbers(values: Any, count: int, place: str) -> list[float]:
    """`count` finite numbers. Raises InputError."""
    found = as_list(values, place)
    if len(found) != count:
        raise InputError(f"{place}: {len(found)} numbers where {count} belong. Correct it, or export it again")
    return [as_number(value, place) for value in found]


def as_name(value: Any, place: str) -> str:
    """`value` as the name of a class, spaces and control characters reduced. Raises InputError where it names none."""
    text = value if isinstance(value, str) else ""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not name:
        raise InputError(f"{place}: names no class. Give every marked place the name of its defect type")
    return name


def within(base: Path, name: Any, place: str) -> Path:
    """`base` / `name` for a file name from an annotation. Raises InputError where it leads out of `base`."""
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise InputError(f"{place}: {_shown(name)} is no file name. Give one relative to the dataset")
    inside = PurePosixPath(name.strip().replace("\\", "/"))
    if inside.is_absolute() or PureWindowsPath(name.strip()).drive or ".." in inside.parts:
        raise InputError(f"{place}: the file name '{name}' leads out of the dataset. Give one relative to {base}")
    return base / inside


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
